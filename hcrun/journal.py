"""SQLite: every run, and the results still to be delivered.

One file for all hcruns of a user on a host, in WAL mode; a lock file beside it tells, by one
locked byte per run, which runs are still going: the kernel drops such a lock with its process,
whatever ended it, so a run without end and without lock is one whose hcrun vanished. (Process
ids would be wrong across containers and after reuse.)

Times are seconds since the epoch (REAL), durations seconds, sizes bytes. `synchronous=NORMAL`:
what is committed survives a kill and a reboot; a power cut may take the last seconds.
"""

from __future__ import annotations

import fcntl
import os
import time

from hcrun.body import LIMIT, Excerpt
from hcrun.errors import JournalError
from hcrun.record import LOST, Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from typing import Any
else:
    import _sqlite3 as sqlite3  # see hcrun.lean

FILE = "journal.db"
_VERSION = 1
_KEPT_FOR = 90 * 86400.0
_KEPT_BYTES = 200 * 1000**2
_SCHEMA = """
CREATE TABLE checks (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,         -- what people call it
    identity INTEGER NOT NULL,  -- the same for all names of one ping URL
    UNIQUE (name, identity)
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,     -- also the byte of the lock file
    check_id INTEGER NOT NULL REFERENCES checks (id),
    run_id TEXT NOT NULL,       -- UUID; the rid of its pings
    pid INTEGER NOT NULL,
    started REAL NOT NULL,
    ended REAL,                 -- NULL while it is going
    duration REAL,              -- NULL when its hcrun vanished
    status INTEGER NOT NULL DEFAULT 0,
    cpu_user REAL NOT NULL DEFAULT 0,
    cpu_system REAL NOT NULL DEFAULT 0,
    memory INTEGER NOT NULL DEFAULT 0,
    result TEXT,                -- success, fail, log, skip, lost
    why TEXT,
    command TEXT NOT NULL,
    user TEXT NOT NULL,
    address TEXT,               -- the ping URL, only as long as it is needed
    delivery TEXT               -- pending, sent, refused; NULL: nothing to deliver
);
CREATE INDEX runs_by_check ON runs (check_id, ended);
CREATE INDEX runs_by_start ON runs (started);
CREATE INDEX runs_open ON runs (id) WHERE ended IS NULL;
CREATE INDEX runs_pending ON runs (ended) WHERE delivery = 'pending';
CREATE TABLE outputs (
    id INTEGER PRIMARY KEY REFERENCES runs (id),
    head TEXT NOT NULL,
    omitted INTEGER NOT NULL,
    tail TEXT NOT NULL
);
CREATE TABLE limits (base TEXT PRIMARY KEY, bytes INTEGER NOT NULL); -- Ping-Body-Limit
"""
_CREATION, _DELIVERY, _FIRST_RUN = 0, 1, 1000  # bytes of the lock file
# Another result of the same check has ended since: it, not this one, is the check's state.
_SUPERSEDED = """EXISTS (
    SELECT 1 FROM runs n JOIN checks nc ON nc.id = n.check_id
    WHERE nc.identity = c.identity AND n.id != r.id AND n.result IN ('success', 'fail')
    AND CASE WHEN r.duration IS NULL THEN n.started > r.started
             ELSE n.ended > r.ended OR (n.ended = r.ended AND n.id > r.id) END)"""


class Pending:
    """A result that is still to be delivered."""

    def __init__(self, row: int, run: Run, address: str, superseded: bool) -> None:
        self.row = row
        self.run = run
        self.address = address
        self.superseded = superseded  # by a newer result of the same check


