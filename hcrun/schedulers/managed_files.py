"""Files that hcctl makes, in a directory that has others too: what differs, and putting it right.

Only files with our stamp are ever replaced or deleted, and none that was changed by hand.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from hcrun import files
from hcrun.errors import HcrunError
from hcrun.locks import FileLock
from hcrun.schedulers import stamp


@dataclass(frozen=True)
class Change:
    """One file: None is no file."""

    path: str
    old: str | None
    new: str | None

    def diff(self) -> list[str]:
        """The lines of a unified difference."""
        return list(
            difflib.unified_diff(
                (self.old or "").splitlines(keepends=True),
                (self.new or "").splitlines(keepends=True),
                "/dev/null" if self.old is None else self.path,
                "/dev/null" if self.new is None else self.path,
            )
        )


@dataclass(frozen=True)
class Plan:
    """What has to change, and which files stand in the way."""

    changes: tuple[Change, ...]
    kept: tuple[str, ...]  # paths of files that were changed by hand, or are not ours


def plan(directory: str, wanted: Mapping[str, str], present: Iterable[str]) -> Plan:
    """`wanted`: texts by name. `present`: names of files that may be ours; the rest are deleted.

    Raises HcrunError for a file that cannot be read.
    """
    changes, kept = [], []
    for name in [*wanted, *sorted(set(present) - set(wanted))]:
        path = os.path.join(directory, name)
        old, new = _read(path), wanted.get(name)
        if old == new:
            continue
        state = "ours" if old is None else stamp.state(old)
        if state == "ours":
            changes.append(Change(path, old, new))
        elif state == "changed" or new is not None:
            kept.append(path)
    return Plan(tuple(changes), tuple(kept))


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HcrunError(f"cannot be read: {error.strerror}", where=path) from None


def apply(changes: Iterable[Change]) -> None:
    """Each file is written whole or not at all; a second try goes on where the first stopped.

    Raises HcrunError.
    """
    for change in changes:
        directory = os.path.dirname(change.path)
        if change.new is None:
            with _named(change.path):
                os.unlink(change.path)
            if directory.endswith(".service.d"):
                with suppress(OSError):  # it has other files
                    os.rmdir(directory)
        else:
            with _named(directory):
                os.makedirs(directory, exist_ok=True)
                if os.statvfs(directory).f_flag & os.ST_RDONLY:  # not even root may
                    raise OSError(errno.EROFS, os.strerror(errno.EROFS))
                if not os.access(directory, os.W_OK):
                    raise PermissionError
            files.write(change.path, change.new)


def locked(directory: str) -> FileLock:
    """Lock the directory, which is created: one hcctl at a time writes there. Raises HcrunError."""
    with _named(directory):
        os.makedirs(directory, exist_ok=True)
        try:
            return FileLock(directory)
        except BlockingIOError:
            raise HcrunError(
                "another hcctl is writing here", where=directory, hint="try again when it is done"
            ) from None


@contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise HcrunError("permission denied", where=path, hint="run it as root (sudo)") from None
    except OSError as error:
        raise HcrunError(str(error.strerror), where=path) from None
