"""The files of the journal: creating, opening and locking them, setting corrupt ones aside.

All hcruns of a user on a host share one SQLite database in WAL mode. A lock file beside it has one
locked byte for each run in progress. The kernel drops such a lock with its process, whatever ended
it, so a run without an end and without a lock is one whose hcrun vanished. (Process ids would be
wrong across containers and after reuse.)

Times are seconds since the epoch (REAL), durations seconds, sizes bytes. `synchronous=NORMAL`: a
commit survives a kill and a reboot; a power cut may take the last seconds.
"""

import _sqlite3 as sqlite3  # `sqlite3` loads datetime and collections
import fcntl
import posix
import time
from _thread import RLock

from hcrun.environment import create_directory, exists
from hcrun.errors import JournalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE, LOCKS = "journal.db", "journal.lock"
# Bytes of the lock file. Runs that were saved from a damaged journal have rows below 0.
CREATION, DELIVERY, FIRST_RUN = 0, 1, 1 << 40
_VERSION = 1
FLAGS = posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC | posix.O_NOFOLLOW
SCHEMA = f"{__file__.rpartition('/')[0]}/schema.sql"
# What a damaged file makes of SQLite's answers: also text that cannot be decoded, in its errors
# too, numbers that are too large, and sizes for which there is no memory.
TROUBLES = (sqlite3.Error, OSError, ValueError, ArithmeticError, MemoryError)
# Errors that say nothing about what is in the file.
_OUTSIDE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
}


class DamagedText(str):
    """A text of the journal that is not UTF-8: what can be read of it."""


def readable(data: bytes) -> str:
    """A text of the journal, which may be damaged."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return DamagedText(data.decode("utf-8", "replace"))


class Database:
    """The open files of one journal. Every method raises JournalError if they cannot be used.

    All threads share one connection. A process may have only one Database of a directory: the
    kernel drops all locks of a process on a file as soon as it closes one descriptor of it.
    """

    def __init__(self, directory: str, timeout: float = 5.0) -> None:
        self.path = f"{directory}/{FILE}"
        self.set_aside = ""  # the path that a corrupt file was moved to
        self._timeout = timeout
        self._mutex = RLock()
        self._connection: sqlite3.Connection | None = None
        self._locks = -1
        try:
            if not exists(f"{directory}/"):
                create_directory(directory)
            self._locks = posix.open(f"{directory}/{LOCKS}", FLAGS, 0o600)
            try:
                self._connect()
            except TROUBLES as error:
                if not self._corrupt(error):
                    raise
                self.put_aside()
                self._connect()
        except (*TROUBLES, JournalError) as error:
            if self._locks >= 0:
                posix.close(self._locks)
            if isinstance(error, JournalError):
                raise
            raise self._error(error) from None

    @property
    def _db(self) -> sqlite3.Connection:
        return self._connection or self._connect()

    def _connect(self) -> sqlite3.Connection:
        fd = posix.open(self.path, FLAGS, 0o600)
        status = posix.fstat(fd)
        self._inode = status.st_ino
        posix.close(fd)
        if status.st_uid != posix.geteuid():
            raise JournalError(
                f"belongs to user {status.st_uid}, hcrun runs as {posix.geteuid()}",
                where=self.path,
                hint="run as that user, chown it, or set STATE_DIRECTORY",
            )
        if status.st_mode & 0o077:
            posix.chmod(self.path, 0o600)
        self._connection = db = sqlite3.connect(
            self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        db.text_factory = readable
        db.execute("PRAGMA synchronous=NORMAL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            what = f"was written by a newer hcrun (format {version})"
            raise JournalError(what, where=self.path, hint="upgrade hcrun")
        if version < _VERSION:
            self._create(db)
        # Deleted rows and addresses are overwritten: they may be secrets.
        db.execute("PRAGMA secure_delete=ON")
        return db

    def _create(self, db: sqlite3.Connection) -> None:
        """Create the tables, one process at a time: the change to WAL does not wait for locks."""
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, CREATION)
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
                db.execute("PRAGMA auto_vacuum=INCREMENTAL")
                db.execute("PRAGMA journal_mode=WAL")
                db.execute(f"PRAGMA application_id={int(time.time())}")  # see samples.began
                with open(SCHEMA, encoding="utf-8") as file:
                    schema = file.read()
                db.executescript(f"BEGIN;{schema}PRAGMA user_version={_VERSION};COMMIT")
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, CREATION)

    def put_aside(self) -> None:
        """Move a corrupt file out of the way, unless another hcrun has done so already."""
        self._disconnect()
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, CREATION)
        try:
            if exists(self.path) and posix.stat(self.path).st_ino == self._inode:
                stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
                self.set_aside = f"{self.path}.corrupt-{stamp}"
                for suffix in ("-shm", "-wal", ""):
                    if exists(self.path + suffix):
                        posix.rename(self.path + suffix, self.set_aside + suffix)
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, CREATION)

    def _error(self, error: Exception) -> JournalError:
        text, where = str(error), self.path
        hint = "make its directory writable, free some space, or set STATE_DIRECTORY"
        if isinstance(error, OSError):
            text, where = error.strerror or text, str(error.filename or where)
        elif self._corrupt(error):
            try:
                with self._mutex:
                    self.put_aside()
                hint = "it was set aside; the next run creates a new one"
            except OSError as problem:
                hint = f"it is damaged, but cannot be set aside: {problem.strerror}"
        return JournalError(text, where=where, hint=hint)

    def _corrupt(self, error: Exception) -> bool:
        """Whether the file is damaged, or is not ours, and not only what is around it."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return True
        if isinstance(error, UnicodeDecodeError):  # only the text of an error is decoded strictly
            return True
        if code in _OUTSIDE or isinstance(error, OSError):
            return False
        from hcrun.journal import damage  # rare

        return bool(damage.find(self.path))

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def before_fork(self, patience: float) -> bool:
        """Close the files until `after_fork` is called in this process.

        A forked process must not inherit them, nor SQLite's record of its locks on them. Returns
        False if another thread uses them for longer than `patience` seconds.
        """
        if not self._mutex.acquire(timeout=patience):
            return False
        self._disconnect()
        return True

    def after_fork(self) -> None:
        self._mutex.release()

    def query(self, sql: str, values: "tuple[Any, ...]" = ()) -> "list[Any]":
        """The rows that a SELECT returns."""
        try:
            with self._mutex:
                return self._db.execute(sql, values).fetchall()
        except TROUBLES as error:
            raise self._error(error) from None

    def change(self, sql: str, values: "tuple[Any, ...]" = ()) -> int:
        """Run one statement; returns the number of rows that it changed."""
        with self:
            return self._db.execute(sql, values).rowcount

    def __enter__(self) -> None:
        """Begin a transaction: all changes of the `with` block, or none."""
        self._mutex.acquire()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self._mutex.release()
            if isinstance(error, TROUBLES):
                raise self._error(error) from None
            raise

    def __exit__(self, kind: object, error: object, _trace: object) -> None:
        try:
            self._db.execute("ROLLBACK" if kind else "COMMIT")
        except TROUBLES as problem:
            raise self._error(problem) from None
        finally:
            self._mutex.release()
        if isinstance(error, TROUBLES):
            raise self._error(error) from None

    def try_lock(self, byte: int) -> bool:
        """Lock a byte of the lock file; returns False if another process holds it."""
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (OSError, OverflowError):  # the latter: a damaged number
            return False
        return True

    def unlock(self, byte: int) -> None:
        fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, byte)
