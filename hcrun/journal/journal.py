"""SQLite: every run, and the results still to be delivered. The files: hcrun.journal.database."""

from __future__ import annotations

import time

from hcrun.excerpt import Excerpt
from hcrun.journal.database import DELIVERY, FIRST_RUN, Database, Transaction
from hcrun.journal.run import Run
from hcrun.ping.body import LIMIT
from hcrun.results import LOST, PENDING, REJECTED, SENT
from hcrun.units import utc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_PRUNE_EVERY = 50  # runs
_KEPT_FOR = 90 * 86400.0  # seconds
_KEPT_BYTES = 200 * 1000**2
# Another result of the same check has ended since: it, not this one, is the check's state. Runs
# that overlap are told apart by their ends, others by the order in which they were recorded: the
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
        self.superseded = superseded  # by a newer result of the same check


class Journal(Database):
    """What hcrun remembers. Raises JournalError from every method when it cannot."""

    def __init__(self, directory: str, timeout: float = 5.0) -> None:
        self._own: set[int] = set()  # rows of the runs that this process records
        super().__init__(directory, timeout)

    # The runs of this process

    def begin(self, run: Run, pid: int, identity: int, address: str) -> int:
        """Record that a run is going; returns its row.

        From now on it is found if this process vanishes.
        """
        with Transaction(self):
            row = self._insert(run, pid, identity, address)
            self._own.add(row)
            self.try_lock(FIRST_RUN + row)
        return row

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

    def failures_before(self, identity: int, maximum: int) -> int:
        """How many runs of the check failed in a row until now; counts up to `most`."""
        count = 0
        for (result,) in self.query(
            "SELECT result FROM runs r JOIN checks c ON c.id = r.check_id WHERE c.identity = ?"
            " AND ended IS NOT NULL AND result NOT IN ('skip', 'log') ORDER BY r.id DESC LIMIT ?",
            (identity, maximum),
        ):
            if result == "success":
                break
            count += 1
        return count

    def finish(self, row: int, run: Run) -> None:
        """Record the end of the run that was begun as `row`."""
        with Transaction(self):
            self._db.execute(
                "UPDATE runs SET started = ?, ended = ?, duration = ?, status = ?, cpu_user = ?,"
                " cpu_system = ?, memory = ?, result = ?, why = ?,"
                " delivery = CASE WHEN address IS NULL THEN NULL ELSE 'pending' END"
                " WHERE id = ? AND run_id = ?",
                (run.started, run.ended, run.duration, run.status, run.cpu_user, run.cpu_system)
                + (run.memory, run.result, run.why, row, run.run_id),
            )
            given = run.excerpt
            if given.head or given.omitted:
                self._db.execute(
                    "INSERT INTO outputs VALUES (?, ?, ?, ?)",
                    (row, given.head, given.omitted, given.tail),
                )

    def release(self, row: int) -> None:
        """Leave the run, and its result if it is still to be delivered, to all processes.

        Every 50th run prunes the journal.
        """
        self._own.discard(row)
        self.unlock(FIRST_RUN + row)
        if row % _PRUNE_EVERY == 0:
            self.prune(time.time())

    # Delivery

    def mark_sent(self, row: int) -> None:
        """Record that the server accepted the result, and forget its address."""
        self._mark(row, SENT)

    def mark_rejected(self, row: int) -> None:
        """Record that the server will never accept the result, and forget its address."""
        self._mark(row, REJECTED)

    def _mark(self, row: int, delivery: str) -> None:
        self.change("UPDATE runs SET delivery = ?, address = NULL WHERE id = ?", (delivery, row))

    def find_lost(self, now: float) -> None:
        """Turn runs whose hcrun vanished into results to be delivered, each once.

        So are those of which the journal could not be told the end.
        """
        for row, pid, run_id in self.query("SELECT id, pid, run_id FROM runs WHERE ended IS NULL"):
            if row in self._own or not self.try_lock(FIRST_RUN + row):
                continue
            from hcrun.journal import end_marker

            lost = (None, None, 0, LOST, _lost_words(pid, now), PENDING)
            *end, delivery = end_marker.find(self.path, run_id) or lost
            self.change(
                "UPDATE runs SET ended = ifnull(?, started), duration = ?, status = ?, result = ?,"
                " why = ?, delivery = CASE WHEN address IS NULL THEN NULL ELSE ? END,"
                " address = CASE WHEN ? = 'pending' THEN address END"
                " WHERE id = ? AND ended IS NULL",
                (*end, delivery, delivery, row),
            )
            end_marker.forget(self.path, run_id)
            self.unlock(FIRST_RUN + row)

    def pending(self, wanted: Callable[[str], bool]) -> Iterator[Pending]:
        """The results to be delivered, oldest first, each looked up when it is its turn.

        `wanted` is asked of its address before that, as there may be very many that cannot be
        delivered. Not those whose own hcrun is still there, or which this process holds: they are
        delivered by themselves.
        """
        for row, goes_to in self.query(
            "SELECT id, address FROM runs WHERE delivery = 'pending' ORDER BY ended, id"
        ):
            if row in self._own or not wanted(goes_to) or not self.try_lock(FIRST_RUN + row):
                continue
            try:
                found = self.query(
                    f"SELECT {_COLUMNS}, address, {_SUPERSEDED} {_TABLES}"
                    " WHERE r.id = ? AND delivery = 'pending'",
                    (row,),
                )
                for *columns, address, superseded in found:
                    yield Pending(row, _run(columns), address, bool(superseded))
            finally:
                self.unlock(FIRST_RUN + row)

    def count_pending(self) -> int:
        """How many results are still to be delivered."""
        return int(self.query("SELECT count(*) FROM runs WHERE delivery = 'pending'")[0][0])

    def has_others_pending(self, identity: int) -> bool:
        """Whether results of that check, of runs that are not this process's, wait or are on
        their way just now."""
        rows = self.query(
            "SELECT r.id FROM runs r JOIN checks c ON c.id = r.check_id"
            " WHERE delivery = 'pending' AND identity = ?",
            (identity,),
        )
        return any(row not in self._own for (row,) in rows)

    def lock_delivery(self, wait: float) -> bool:
        """Be the one process that delivers old results; False when another one is."""
        until = time.monotonic() + wait
        while not self.try_lock(DELIVERY):
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        return True

    def unlock_delivery(self) -> None:
        self.unlock(DELIVERY)

    def body_limit(self, base: str) -> int:
        """What the server at `base` said of the size of a body, in bytes."""
        found = self.query("SELECT bytes FROM limits WHERE base = ?", (base,))
        return int(found[0][0]) if found else LIMIT

    def keep_body_limit(self, base: str, limit: int) -> None:
        if limit != self.body_limit(base):
            self.change("INSERT OR REPLACE INTO limits VALUES (?, ?)", (base, limit))

    # Looking

    def runs(
        self, check: str = "", failed: bool = False, run_id: str = "", maximum: int = -1
    ) -> list[tuple[Run, str]]:
        """Runs, newest first, each with its delivery; `run_id` may be the beginning of one."""
        rows = self.query(
            f"SELECT {_COLUMNS}, delivery {_TABLES} WHERE (? = '' OR c.name = ?)"
            " AND (? = 0 OR result IN ('fail', 'held', 'lost', 'log')) AND substr(run_id, 1, ?) = ?"
            " ORDER BY r.id DESC LIMIT ?",
            (check, check, failed, len(run_id), run_id, maximum),
        )
        found = [(_run(columns), delivery or "") for *columns, delivery in rows]
        # Two that started in the same moment may be recorded in any order.
        return sorted(found, key=lambda each: each[0].started, reverse=True)

    def prune(self, now: float) -> None:
        """Forget what is older than 90 days; then, beyond 200 MB, the oldest, outputs first.

        Not all outputs go before the first run does: they reach back a quarter as far as the runs.
        A bounded number of rows at a time, so that no run pays for many.
        """
        self._forget(now - _KEPT_FOR)
        if self._size() > _KEPT_BYTES and not self._drop_outputs(now):
            self._forget(float("inf"))  # also what a clock that was ahead has dated later than now
        self.query("PRAGMA incremental_vacuum(1000)")

    def _forget(self, before: float) -> None:
        """Of the 1,000 first recorded runs, those that ended before that time."""
        old = "SELECT id FROM (SELECT id, ended FROM runs ORDER BY id LIMIT 1000) WHERE ended < ?"
        for table in ("outputs", "runs"):
            self.change(f"DELETE FROM {table} WHERE id IN ({old})", (before,))  # noqa: S608 - constants

    def _drop_outputs(self, now: float) -> int:
        """Of the 1,000 oldest outputs, those that reach back too far; returns how many went."""
        (oldest,) = self.query("SELECT started FROM runs ORDER BY id LIMIT 1")[0]
        return self.change(
            "DELETE FROM outputs WHERE id IN (SELECT id FROM runs JOIN"
            " (SELECT id FROM outputs ORDER BY id LIMIT 1000) USING (id) WHERE started < ?)",
            (now - (now - oldest) / 4,),
        )

    def _size(self) -> int:
        pages, free, size = (
            self.query(f"PRAGMA {name}")[0][0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)


_COLUMNS = (
    "c.name, run_id, pid, started, ended, duration, status, cpu_user, cpu_system, memory, result,"
    " why, command, user, head, omitted, tail"
)
_TABLES = "FROM runs r JOIN checks c ON c.id = r.check_id LEFT JOIN outputs o ON o.id = r.id"


def _run(columns: list[Any]) -> Run:
    run = Run(columns[1], columns[3])
    run.check = columns[0]
    run.ended, run.duration, run.status = columns[4:7]
    run.cpu_user, run.cpu_system, run.memory = columns[7:10]
    run.result, run.why = columns[10] or "", columns[11] or f"going, pid {columns[2]}"
    run.command, run.user = columns[12:14]
    if columns[14] is not None:
        run.excerpt = Excerpt(*columns[14:])
    return run


def _lost_words(pid: int, now: float) -> str:
    return (
        f"hcrun (pid {pid}) vanished before the command's end: killed, out of memory or a reboot;"
        f" found at {utc(now)}"
    )
