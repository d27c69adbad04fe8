"""The journal: every run of this user on this host, and the results still to be delivered."""

import posix
import time

from hcrun import start_marker
from hcrun.environment import exists
from hcrun.errors import JournalError
from hcrun.journal.database import DELIVERY, FILE, FIRST_RUN, FLAGS, Database
from hcrun.journal.run import COLUMNS, TABLES, Run, fault, read
from hcrun.paths import directory_of, find_directory
from hcrun.ping.client import LIMIT
from hcrun.results import BAD, LOG, LOST, PENDING, RECOVERS, SKIP, STATES, SUCCESS
from hcrun.settings import Settings
from hcrun.text import listed
from hcrun.units import utc

_PRUNE_EVERY = 50  # runs
UNDELIVERED = "delivery = 'pending' AND ended IS NOT NULL"


class Journal(Database):
    """The journal in a directory. Every method raises JournalError if it cannot be used."""

    def __init__(self, directory: str, timeout: float = 5.0) -> None:
        self.own_rows: set[int] = set()  # rows of the runs that this process records
        self.damaged = 0  # records found that cannot be read
        super().__init__(directory, timeout)

    # The runs of this process

    def begin(
        self, run: Run, pid: int, identity: int, server: str, address: str, row: int | None = None
    ) -> int:
        """Record that a run is in progress; returns its row, by default the next one.

        `address` is "" or "GIVEN URL"; see `Undelivered`, for the other parameters as well. If this
        process vanishes, `find_lost` of another one finds the run.
        """
        key = (run.check, identity)
        with self:
            self._db.execute(
                "INSERT OR IGNORE INTO checks (name, identity, server) VALUES (?, ?, ?)",
                (*key, server),
            )
            inserted = self._db.execute(
                "INSERT INTO runs (id, check_id, run_id, pid, started, command, user, delivery)"
                " SELECT ?, id, ?, ?, ?, ?, ?, ? FROM checks WHERE name = ? AND identity = ?",
                (row, run.run_id, pid, run.started, run.command, run.user)
                + (PENDING if server else None, *key),
            )
            row = inserted.lastrowid
            if inserted.rowcount != 1 or row is None:
                raise ValueError("its table of checks and the index of it differ")
            if address:
                self.keep_address(identity, address)
            self.own_rows.add(row)
            self.try_lock(FIRST_RUN + row)
        return row

    def in_a_row(self, identity: int, result: str, maximum: int) -> int | None:
        """How many runs of the check failed in a row before now, counted up to `maximum`.

        For SUCCESS: how many successes were held back, None unless the server has the check as
        failed, that is, has accepted no success since a failure.
        """
        of_check = "FROM runs r JOIN checks c ON c.id = r.check_id WHERE c.identity = ?"
        last = "ORDER BY r.id DESC LIMIT ?"
        if result == SUCCESS:
            query = f"SELECT result, delivery {of_check} AND result IN {STATES} {last}"
            rows = self.query(query, (identity, 1))
            if not rows or rows[0][0] == SUCCESS or rows[0][1] == PENDING:
                return None
        rows = self.query(
            f"SELECT result {of_check} AND ended IS NOT NULL AND result NOT IN (?, ?) {last}",
            (identity, SKIP, LOG, maximum),
        )
        alike = (RECOVERS,) if result == SUCCESS else BAD
        return [*(result in alike for (result,) in rows), False].index(False)

    def finish(self, row: int, run: Run) -> bool:
        """Record the end of a run; False if its row is not in this file, which is a new one."""
        with self:
            known = self._db.execute(
                "UPDATE runs SET started = ?, ended = ?, duration = ?, status = ?, cpu_user = ?,"
                " cpu_system = ?, memory = ?, result = ?, why = ? WHERE id = ? AND run_id = ?",
                (run.started, run.ended, run.duration, run.status, run.cpu_user, run.cpu_system)
                + (run.memory, run.result, run.why, row, run.run_id),
            ).rowcount
            output = run.excerpt
            if known and (output.head or output.omitted):
                self._db.execute(
                    "INSERT INTO outputs (id, head, omitted, tail) VALUES (?, ?, ?, ?)",
                    (row, output.head, output.omitted, output.tail),
                )
        return bool(known)

    def release(self, row: int) -> None:
        """End this process's hold on a run: others may deliver its result from now on."""
        self.own_rows.discard(row)
        self.unlock(FIRST_RUN + row)
        if row % _PRUNE_EVERY == 0:
            from hcrun.journal.pruning import prune  # rare

            prune(self, time.time())

    # Delivery

    def mark(self, row: int, delivery: str, identity: int) -> None:
        """Record that the result is SENT or REJECTED, and forget the address of its check."""
        self.change("UPDATE runs SET delivery = ? WHERE id = ?", (delivery, row))
        self.forget_address(identity)

    # A ping URL or UUID of a command line is a secret, which must be gone once it is not needed any
    # more. It is in a file of its own: in a database, a copy would stay in the write-ahead log.

    def address_file(self, identity: int | str) -> str:
        return f"{self.path}.url-{identity}"

    def keep_address(self, identity: int, address: str) -> None:
        """Call it within the transaction of the run that needs the address."""
        fd = posix.open(self.address_file(identity), FLAGS, 0o600)
        try:
            if not posix.fstat(fd).st_size:
                posix.write(fd, address.encode())
        finally:
            posix.close(fd)

    def read_address(self, identity: int) -> str:
        try:
            with open(self.address_file(identity), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def forget_address(self, identity: int) -> None:
        """Delete the address of the check, if no run in progress and no result needs it."""
        path = self.address_file(identity)
        if exists(path):
            with self:  # no run begins meanwhile
                if not self._waiting(identity, "delivery = 'pending'", 1) and exists(path):
                    posix.unlink(path)

    def _waiting(self, identity: int, condition: str, maximum: int) -> list[int]:
        rows = self.query(
            "SELECT r.id FROM checks c JOIN runs r ON r.check_id = c.id"  # noqa: S608 - constants
            f" WHERE identity = ? AND {condition} LIMIT ?",
            (identity, maximum),
        )
        return [row for (row,) in rows]

    def adopt(self, own: str = "") -> None:
        """Record the runs that vanished before the journal had them, see `start_marker`.

        Before the run `own` of this process: a later one has a later row, which tells their order.
        """
        for path in start_marker.found():
            if not own or not path.endswith(own):
                from hcrun.journal.vanished import adopt  # rare

                adopt(self, path)

    def find_lost(self, now: float) -> None:
        """Give each run whose hcrun vanished, or whose end is in an `end_marker`, a result."""
        for row, pid, run_id, identity in self.query(
            "SELECT r.id, pid, run_id, identity FROM runs r JOIN checks c ON c.id = r.check_id"
            " WHERE ended IS NULL"
        ):
            if row in self.own_rows or not self.try_lock(FIRST_RUN + row):
                continue
            from hcrun.journal import end_marker  # rare
            from hcrun.processes import with_variable

            why = (
                f"hcrun (pid {pid}) vanished before the command's end: killed, out of memory or a"
                f" reboot; found at {utc(now)}"
            )
            if left := with_variable("HCRUN_RUN_ID", run_id):
                why += f"; still running: {listed(left)}"
            lost = (None, None, 0, LOST, why, PENDING)
            self.change(
                "UPDATE runs SET ended = ifnull(?, started), duration = ?, status = ?, result = ?,"
                " why = ?, delivery = CASE WHEN delivery IS NULL THEN NULL ELSE ? END"
                " WHERE id = ? AND ended IS NULL",
                (*(end_marker.find(self.path, run_id) or lost), row),
            )
            end_marker.forget(self.path, run_id)
            self.forget_address(identity)
            self.unlock(FIRST_RUN + row)

    def has_undelivered(self, server: str = "") -> bool:
        """Whether results are still to be delivered (to `server`)."""
        rows = self.query(
            "SELECT 1 FROM checks c WHERE ? IN ('', server) AND EXISTS ("  # noqa: S608 - a constant
            f"SELECT 1 FROM runs WHERE check_id = c.id AND {UNDELIVERED}) LIMIT 1",
            (server,),
        )
        return bool(rows)

    def count_pending(self) -> int:
        """How many results are still to be delivered."""
        rows = self.query(f"SELECT count(*) FROM runs WHERE {UNDELIVERED}")  # noqa: S608 - a constant
        return int(rows[0][0])

    def has_others_pending(self, identity: int) -> bool:
        """Whether results of the check from other processes wait or are being sent."""
        rows = self._waiting(identity, UNDELIVERED, len(self.own_rows) + 1)
        return not self.own_rows.issuperset(rows)

    def lock_delivery(self, wait: float) -> bool:
        """Become the one process that delivers, within `wait` seconds; False if another one is."""
        until = time.monotonic() + wait
        while not self.try_lock(DELIVERY):
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        return True

    def unlock_delivery(self) -> None:
        self.unlock(DELIVERY)

    def body_limit(self, base: str) -> int:
        """How many bytes of a body the server at `base` keeps."""
        rows = self.query("SELECT bytes FROM limits WHERE base = ?", (base,))
        return rows[0][0] if rows and type(rows[0][0]) is int else LIMIT

    def keep_body_limit(self, base: str, limit: int) -> None:
        if limit != self.body_limit(base):
            self.change("INSERT OR REPLACE INTO limits (base, bytes) VALUES (?, ?)", (base, limit))

    # Reading

    def runs(
        self, check: str = "", failed: bool = False, run_id: str = "", maximum: int = -1
    ) -> list[tuple[Run, str]]:
        """Runs with their delivery, latest first; `run_id` may be the beginning of an id."""
        rows = self.query(
            f"SELECT {COLUMNS}, CASE WHEN ended THEN delivery END {TABLES}"
            " WHERE (? = '' OR c.name = ?)"
            f" AND (? = 0 OR result IN {(*BAD, LOG)}) AND substr(run_id, 1, ?) = ?"
            " ORDER BY r.id DESC LIMIT ?",
            (check, check, failed, len(run_id), run_id, maximum),
        )
        sound = [row for row in rows if not fault(row[:-1])]
        self.damaged += len(rows) - len(sound)
        runs = [(read(columns), str(delivery or "")) for *columns, delivery in sound]
        # Two that started at the same moment may be recorded in any order.
        return sorted(runs, key=lambda each: each[0].started, reverse=True)


def open_existing(read_only: bool = False) -> Journal:
    """Open this user's journal. Raises JournalError if there is none: a reader creates none.

    Root may open that of another user `read_only`.
    """
    settings = Settings.load()
    path = f"{find_directory(settings, posix.geteuid())}/{FILE}"
    try:
        posix.stat(path)
    except FileNotFoundError:
        raise JournalError(
            "there is no journal",
            where=path,
            hint="the first run of hcrun creates it; run this as the user whose runs they are,"
            " or set STATE_DIRECTORY",
        ) from None
    except OSError:  # Journal reports it
        pass
    if read_only:
        from hcrun.journal.foreign import ForeignJournal, owner_of  # not in a run

        if owner := owner_of(path):
            return ForeignJournal(path, owner)
    return Journal(directory_of(settings))