class Journal:
    """Raises JournalError from every method when the file cannot be used."""

    def __init__(self, directory: str, timeout: float = 5.0) -> None:
        self.path = os.path.join(directory, FILE)
        self.set_aside = ""  # where a corrupt file was moved to
        self._locks = -1
        self._row = 0  # of the run that this process records
        try:
            self._open(directory, timeout)
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from None

    def _open(self, directory: str, timeout: float) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._locks = os.open(os.path.join(directory, "journal.lock"), flags, 0o600)
        fd = os.open(self.path, flags, 0o600)
        status = os.fstat(fd)
        self._inode = status.st_ino
        os.close(fd)
        if status.st_uid != os.geteuid():
            raise JournalError(
                f"belongs to user {status.st_uid}, hcrun runs as {os.geteuid()}",
                where=self.path,
                hint="chown it, or set STATE_DIRECTORY to a directory of this user's",
            )
        if status.st_mode & 0o077:
            os.chmod(self.path, 0o600)
        try:
            self._connect(timeout)
        except sqlite3.DatabaseError as error:
            if not _corrupt(error):
                raise
            self._set_aside()
            os.close(os.open(self.path, flags, 0o600))
            self._connect(timeout)

    def _connect(self, timeout: float) -> None:
        self._db = sqlite3.connect(
            self.path, timeout=timeout, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA synchronous=NORMAL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise JournalError(
                f"was written by a newer hcrun (format {version})",
                where=self.path,
                hint="upgrade this one",
            )
        if version < _VERSION:
            self._create()
        # Deleted rows and addresses are overwritten: they may be secrets.
        self._db.execute("PRAGMA secure_delete=ON")

    def _create(self) -> None:
        """Make the tables, one process at a time: the change to WAL does not wait for locks."""
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, _CREATION)
        try:
            if self._db.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
                self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version={_VERSION};COMMIT")
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, _CREATION)

    def _set_aside(self) -> None:
        """Move a corrupt file out of the way, unless another hcrun has done so already."""
        self._db.close()
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, _CREATION)
        try:
            if os.path.exists(self.path) and os.stat(self.path).st_ino == self._inode:
                stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
                self.set_aside = f"{self.path}.corrupt-{stamp}"
                for suffix in ("-shm", "-wal", ""):
                    if os.path.exists(self.path + suffix):
                        os.rename(self.path + suffix, self.set_aside + suffix)
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, _CREATION)

    def _error(self, error: Exception) -> JournalError:
        if isinstance(error, OSError):
            text, where = error.strerror or str(error), str(error.filename or self.path)
        else:
            text, where = str(error), self.path
        if isinstance(error, sqlite3.DatabaseError) and _corrupt(error):
            self._set_aside()
            hint = "it was set aside, the next run begins a new one"
        else:
            hint = "its directory must be writable; STATE_DIRECTORY chooses it"
        return JournalError(text, where=where, hint=hint)

    def prune(self, now: float) -> None:
        """Forget what is older than 90 days; then, beyond 200 MB, outputs first, oldest first.

        A bounded number of rows at a time, so that no run pays for many.
        """
        oldest = "SELECT id FROM runs WHERE started < ? AND ended IS NOT NULL ORDER BY started"
        for table in ("outputs", "runs"):
            self._change(
                f"DELETE FROM {table} WHERE id IN ({oldest} LIMIT 1000)",  # noqa: S608 - constants
                (now - _KEPT_FOR,),
            )
        if self._size() > _KEPT_BYTES:
            gone = self._change(
                "DELETE FROM outputs WHERE id IN (SELECT id FROM outputs ORDER BY id LIMIT 1000)"
            )
            if not gone:
                self._change(f"DELETE FROM runs WHERE id IN ({oldest} LIMIT 1000)", (now,))  # noqa: S608
        self._query("PRAGMA incremental_vacuum(1000)")

    def _size(self) -> int:
        pages, free, size = (
            self._query(f"PRAGMA {name}")[0][0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    # A run of this process

    def begin(self, run: Run, pid: int, identity: int, address: str) -> None:
        """Record that a run is going; from now on it is found if this process vanishes."""
        with _Transaction(self):
            self._row = self._insert(run, pid, identity, address)
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _FIRST_RUN + self._row)

    def _insert(self, run: Run, pid: int, identity: int, address: str) -> int:
        key = (run.check, identity)
        self._db.execute("INSERT OR IGNORE INTO checks (name, identity) VALUES (?, ?)", key)
        cursor = self._db.execute(
            "INSERT INTO runs (check_id, run_id, pid, started, command, user, address)"
            " SELECT id, ?, ?, ?, ?, ?, ? FROM checks WHERE name = ? AND identity = ?",
            (run.run_id, pid, run.started, run.command, run.user, address or None, *key),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def failures_before(self, identity: int, most: int) -> int:
        """How many runs of the check failed in a row until now; counts up to `most`."""
        count = 0
        for (result,) in self._query(
            "SELECT result FROM runs r JOIN checks c ON c.id = r.check_id WHERE c.identity = ?"
            " AND ended IS NOT NULL AND result != 'skip' ORDER BY ended DESC LIMIT ?",
            (identity, most),
        ):
            if result == "success":
                break
            count += 1
        return count

    def finish(self, run: Run) -> int:
        """Record the end of the run that was begun; returns its row."""
        with _Transaction(self):
            self._db.execute(
                "UPDATE runs SET started = ?, ended = ?, duration = ?, status = ?, cpu_user = ?,"
                " cpu_system = ?, memory = ?, result = ?, why = ?,"
                " delivery = CASE WHEN address IS NULL THEN NULL ELSE 'pending' END WHERE id = ?",
                (run.started, run.ended, run.duration, run.status, run.cpu_user, run.cpu_system)
                + (run.memory, run.result, run.why, self._row),
            )
            given = run.excerpt
            if given.head or given.omitted:
                self._db.execute(
                    "INSERT INTO outputs VALUES (?, ?, ?, ?)",
                    (self._row, given.head, given.omitted, given.tail),
                )
        return self._row

    # Delivery

    def settle(self, row: int, delivery: str) -> None:
        """Note that a result was `sent`, or `refused` for good; its address is forgotten."""
        self._change("UPDATE runs SET delivery = ?, address = NULL WHERE id = ?", (delivery, row))

    def find_lost(self, now: float) -> None:
        """Turn runs whose hcrun vanished into results to be delivered, each once."""
        rows = self._query("SELECT id, pid FROM runs WHERE ended IS NULL AND id != ?", (self._row,))
        for row, pid in rows:
            if not self._try_lock(_FIRST_RUN + row):
                continue
            self._change(
                "UPDATE runs SET ended = started, result = ?, why = ?,"
                " delivery = CASE WHEN address IS NULL THEN NULL ELSE 'pending' END"
                " WHERE id = ? AND ended IS NULL",
                (LOST, _lost_words(pid, now), row),
            )
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, _FIRST_RUN + row)

    def pending(self, but: int = 0) -> Iterator[Pending]:
        """The results to be delivered, oldest first, each looked up when it is its turn."""
        for (row,) in self._query(
            "SELECT id FROM runs WHERE delivery = 'pending' AND id != ? ORDER BY ended, id", (but,)
        ):
            found = self._query(
                f"SELECT {_COLUMNS}, address, {_SUPERSEDED} {_TABLES}"
                " WHERE r.id = ? AND delivery = 'pending'",
                (row,),
            )
            for *columns, address, superseded in found:
                yield Pending(row, _run(columns), address, bool(superseded))

    def has_older_pending(self, row: int, identity: int) -> bool:
        """Whether a result of the same check, older than `row`, may be on its way just now."""
        return bool(
            self._query(
                "SELECT 1 FROM runs r JOIN checks c ON c.id = r.check_id"
                " WHERE delivery = 'pending' AND identity = ? AND r.id != ? LIMIT 1",
                (identity, row),
            )
        )

    def lock_delivery(self, wait: float) -> bool:
        """Be the one process that delivers old results; False when another one is."""
        until = time.monotonic() + wait
        while not self._try_lock(_DELIVERY):
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        return True

    def unlock_delivery(self) -> None:
        fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, _DELIVERY)

    def body_limit(self, base: str) -> int:
        """What the server at `base` said of the size of a body, in bytes."""
        found = self._query("SELECT bytes FROM limits WHERE base = ?", (base,))
        return int(found[0][0]) if found else LIMIT

    def keep_body_limit(self, base: str, limit: int) -> None:
        if limit != self.body_limit(base):
            self._change("INSERT OR REPLACE INTO limits VALUES (?, ?)", (base, limit))

    # Looking

    def runs(
        self, check: str = "", failed: bool = False, run_id: str = "", most: int = -1
    ) -> list[tuple[Run, str]]:
        """Runs, newest first, each with its delivery; `run_id` may be the beginning of one."""
        rows = self._query(
            f"SELECT {_COLUMNS}, delivery {_TABLES} WHERE (? = '' OR c.name = ?)"
            " AND (? = 0 OR result IN ('fail', 'lost', 'log')) AND substr(run_id, 1, ?) = ?"
            " ORDER BY r.started DESC, r.id DESC LIMIT ?",
            (check, check, failed, len(run_id), run_id, most),
        )
        return [(_run(columns), delivery or "") for *columns, delivery in rows]

    # Plumbing

    def _query(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _change(self, sql: str, values: tuple[Any, ...] = ()) -> int:
        with _Transaction(self):
            return self._db.execute(sql, values).rowcount

    def _try_lock(self, byte: int) -> bool:
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError:
            return False
        return True


class _Transaction:
    """All or nothing, and every trouble a JournalError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __enter__(self) -> None:
        try:
            self._journal._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise self._journal._error(error) from None

    def __exit__(self, kind: object, error: object, _trace: object) -> None:
        try:
            self._journal._db.execute("ROLLBACK" if kind else "COMMIT")
        except sqlite3.Error as problem:
            raise self._journal._error(problem) from None
        if isinstance(error, (sqlite3.Error, OSError)):
            raise self._journal._error(error) from None


_COLUMNS = (
    "c.name, run_id, pid, started, ended, duration, status, cpu_user, cpu_system, memory, result,"
    " why, command, user, head, omitted, tail"
)
_TABLES = "FROM runs r JOIN checks c ON c.id = r.check_id LEFT JOIN outputs o ON o.id = r.id"


def _run(columns: list[Any]) -> Run:
    run = Run(columns[1])
    run.check = columns[0]
    run.started, run.ended, run.duration, run.status = columns[3:7]
    run.cpu_user, run.cpu_system, run.memory = columns[7:10]
    run.result, run.why = columns[10] or "", columns[11] or f"going, pid {columns[2]}"
    run.command, run.user = columns[12:14]
    run.host = os.uname().nodename
    if columns[14] is not None:
        run.excerpt = Excerpt(*columns[14:])
    return run


def _lost_words(pid: int, now: float) -> str:
    seen = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    return (
        f"hcrun (pid {pid}) vanished before the command's end: killed, out of memory or a reboot;"
        f" found at {seen}"
    )


def _corrupt(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )
