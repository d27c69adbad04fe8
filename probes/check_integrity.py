#!/usr/bin/env python3
"""Files that give access: did authorized keys, sudoers, crontabs or systemd units change?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import hashlib
import os
import stat
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from hcrun.errors import JournalError
from hcrun.text import counted, listed, printable
from hcrun.units import span, utc
from probes.framework import state
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, state_reading

SHOWN_FOR = 3600.0  # seconds that a change is reported after it was seen
_BLOCK = 1 << 20  # bytes

Entry = list[object]  # digest, mode, owner and group of a file


class Change(NamedTuple):
    """A file that was added, changed or removed."""

    seen: float  # seconds since the epoch
    text: str  # "/etc/sudoers changed at 2026-12-01 03:00:00 UTC"


def check_integrity(context: Context) -> None:
    patterns: Sequence[str] = context.options["paths"]
    context.at(f"{counted(len(patterns), 'path')}")
    target = f"{zlib.crc32(' '.join(patterns).encode()):08x}"
    path = state.path_of(context.source.settings, "integrity", target)
    unreadable: set[str] = set()
    files = {}
    for name in sorted({name for each in patterns for name in expand(each, unreadable)}):
        context.deadline.left()  # raises TimeoutError
        try:
            files[name] = _entry(name)
        except FileNotFoundError:  # it was there just now
            pass
        except OSError:
            unreadable.add(name)
    before, changes = _stored(path)
    now = time.time()
    # What could be read before and cannot be read now stays as it was.
    blind = {name: old for name, old in (before or {}).items() if _is_under(name, unreadable)}
    if before is not None:
        changes += [Change(now, text) for text in compare(before, blind | files, now)]
    changes = [change for change in changes if 0 <= now - change.seen < SHOWN_FOR]
    if problem := state.save(path, {"files": blind | files, "changes": changes}):
        context.add(state.unkept(problem, "the digests"))
    context.add(*evaluate(files, changes, sorted(unreadable), before is None, context.ranges))


def expand(pattern: str, unreadable: set[str]) -> Iterator[str]:
    """The files of a pattern, and all below its directories; what cannot be read is added."""
    found = ["/"]
    for part in filter(None, pattern.split("/")):
        if any(sign in part for sign in "*?["):
            names = [(place, name) for place in found for name in _listed(place, unreadable)]
            found = [os.path.join(*each) for each in names if fnmatchcase(each[1], part)]
        else:
            found = [os.path.join(place, part) for place in found]
    while found:
        path = found.pop()
        try:
            is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            unreadable.add(path)
            continue
        if is_directory:
            found += [os.path.join(path, name) for name in _listed(path, unreadable)]
        else:
            yield path


def _listed(directory: str, unreadable: set[str]) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        unreadable.add(directory)
        return []


def _is_under(path: str, unreadable: set[str]) -> bool:
    """Whether the path, or a directory on the way to it, cannot be read."""
    parts = path.split("/")
    return not unreadable.isdisjoint("/".join(parts[:end]) or "/" for end in range(len(parts) + 1))


def _entry(path: str) -> Entry:
    """What is compared of a file; of a link, its target, and of a special file only its kind."""
    status = os.lstat(path)
    digest = ""
    if stat.S_ISLNK(status.st_mode):
        digest = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return [digest, status.st_mode, status.st_uid, status.st_gid]


def _stored(path: str) -> tuple[dict[str, Entry] | None, list[Change]]:
    """The files of the last run, and what is still to be reported; None: this is the first run."""
    try:
        saved = state.load(path)
        return {str(name): list(entry) for name, entry in saved["files"].items()}, [
            Change(float(seen), str(text)) for seen, text in saved["changes"]
        ]
    except JournalError as error:
        raise UnknownError(str(error), hint="check STATE_DIRECTORY") from None
    except (TypeError, ValueError, KeyError, AttributeError):
        return None, []


def compare(before: Mapping[str, Entry], files: Mapping[str, Entry], now: float) -> Iterator[str]:
    """What differs, a text for each file."""
    for name in sorted({*before, *files}):
        old, new = before.get(name), files.get(name)
        shown = printable(name)
        if new is None:
            yield f"{shown} was removed before {utc(now)}"
        elif old is None:
            yield f"{shown} is new ({_changed(name)})"
        elif old[0] != new[0]:
            yield f"{shown} {_changed(name)}"
        elif old != new:
            yield f"mode or owner of {shown} {_changed(name)}"


def _changed(path: str) -> str:
    try:
        return f"changed at {utc(os.lstat(path).st_ctime)}"
    except OSError:
        return "changed"


def evaluate(
    files: Mapping[str, Entry],
    changes: Sequence[Change],
    unreadable: Sequence[str],
    is_first: bool,
    ranges: Ranges,
) -> Iterator[Reading]:
    text = ""
    if changes:
        text = listed([change.text for change in changes], 5)
    hint = f"find out who changed them; this is reported for {span(SHOWN_FOR)}"
    yield Reading("changed", len(changes), "", text, *ranges["changed"], minimum=0, hint=hint)
    if unreadable:
        text = f"cannot read {listed(list(map(printable, unreadable)), 5)}"
        yield state_reading("unreadable", Status.UNKNOWN, text, "run it as root, or leave it out")
    text = f"{counted(len(files), 'file')} as before"
    if is_first:
        text = f"first run, {counted(len(files), 'file')} recorded"
    yield Reading("files", len(files), "", "" if changes else text, minimum=0)


PROBE = Probe("integrity", table("integrity"), check_integrity)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
