"""What can be known of a journal that is opened read-only: files, integrity, deliveries."""

import glob
import os
import sqlite3
import stat
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field

from hcrun.errors import JournalError
from hcrun.excerpt import Excerpt
from hcrun.formats import perfdata
from hcrun.journal.damage import wrong_pages
from hcrun.journal.database import FILE, TROUBLES
from hcrun.journal.ends import SHIPPED, WAITING
from hcrun.journal.foreign import as_user, connect, owner_of
from hcrun.settings import refused

PATIENCE = 5.0  # seconds for the integrity check
_WEEK = 7 * 86400.0
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)  # the last: tables


@dataclass
class Inspection:
    """The state of one journal. Times are seconds since the epoch, sizes bytes."""

    path: str
    trouble: str = ""  # why it cannot be used at all
    whole: bool | None = None  # None: not checked to its end
    runs: int = 0
    pending: int = 0  # results not delivered
    oldest_pending: float | None = None
    unshipped: int | None = None  # runs; None: it was never shipped to a fleet database
    oldest_unshipped: float | None = None
    rejected: list[str] = field(default_factory=list)  # checks, within a week
    longest: dict[str, float] = field(default_factory=dict)  # seconds, by check
    overdue: list[str] = field(default_factory=list)  # checks in maintenance past its end
    refused: dict[str, list[str]] = field(default_factory=dict)  # perfdata of last runs, by check
    size: int = 0
    free: int | None = None  # left on its disk
    owner: int = 0
    foreign: list[str] = field(default_factory=list)  # its files of another owner
    readable: bool = False  # by others
    aside: list[str] = field(default_factory=list)  # corrupt ones, set aside


def inspect(directory: str) -> Inspection | None:
    """Inspect the journal in this directory; returns None if there is none that may be used."""
    path = os.path.join(directory, FILE)
    if not os.path.lexists(path):
        return None
    if owner := owner_of(path):
        try:
            return Inspection(**as_user(owner, path, lambda: asdict(_inspect(path))))
        except JournalError as problem:
            return Inspection(path, problem.what, owner=owner)
    return None if refused(directory) else _inspect(path)


def _inspect(path: str) -> Inspection:
    journal = Inspection(path)
    try:
        _inspect_files(journal)
        with closing(connect(path, timeout=2)) as db:
            _inspect_database(journal, db)
    except TROUBLES as problem:
        journal.trouble = getattr(problem, "strerror", "") or str(problem)
        code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
        if isinstance(problem, UnicodeError) or code in _DAMAGE:
            journal.whole = False
    return journal


def _inspect_files(journal: Inspection) -> None:
    status = os.stat(journal.path)
    journal.owner, journal.readable = status.st_uid, bool(status.st_mode & 0o077)
    journal.aside = sorted(glob.glob(f"{glob.escape(journal.path)}.corrupt-*Z"))
    for name in (journal.path, f"{journal.path}-wal", f"{journal.path}-shm"):
        if os.path.exists(name):
            other = os.stat(name)
            journal.size += other.st_size if stat.S_ISREG(other.st_mode) else 0
            if other.st_uid != journal.owner:
                journal.foreign.append(name)
    disk = os.statvfs(os.path.dirname(journal.path))
    journal.free = disk.f_bavail * disk.f_frsize


def _inspect_database(journal: Inspection, db: sqlite3.Connection) -> None:
    if not db.execute("PRAGMA user_version").fetchone()[0]:
        journal.whole = True  # empty: the first run creates the tables
        return
    journal.runs = db.execute("SELECT count(*) FROM runs").fetchone()[0]
    journal.pending, journal.oldest_pending = db.execute(
        "SELECT count(*), min(ended) FROM runs WHERE delivery = 'pending' AND ended IS NOT NULL"
    ).fetchone()
    if db.execute(SHIPPED).fetchone():
        journal.unshipped, journal.oldest_unshipped = db.execute(WAITING).fetchone()
    of_checks = "FROM runs r JOIN checks c ON c.id = r.check_id"
    rejected = db.execute(
        f"SELECT DISTINCT c.name {of_checks} WHERE delivery = 'refused' AND started > ?"
        " ORDER BY c.name",
        (time.time() - _WEEK,),
    )
    journal.rejected = [name for (name,) in rejected]
    windows = (
        "SELECT DISTINCT name FROM maintenance WHERE ended IS NULL AND until < ? ORDER BY name"
    )
    journal.overdue = [name for (name,) in db.execute(windows, (time.time(),))]
    longest = db.execute(
        f"SELECT c.name, max(duration) {of_checks} WHERE duration IS NOT NULL"
        " AND result != 'skip' GROUP BY c.name"
    )
    journal.longest = dict(longest.fetchall())
    printed = db.execute(
        "SELECT c.name, head, omitted, tail FROM checks c JOIN outputs o ON o.id = (SELECT id"
        " FROM runs WHERE check_id = c.id ORDER BY started DESC LIMIT 1) ORDER BY c.name"
    )
    for name, *output in printed:
        if items := perfdata.refused(Excerpt(*output)):
            journal.refused[name] = items
    wrong = wrong_pages(db, PATIENCE, "quick_check")
    journal.whole = None if wrong is None else not wrong
