"""The journals of this host: whole, writable by their users, and with nothing left to deliver.

Opened read-only: whoever looks, nothing is set aside, made or given to another user.
"""

from __future__ import annotations

import glob
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import quote

from hcrun.doctor.finding import Finding, error, note, ok, warning
from hcrun.journal.database import FILE
from hcrun.text import counted, listed
from hcrun.units import span, volume

PATIENCE = 5.0  # seconds for checking one journal
LATE = 900.0  # seconds that a result may wait: by then a later run has tried it
_WEEK = 7 * 86400.0
_LARGE = 300 * 1000**2  # bytes; hcrun keeps it below 200 MB
_ROOM = 50 * 1000**2  # bytes that must be left on its disk
_STEPS = 10_000  # of SQLite between two looks at the clock


@dataclass
class Facts:
    """What is known of one journal. Times are seconds since the epoch, sizes bytes."""

    path: str
    trouble: str = ""  # why it cannot be used at all
    whole: bool | None = None  # None: it was not looked at to its end
    runs: int = 0
    pending: int = 0
    oldest_pending: float | None = None
    refused: list[str] = field(default_factory=list)  # checks, within a week
    longest: dict[str, float] = field(default_factory=dict)  # seconds, by check
    size: int = 0
    free: int | None = None  # left on its disk
    owner: int = 0
    strangers: list[str] = field(default_factory=list)  # its files of another owner
    readable: bool = False  # by others
    aside: list[str] = field(default_factory=list)  # corrupt ones, set aside


def journals(directories: Iterable[str]) -> list[str]:
    """Those that there are."""
    paths = [os.path.join(directory, FILE) for directory in directories]
    return [path for path in paths if _is_there(path)]


def _is_there(path: str) -> bool:
    """Or cannot be looked at, which `look` says."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def look(path: str) -> Facts:
    facts = Facts(path)
    try:
        _look_at_files(facts)
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=2)) as db:
            _look_inside(facts, db)
    except (sqlite3.Error, OSError) as problem:
        facts.trouble = getattr(problem, "strerror", "") or str(problem)
        if "malformed" in facts.trouble or "not a database" in facts.trouble:
            facts.whole = False
    return facts


def _look_at_files(facts: Facts) -> None:
    status = os.stat(facts.path)
    facts.owner, facts.readable = status.st_uid, bool(status.st_mode & 0o077)
    directory = os.path.dirname(facts.path)
    facts.aside = sorted(glob.glob(f"{glob.escape(facts.path)}.corrupt-*Z"))
    for name in (facts.path, f"{facts.path}-wal", f"{facts.path}-shm"):
        if os.path.exists(name):
            other = os.stat(name)
            facts.size += other.st_size if stat.S_ISREG(other.st_mode) else 0
            if other.st_uid != facts.owner:
                facts.strangers.append(name)
    disk = os.statvfs(directory)
    facts.free = disk.f_bavail * disk.f_frsize


def _look_inside(facts: Facts, db: sqlite3.Connection) -> None:
    if not db.execute("PRAGMA user_version").fetchone()[0]:
        facts.whole = True  # empty: the first run makes the tables
        return
    facts.runs = db.execute("SELECT count(*) FROM runs").fetchone()[0]
    facts.pending, facts.oldest_pending = db.execute(
        "SELECT count(*), min(ended) FROM runs WHERE delivery = 'pending'"
    ).fetchone()
    of_checks = "FROM runs r JOIN checks c ON c.id = r.check_id"
    refused = db.execute(
        f"SELECT DISTINCT c.name {of_checks} WHERE delivery = 'refused' AND started > ?"
        " ORDER BY c.name",
        (time.time() - _WEEK,),
    )
    facts.refused = [name for (name,) in refused]
    longest = db.execute(
        f"SELECT c.name, max(duration) {of_checks} WHERE duration IS NOT NULL"
        " AND result != 'skip' GROUP BY c.name"
    )
    facts.longest = dict(longest.fetchall())
    until = time.monotonic() + PATIENCE
    db.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    try:
        facts.whole = db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.OperationalError:  # interrupted: it takes longer than that
        facts.whole = None


def evaluate(facts: Facts, now: float) -> Iterator[Finding]:
    directory = os.path.dirname(facts.path)
    if facts.whole is False:
        yield error(
            f"{facts.path} is damaged",
            "runs in it may be lost, and results that were not delivered",
            f"mv {facts.path} {facts.path}.damaged; the next run begins a new one",
        )
    elif facts.trouble:
        yield error(
            f"{facts.path}: {facts.trouble}",
            "runs are not recorded, and results that cannot be delivered are lost",
            f"ls -l {directory}; its user must be able to write there",
        )
    else:
        checked = "" if facts.whole else f" (not all of it was checked in {span(PATIENCE)})"
        yield ok(
            f"{facts.path}: {counted(facts.runs, 'run')}, {volume(facts.size)},"
            f" {volume(facts.free or 0)} of room{checked}"
        )
    yield from _judge_files(facts, directory)
    yield from _judge_delivery(facts, now)


def _judge_files(facts: Facts, directory: str) -> Iterator[Finding]:
    if facts.strangers:
        yield error(
            f"{listed(facts.strangers)}: of another owner than the journal itself",
            "hcrun cannot write the journal, and records nothing",
            f"chown {facts.owner} {directory}/*",
        )
    if facts.readable:
        yield warning(
            f"others can read {facts.path}",
            "outputs are in it, and ping URLs until their results are delivered",
            f"chmod 0600 {facts.path}",
        )
    if facts.free is not None and facts.free < _ROOM:
        yield warning(
            f"the disk of {directory} has {volume(facts.free)} left",
            "on a full disk nothing is recorded",
            f"make room: df -h {directory}",
        )
    if facts.size > _LARGE:
        yield note(
            f"{facts.path} has {volume(facts.size)}",
            "each run takes away a bit of what is over 200 MB",
        )
    if facts.aside:
        yield note(
            f"set aside as corrupt: {listed(facts.aside)}",
            "that happens after a disk error or a copy of a journal in use",
            f"look for what you need (sqlite3 FILE .recover), then rm {facts.aside[0]}",
        )


def _judge_delivery(facts: Facts, now: float) -> Iterator[Finding]:
    if facts.pending and facts.oldest_pending is not None:
        waits = now - facts.oldest_pending
        make = warning if waits > LATE else note
        yield make(
            f"{counted(facts.pending, 'result')} not delivered yet, the oldest for {span(waits)}",
            "the server takes these runs for missing",
            "hcctl flush, as the journal's user",
        )
    if facts.refused:
        yield warning(
            f"results refused by the server this week, of {listed(facts.refused)}",
            "they are not sent again; their checks are not there, or twice",
            f"hcctl ping {facts.refused[0]} log says what it has against them",
        )
