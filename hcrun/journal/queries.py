"""Sums over the runs in this host's journal, with one query for all checks.

Checks are named as in `hcrun NAME -- ...`. Times are seconds since the epoch, durations seconds. A
run belongs to the time at which it started. All functions raise JournalError.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import NamedTuple

from hcrun.formats.perfdata import read_lines
from hcrun.journal.database import Database
from hcrun.results import BAD, GOOD, LOG, REMEDY, RESULTS, SKIP, STATES, SUCCESS
from hcrun.text import shortened

# CROSS: one range of the index runs_by_start per check; no row is read.
_IN = "FROM checks c CROSS JOIN runs r ON r.check_id = c.id WHERE r.started >= ? AND r.started < ?"
_LAST = (
    "r.started, coalesce(r.ended, r.started), r.duration, coalesce(r.result, ''),"
    " coalesce(r.why, ''), r.status, r.id"
)
# Conditions for `newest`. A result that --fail-after or --recover-after holds back, or --on-exit
# logs, does not decide the state of the check.
ENDED = f"result != '{SKIP}'"
STARTED = f"(result IS NULL OR {ENDED})"
SUCCEEDED = f"result IN {GOOD}"
DECIDES = f"result IN {STATES}"
_LONGEST = 200  # characters of a line
# One pass in the order of the index: grouping by the result as well would sort all runs.
_COUNTS = ", ".join(f"count(*) FILTER (WHERE result = '{result}')" for result in RESULTS)


@dataclass(frozen=True)
class RunCounts:
    """The runs of one check in a period."""

    results: Counter[str] = field(default_factory=Counter)  # runs by result
    seconds: float = 0.0  # the sum of the durations that are known
    timed: int = 0  # how many are known

    def __add__(self, other: "RunCounts") -> "RunCounts":
        results = self.results + other.results
        return RunCounts(results, self.seconds + other.seconds, self.timed + other.timed)

    @property
    def good(self) -> int:
        return sum(self.results[result] for result in GOOD)

    @property
    def bad(self) -> int:
        return sum(self.results[result] for result in BAD)

    @property
    def ratio(self) -> float | None:
        """Good runs of those that count, 0 to 1; None if none counts."""
        total = self.good + self.bad
        return self.good / total if total else None

    @property
    def mean(self) -> float | None:
        """The mean duration; None if no duration is known."""
        return self.seconds / self.timed if self.timed else None


class LastRun(NamedTuple):
    """The latest run of a check, for a line of a table."""

    started: float
    ended: float  # of a run in progress: its start
    duration: float | None  # None: its hcrun vanished
    result: str  # "": in progress
    why: str
    status: int = 0  # its exit status
    row: int = 0
    output: str = ""  # of a failure: the last line that it printed

    @property
    def text(self) -> str:
        """Why it ended so, and the last line that it printed."""
        return f"{self.why}: {self.output}" if self.output else self.why


@singledispatch
def narrow(database: Database, names: Sequence[str]) -> None:
    """Ask for these checks alone from now on, where it takes long to read all."""


@singledispatch
def run_counts(
    database: Database, since: float, until: float, *, timed: bool = True
) -> dict[str, RunCounts]:
    """How many runs of each check ended with which result and, if `timed`, how long they took."""
    ran = f"FILTER (WHERE result != '{SKIP}')"  # a skipped run took no time
    sums = f"total(duration) {ran}, count(duration) {ran}" if timed else "0.0, 0"
    query = f"SELECT c.name, {sums}, {_COUNTS} {_IN} GROUP BY c.name"
    rows = database.query(query, (since, until))
    # The + of a Counter drops the zeros.
    return {
        name: RunCounts(+Counter(dict(zip(RESULTS, counts, strict=True))), seconds, timed)
        for name, seconds, timed, *counts in rows
    }


@singledispatch
def durations(
    database: Database, since: float, until: float, condition: str = ENDED
) -> Mapping[str, Sequence[float]]:
    """How long the runs of each check took, shortest first, without skipped ones."""
    by_check: dict[str, list[float]] = {}
    rows = database.query(
        f"SELECT c.name, duration {_IN} AND duration IS NOT NULL AND {condition} ORDER BY duration",
        (since, until),
    )
    for name, duration in rows:
        by_check.setdefault(name, []).append(duration)
    return by_check


def newest_results(database: Database, name: str, since: float) -> list[tuple[str, float, float]]:
    """Result, start and end of the runs of a check that ended after `since`, latest first."""
    rows = database.query(
        "SELECT result, r.started, r.ended FROM checks c CROSS JOIN runs r ON r.check_id = c.id"
        " WHERE c.name = ? AND r.ended > ? ORDER BY r.id DESC",
        (name, since),
    )
    return [(str(result), float(started), float(ended)) for result, started, ended in rows]


@singledispatch
def last_failures(
    database: Database, now: float, since: float = -math.inf, until: float = math.inf
) -> dict[str, LastRun]:
    """The latest failed run of each check, with the last line that it printed."""
    condition = f"result IN {BAD} AND started >= ? AND started < ?"
    runs = newest(database, condition, now, (since, until))
    marks = ",".join("?" * len(runs))
    ends = database.query(
        "SELECT id, substr(CASE WHEN omitted THEN tail ELSE head END, -2000)"  # noqa: S608 - marks
        f" FROM outputs WHERE id IN ({marks})",
        tuple(run.row for run in runs.values()),
    )
    lines = {row: last_line(end) for row, end in ends}
    return {name: run._replace(output=lines.get(run.row, "")) for name, run in runs.items()}


def last_line(text: str) -> str:
    """The last line of an output that is not empty, without the perfdata of a probe."""
    lines = [words for line in read_lines(text.rstrip()) if (words := line.words.strip())]
    return shortened(lines[-1] if lines else "", _LONGEST)


@singledispatch
def newest(
    database: Database, condition: str, now: float, values: tuple[float, ...] = ()
) -> dict[str, LastRun]:
    """The latest run of each check that meets the condition, oldest first.

    A run in the future, dated by a clock that was ahead, counts only if there is no other: it would
    hide all runs until that time comes.
    """
    runs = f"SELECT id FROM runs WHERE check_id = c.id AND {condition}"  # noqa: S608 - constants
    last = "ORDER BY started DESC, id DESC LIMIT 1"
    rows = database.query(
        f"SELECT c.name, {_LAST} FROM checks c JOIN runs r ON r.id ="  # noqa: S608 - constants
        f" coalesce(({runs} AND started <= ? {last}), ({runs} {last}))"
        " ORDER BY r.started <= ?, r.started",
        (*values, now, *values, now),
    )
    return {name: LastRun(*row) for name, *row in rows}


@dataclass(frozen=True)
class Change:
    """A run that ended differently from the one before it, or began long after it."""

    before: float | None  # when the one before started; None: this is the first
    started: float
    ended: float
    good: bool


@singledispatch
def changes(
    database: Database, since: float, until: float, gaps: Mapping[str, float]
) -> dict[str, list[Change]]:
    """The changes of the checks in `gaps`, oldest first; the values are long gaps in seconds."""
    by_check: dict[str, list[Change]] = {}
    for name, gap in gaps.items():
        before, was_good = None, False
        # Comparing them here takes half the time of SQLite's window functions.
        for started, ended, good in database.query(
            f"SELECT started, ended, result = '{SUCCESS}' FROM runs"  # noqa: S608 - constants
            " WHERE check_id IN (SELECT id FROM checks WHERE name = ?) AND started >= ?"
            f" AND started < ? AND result IN {STATES} ORDER BY started, id",
            (name, since, until),
        ):
            if before is None or good != was_good or started - before > gap:
                by_check.setdefault(name, []).append(Change(before, started, ended, bool(good)))
            before, was_good = started, good
    return by_check


@singledispatch
def remedies(database: Database, since: float, until: float) -> dict[str, tuple[int, int]]:
    """How many remedies (see `hcrun.run.remedy`) each check had, and how many of them helped."""
    following = (
        f"SELECT min(id) FROM runs WHERE check_id = c.id AND id > r.id AND result IN {STATES}"  # noqa: S608 - constants
    )
    rows = database.query(
        "SELECT c.name, count(*),"  # noqa: S608 - constants
        f" count((SELECT 1 FROM runs WHERE id = ({following}) AND result = '{SUCCESS}'))"
        f" {_IN} AND result = '{LOG}' AND why LIKE '{REMEDY}%' GROUP BY c.name",
        (since, until),
    )
    return {name: (ran, helped) for name, ran, helped in rows}


@singledispatch
def pending(database: Database) -> dict[str, int]:
    """How many results of each check are still to be delivered."""
    rows = database.query(
        "SELECT c.name, count(*) FROM runs r JOIN checks c ON c.id = r.check_id"
        " WHERE delivery = 'pending' AND ended IS NOT NULL GROUP BY c.name"
    )
    return dict(rows)


def oldest_start(database: Database) -> float | None:
    """When the oldest recorded run started; None if there is none."""
    return min(first_starts(database).values(), default=None)


@singledispatch
def first_starts(database: Database) -> dict[str, float]:
    """When the oldest recorded run of each check started."""
    oldest = "SELECT min(started) FROM runs WHERE check_id = c.id"
    return dict(
        database.query(
            f"SELECT name, min(({oldest})) AS first FROM checks c"  # noqa: S608 - constants
            " GROUP BY name HAVING first IS NOT NULL"
        )
    )
