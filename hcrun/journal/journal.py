"""The journal: every run of this user on this host, and the results still to be delivered."""

import os
import time
from _collections_abc import Callable, Iterator

from hcrun.errors import JournalError
from hcrun.journal.database import DELIVERY, FILE, FIRST_RUN, Database
from hcrun.journal.run import COLUMNS, TABLES, Run, fault, read
from hcrun.paths import state_directory
from hcrun.ping.client import LIMIT
from hcrun.results import BAD, DAMAGED, LOG, LOST, PENDING, SKIP, SUCCESS
from hcrun.text import listed
from hcrun.units import utc

_PRUNE_EVERY = 50  # runs
_KEPT_FOR = 90 * 86400.0  # seconds
_KEPT_BYTES = 200 * 1000**2
# Another result of the same check has ended since: it is the check's state, and this one is not.
# Runs that overlap are ordered by their ends, others by the order in which they were recorded: the
# clock may have been set back between them.
_SUPERSEDED = """EXISTS (
    SELECT 1 FROM runs n JOIN checks nc ON nc.id = n.check_id
    WHERE nc.identity = c.identity AND n.id != r.id AND n.result IN ('success', 'fail')
    AND CASE WHEN r.duration IS NULL OR n.ended < r.started OR n.started > r.ended THEN n.id > r.id
             ELSE n.ended > r.ended OR (n.ended = r.ended AND n.id > r.id) END)"""


class Pending:
    """A result that is still to be delivered."""

    def __init__(self, row: int, run: Run, address: str, superseded: bool) -> None:
        self.row = row
        self.run = run
        self.address = address
        self.superseded = superseded  # by a later result of the same check


