"""Files that hcctl creates in a directory that has others, too.

The first line of such a file has a digest of the rest, which tells our files from others and from
changed ones. Because it is in the file itself, there is no list of installed files to lose. Only
unchanged files of ours are ever replaced or deleted.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from hcrun import files
from hcrun.errors import HcrunError
from hcrun.locks import FileLock

_MADE = "# Made by hcctl from "
_DIGEST = "; digest "

State = Literal["ours", "changed", "foreign"]


def stamped(text: str, source: str) -> str:
    """Returns `text` below that first line; `source` is the catalogue it was made from."""
    return f"{_MADE}{source}{_DIGEST}{_digest(text)}\n{text}"


def state(text: str) -> State:
    """Returns whether hcctl wrote a file with this text, and whether it is unchanged."""
    first, _, rest = text.partition("\n")
    if not first.startswith(_MADE):
        return "foreign"
    return "ours" if first.rpartition(_DIGEST)[2] == _digest(rest) else "changed"


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass(frozen=True)
class Change:
    """The old and the new text of a file; None stands for no file."""

    path: str
    old: str | None
    new: str | None


def plan(
    directory: str, wanted: Mapping[str, str], present: Iterable[str]
) -> tuple[list[Change], list[str]]:
    """Compares the wanted texts by name with the files that may be ours (`present`).

    Returns the changes to make, and the paths of our unwanted files that were changed by hand.
    Raises HcrunError if a file cannot be read, or if a wanted file is not ours or was changed.
    """
    changes, kept, blocked = [], [], []
    for name in [*wanted, *sorted(set(present) - set(wanted))]:
        path = os.path.join(directory, name)
        old, new = _read(path), wanted.get(name)
        if old == new:
            continue
        found = "ours" if old is None else state(old)
        if found == "ours":
            changes.append(Change(path, old, new))
        elif new is not None:
            blocked.append(path)
        elif found == "changed":
            kept.append(path)
    if blocked:
        raise HcrunError(
            "not created by hcctl, or changed since",
            where=", ".join(blocked),
            hint="move your changes to checks.toml (or systemctl edit) and delete the file;"
            " nothing was written",
        )
    return changes, kept


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HcrunError(f"cannot be read: {error.strerror}", where=path) from None


def apply(changes: Iterable[Change]) -> None:
    """Makes the changes, each completely or not at all. Raises HcrunError."""
    for change in changes:
        directory = os.path.dirname(change.path)
        if change.new is None:
            with _errors_of(change.path):
                os.unlink(change.path)
            if directory.endswith(".service.d"):
                with suppress(OSError):  # it has other files
                    os.rmdir(directory)
        else:
            with _errors_of(directory):
                os.makedirs(directory, exist_ok=True)
            files.write(change.path, change.new)


def locked(directory: str) -> FileLock:
    """Creates and locks the directory, so that one hcctl at a time writes there."""
    with _errors_of(directory):
        os.makedirs(directory, exist_ok=True)
        try:
            return FileLock(directory)
        except BlockingIOError:
            raise HcrunError(
                "another hcctl is writing here", where=directory, hint="try again when it is done"
            ) from None


@contextmanager
def _errors_of(path: str) -> Iterator[None]:
    """Turns OSError into HcrunError."""
    try:
        yield
    except PermissionError:
        raise HcrunError("permission denied", where=path, hint="run it as root (sudo)") from None
    except OSError as error:
        raise HcrunError(str(error.strerror), where=path) from None
