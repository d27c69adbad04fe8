"""The journals of this host: whole, writable by their users, and without undelivered results."""

import os
from collections.abc import Iterable, Iterator

from hcrun.doctor.finding import Finding, any_of, error, finding, ok
from hcrun.errors import JournalError
from hcrun.journal.inspection import PATIENCE, Inspection
from hcrun.paths import find_directory
from hcrun.schedulers import users
from hcrun.schedulers.installed import Line, absolute
from hcrun.schedulers.journals import directories
from hcrun.settings import Settings, refused
from hcrun.text import counted
from hcrun.units import span, volume

_LATE = 900.0  # seconds that a result may wait: a later run has tried it by then
_UNSHIPPED = 3600.0  # seconds that a run may wait for hcctl ship
_LARGE = 300 * 1000**2  # bytes; hcrun keeps a journal below 200 MB
_MIN_FREE = 50 * 1000**2  # bytes on its disk
_NOT_RECORDED = "runs are not recorded, and undelivered results are lost"


def evaluate_directories(lines: Iterable[Line], root: str, settings: Settings) -> Iterator[Finding]:
    """Users whose runs cannot be recorded; systemd creates the directories that units name."""
    own = [line for line in lines if "STATE_DIRECTORY" not in line.environ]
    found = directories(own, root)
    uid, mode = os.geteuid(), os.W_OK | os.X_OK
    try:
        found.setdefault(find_directory(settings, uid), users.User(uid, (), f"{uid}"))
    except JournalError as problem:
        yield error(f"{problem.where}: {problem.what}", _NOT_RECORDED, problem.hint)
    for path, user in found.items():
        existing = path
        while not os.path.lexists(existing) and existing != root:
            existing = os.path.dirname(existing)
        if not os.path.isdir(existing):
            yield finding("no-directory", path=path, existing=existing)
        elif not (
            os.access(existing, mode)  # its own need not be below `root`
            if user.uid == uid
            else users.can_access(user, absolute(existing, root), mode, root)
        ):
            yield finding("closed-directory", user=user.name, path=path)


def evaluate_ownership(paths: Iterable[str]) -> Iterator[Finding]:
    """State directories of root that others can change."""
    for path in paths:
        if refusal := refused(path, "set STATE_DIRECTORY=/var/lib/hcrun"):
            yield finding("unsafe-directory", path=path, refusal=refusal)


def evaluate(journal: Inspection, now: float, *, ships: bool = False) -> Iterator[Finding]:
    """`ships`: its runs should be in a fleet database."""
    path, directory = journal.path, os.path.dirname(journal.path)
    known = {"journal": journal, "directory": directory}
    if journal.whole is False:
        yield finding("damaged", **known)
    elif journal.trouble:
        yield finding("no-access", **known)
    else:
        partly = "" if journal.whole else f" (checked only in part, for {span(PATIENCE)})"
        yield ok(
            f"{path}: {counted(journal.runs, 'run')}, {volume(journal.size)},"
            f" {volume(journal.free or 0)} free{partly}"
        )
    yield from any_of("foreign", journal.foreign, **known)
    for name, is_so in (
        ("readable", journal.readable),
        ("full-disk", journal.free is not None and journal.free < _MIN_FREE),
        ("large", journal.size > _LARGE),
    ):
        if is_so:
            yield finding(name, **known)
    yield from any_of("corrupt", journal.aside)
    if journal.pending and journal.oldest_pending is not None:
        age = now - journal.oldest_pending
        severity = "warning" if age > _LATE else "note"
        yield finding("undelivered", severity=severity, age=age, **known)
    if ships and journal.unshipped is None:
        yield finding("never-shipped", **known)
    elif ships and now - (journal.oldest_unshipped or now) > _UNSHIPPED:
        yield finding("unshipped", age=now - (journal.oldest_unshipped or now), **known)
    yield from any_of("rejected", journal.rejected)
    yield from any_of("maintenance", journal.overdue, **known)
    for name, items in journal.refused.items():
        yield finding("perfdata", names=items, check=name)