class Journal(Database):
    """The journal in a directory. Every method raises JournalError if it cannot be used."""

    def __init__(self, directory: str, timeout: float = 5.0) -> None:
        self._own: set[int] = set()  # rows of the runs that this process records
        self.damaged = 0  # records found that cannot be read
        super().__init__(directory, timeout)

    # The runs of this process

    def begin(self, run: Run, pid: int, identity: int, address: str) -> int:
        """Record that a run is in progress; returns its row.

        If this process vanishes, `find_lost` of another one finds the run.
        """
        key = (run.check, identity)
        with self:
            self._db.execute("INSERT OR IGNORE INTO checks (name, identity) VALUES (?, ?)", key)
            inserted = self._db.execute(
                "INSERT INTO runs (check_id, run_id, pid, started, command, user, address)"
                " SELECT id, ?, ?, ?, ?, ?, ? FROM checks WHERE name = ? AND identity = ?",
                (run.run_id, pid, run.started, run.command, run.user, address or None, *key),
            )
            row = inserted.lastrowid
            if inserted.rowcount != 1 or row is None:
                raise ValueError("its table of checks and the index of it differ")
            self._own.add(row)
            self.try_lock(FIRST_RUN + row)
        return row

    def failures_before(self, identity: int, maximum: int) -> int:
        """How many runs of the check failed in a row before now, counted up to `maximum`."""
        rows = self.query(
            "SELECT result FROM runs r JOIN checks c ON c.id = r.check_id WHERE c.identity = ?"
            " AND ended IS NOT NULL AND result NOT IN (?, ?) ORDER BY r.id DESC LIMIT ?",
            (identity, SKIP, LOG, maximum),
        )
        results = [result for (result,) in rows]
        return results.index(SUCCESS) if SUCCESS in results else len(results)

    def finish(self, row: int, run: Run) -> bool:
        """Record the end of the run that `begin` recorded as `row`.

        Returns False if that is not in this file: another one was set aside since.
        """
        with self:
            known = self._db.execute(
                "UPDATE runs SET started = ?, ended = ?, duration = ?, status = ?, cpu_user = ?,"
                " cpu_system = ?, memory = ?, result = ?, why = ?,"
                " delivery = CASE WHEN address IS NULL THEN NULL ELSE ? END"
                " WHERE id = ? AND run_id = ?",
                (run.started, run.ended, run.duration, run.status, run.cpu_user, run.cpu_system)
                + (run.memory, run.result, run.why, PENDING, row, run.run_id),
            ).rowcount
            output = run.excerpt
            if known and (output.head or output.omitted):
                self._db.execute(
                    "INSERT INTO outputs VALUES (?, ?, ?, ?)",
                    (row, output.head, output.omitted, output.tail),
                )
        return bool(known)

    def release(self, row: int) -> None:
        """End this process's hold on a run: others may deliver its result from now on.

        Every 50th run prunes the journal.
        """
        self._own.discard(row)
        self.unlock(FIRST_RUN + row)
        if row % _PRUNE_EVERY == 0:
            self.prune(time.time())

    # Delivery

    def mark(self, row: int, delivery: str) -> None:
        """Record that the result is SENT or REJECTED, and forget its address."""
        self.change("UPDATE runs SET delivery = ?, address = NULL WHERE id = ?", (delivery, row))

    def find_lost(self, now: float) -> None:
        """Give each run whose hcrun vanished a result, which is then delivered once.

        The same for a run whose end the journal could not take: see `end_marker`.
        """
        for row, pid, run_id in self.query("SELECT id, pid, run_id FROM runs WHERE ended IS NULL"):
            if row in self._own or not self.try_lock(FIRST_RUN + row):
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
            *end, delivery = end_marker.find(self.path, run_id) or lost
            self.change(
                "UPDATE runs SET ended = ifnull(?, started), duration = ?, status = ?, result = ?,"
                " why = ?, delivery = CASE WHEN address IS NULL THEN NULL ELSE ? END,"
                " address = CASE WHEN ? = ? THEN address END WHERE id = ? AND ended IS NULL",
                (*end, delivery, delivery, PENDING, row),
            )
            end_marker.forget(self.path, run_id)
            self.unlock(FIRST_RUN + row)

    def pending(self, wanted: Callable[[str], bool]) -> Iterator[Pending]:
        """The results to be delivered, oldest first, each read when it is its turn.

        `wanted` decides by the address before that, as there may be very many results that cannot
        be delivered. A run that its own hcrun, or this process, still holds is left out: its result
        is being delivered. A damaged record must not hold up the others: it is marked and left out.
        """
        for row, place in self.query(
            "SELECT id, address FROM runs WHERE delivery = 'pending' ORDER BY ended, id"
        ):
            if row in self._own or not wanted(str(place)) or not self.try_lock(FIRST_RUN + row):
                continue
            try:
                rows = self.query(
                    f"SELECT {COLUMNS}, address, {_SUPERSEDED} {TABLES}"
                    " WHERE r.id = ? AND delivery = 'pending'",
                    (row,),
                )
                for *columns, address, superseded in rows:
                    if fault(columns) or not columns[10] or type(address) is not str:
                        self.damaged += 1
                        self.change("UPDATE runs SET delivery = ? WHERE id = ?", (DAMAGED, row))
                    else:
                        yield Pending(row, read(columns), address, bool(superseded))
            finally:
                self.unlock(FIRST_RUN + row)

    def count_pending(self) -> int:
        """How many results are still to be delivered."""
        return int(self.query("SELECT count(*) FROM runs WHERE delivery = 'pending'")[0][0])

    def has_others_pending(self, identity: int) -> bool:
        """Whether results of the check from other processes wait or are being sent."""
        rows = self.query(
            "SELECT r.id FROM runs r JOIN checks c ON c.id = r.check_id"
            " WHERE delivery = 'pending' AND identity = ?",
            (identity,),
        )
        return any(row not in self._own for (row,) in rows)

    def lock_delivery(self, wait: float) -> bool:
        """Become the one process that delivers old results, within `wait` seconds.

        Returns False if another process is delivering.
        """
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
            self.change("INSERT OR REPLACE INTO limits VALUES (?, ?)", (base, limit))

    # Reading

    def runs(
        self, check: str = "", failed: bool = False, run_id: str = "", maximum: int = -1
    ) -> list[tuple[Run, str]]:
        """Runs with their delivery, latest first; `run_id` may be the beginning of an id."""
        rows = self.query(
            f"SELECT {COLUMNS}, delivery {TABLES} WHERE (? = '' OR c.name = ?)"
            f" AND (? = 0 OR result IN {(*BAD, LOG)}) AND substr(run_id, 1, ?) = ?"
            " ORDER BY r.id DESC LIMIT ?",
            (check, check, failed, len(run_id), run_id, maximum),
        )
        sound = [row for row in rows if not fault(row[:-1])]
        self.damaged += len(rows) - len(sound)
        runs = [(read(columns), str(delivery or "")) for *columns, delivery in sound]
        # Two that started at the same moment may be recorded in any order.
        return sorted(runs, key=lambda each: each[0].started, reverse=True)

    def prune(self, now: float) -> None:
        """Delete runs older than 90 days; then, beyond 200 MB, the oldest ones, outputs first.

        Outputs are deleted until they reach back a quarter as far as the runs. The number of rows
        is bounded, so that no run pays for many.
        """
        self._delete(now - _KEPT_FOR)
        sizes = ("page_count", "freelist_count", "page_size")
        pages, free, size = (self.query(f"PRAGMA {name}")[0][0] for name in sizes)
        if (pages - free) * size > _KEPT_BYTES and not self._delete_outputs(now):
            self._delete(float("inf"))  # also runs that a clock ahead of time dated in the future
        self.query("PRAGMA incremental_vacuum(1000)")

    def _delete(self, before: float) -> None:
        """Delete those of the first 1,000 runs that ended before that time."""
        old = "SELECT id FROM (SELECT id, ended FROM runs ORDER BY id LIMIT 1000) WHERE ended < ?"
        for table in ("outputs", "runs"):
            self.change(f"DELETE FROM {table} WHERE id IN ({old})", (before,))  # noqa: S608 - constants

    def _delete_outputs(self, now: float) -> int:
        """Delete those of the first 1,000 outputs that reach back too far; returns how many."""
        (oldest,) = self.query("SELECT started FROM runs ORDER BY id LIMIT 1")[0]
        return self.change(
            "DELETE FROM outputs WHERE id IN (SELECT id FROM runs JOIN"
            " (SELECT id FROM outputs ORDER BY id LIMIT 1000) USING (id) WHERE started < ?)",
            (now - (now - oldest) / 4,),
        )


def open_existing() -> Journal:
    """Open this user's journal. Raises JournalError if there is none: a reader creates none."""
    directory = state_directory()
    path = os.path.join(directory, FILE)
    try:
        os.stat(path)
    except FileNotFoundError:
        raise JournalError(
            "there is no journal",
            where=path,
            hint="the first run of hcrun creates it; run this as the user whose runs they are,"
            " or set STATE_DIRECTORY",
        ) from None
    except OSError:  # Journal reports it
        pass
    return Journal(directory)
