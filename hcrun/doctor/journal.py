"""The journals of this host: whole, writable by their users, and without undelivered results."""

import os
from collections.abc import Iterable, Iterator

from hcrun.doctor.finding import Finding, error, note, ok, warning
from hcrun.errors import JournalError
from hcrun.journal.inspection import PATIENCE, Inspection
from hcrun.paths import find_directory
from hcrun.schedulers import users
from hcrun.schedulers.installed import Line, absolute
from hcrun.schedulers.journals import directories
from hcrun.settings import Settings, refused
from hcrun.text import counted, listed
from hcrun.units import span, volume

_LATE = 900.0  # seconds that a result may wait: a later run has tried it by then
_LARGE = 300 * 1000**2  # bytes; hcrun keeps a journal below 200 MB
_MIN_FREE = 50 * 1000**2  # bytes on its disk
_NOT_RECORDED = "runs are not recorded, and undelivered results are lost"


def evaluate_directories(lines: Iterable[Line], root: str, settings: Settings) -> Iterator[Finding]:
    """Users whose runs cannot be recorded; systemd creates the directories that units name."""
    own = [line for line in lines if "STATE_DIRECTORY" not in line.environ]
    found = directories(own, root)
    uid = os.geteuid()
    try:
        found.setdefault(find_directory(settings, uid), users.User(uid, (), f"{uid}"))
    except JournalError as problem:
        yield error(f"{problem.where}: {problem.what}", _NOT_RECORDED, problem.hint)
    for path, user in found.items():
        existing = path
        while not os.path.lexists(existing) and existing != root:
            existing = os.path.dirname(existing)
        if not os.path.isdir(existing):
            what = f"cannot create {path}: {existing} is not a directory"
            yield error(what, _NOT_RECORDED, f"rm {existing}, or set STATE_DIRECTORY")
        elif not _may_write(user, existing, root):
            yield warning(
                f"user {user.name} cannot create or write {path}",
                _NOT_RECORDED,
                f"install -d -m 0700 -o {user.name} {path}",
            )


def _may_write(user: users.User, path: str, root: str) -> bool:
    mode = os.W_OK | os.X_OK
    if user.uid == os.geteuid():
        return os.access(path, mode)
    return users.can_access(user, absolute(path, root), mode, root)


def evaluate_ownership(paths: Iterable[str]) -> Iterator[Finding]:
    """State directories of root that others can change."""
    for path in paths:
        if refusal := refused(path, "set STATE_DIRECTORY=/var/lib/hcrun"):
            yield error(f"{path}: {refusal[0]}", _NOT_RECORDED, refusal[1])


def evaluate(journal: Inspection, now: float) -> Iterator[Finding]:
    path, directory = journal.path, os.path.dirname(journal.path)
    if journal.whole is False:
        yield error(
            f"{path} is damaged",
            "runs and undelivered results in it may be lost",
            "hcctl journal check, as the user of the journal",
        )
    elif journal.trouble:
        fix = f"let its user write to {directory}: ls -l {directory}"
        yield error(f"{path}: {journal.trouble}", _NOT_RECORDED, fix)
    else:
        partly = "" if journal.whole else f" (checked only in part, for {span(PATIENCE)})"
        yield ok(
            f"{path}: {counted(journal.runs, 'run')}, {volume(journal.size)},"
            f" {volume(journal.free or 0)} free{partly}"
        )
    yield from _evaluate_files(journal, directory)
    yield from _evaluate_delivery(journal, now)
    if journal.overdue:
        yield warning(
            f"maintenance of {listed(journal.overdue)} is past its end, and nobody has ended it",
            "paused checks alert nobody",
            f"as user {journal.owner}: hcctl resume --due --ping; the check maintenance of the"
            " built-in catalogue does so every 5 minutes",
        )
    for name, items in journal.refused.items():
        yield note(
            f"not read in the perfdata of {name}: {listed(items)}",
            "metrics and forecasts do not have these items",
            "write each item as 'label'=number[unit];warning;critical;minimum;maximum",
        )


def _evaluate_files(journal: Inspection, directory: str) -> Iterator[Finding]:
    if journal.foreign:
        yield error(
            f"{listed(journal.foreign)}: not owned by the owner of the journal",
            "hcrun cannot write to the journal and records nothing",
            f"chown {journal.owner} {directory}/*",
        )
    if journal.readable:
        yield warning(
            f"other users can read {journal.path}",
            "it contains the output of jobs, and the ping URLs of undelivered results",
            f"chmod 0600 {journal.path}",
        )
    if journal.free is not None and journal.free < _MIN_FREE:
        yield warning(
            f"the disk of {directory} has {volume(journal.free)} left",
            "hcrun records nothing on a full disk",
            f"free space: df -h {directory}",
        )
    if journal.size > _LARGE:
        what = f"{journal.path} has a size of {volume(journal.size)}"
        yield note(what, "each run removes a part of what exceeds 200 MB")
    if journal.aside:
        yield note(
            f"set aside as corrupt: {listed(journal.aside)}",
            "the cause is a disk error, or a copy that was made while the journal was in use",
            f"hcctl journal check saves undelivered results; then: rm {journal.aside[0]}",
        )


def _evaluate_delivery(journal: Inspection, now: float) -> Iterator[Finding]:
    if journal.pending and journal.oldest_pending is not None:
        age = now - journal.oldest_pending
        make = warning if age > _LATE else note
        yield make(
            f"{counted(journal.pending, 'result')} not delivered, the oldest for {span(age)}",
            "for the server these runs are missing",
            "run hcctl flush as the user of the journal",
        )
    if journal.rejected:
        yield warning(
            f"the server rejected results of {listed(journal.rejected)} within a week",
            "they are not sent again; their checks do not exist, or two checks have one slug",
            f"hcctl ping {journal.rejected[0]} log shows the reason",
        )
