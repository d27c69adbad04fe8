"""What this host's journal knows of runs, summed up: one query for all checks each.

A check is known by its name, as `hcrun NAME -- ...` has it. Times are seconds since the epoch,
durations seconds; a run belongs to the time at which it started. All raise JournalError.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hcrun.formats.perfdata import read_line
from hcrun.journal.database import Database
from hcrun.results import BAD, FAIL, LOST, RESULTS, SUCCESS
from hcrun.text import shortened

# CROSS: check by check, each a range of the index runs_by_start, and no row is read.
_IN = "FROM checks c CROSS JOIN runs r ON r.check_id = c.id WHERE r.started >= ? AND r.started < ?"
_LAST = "r.started, r.ended, r.duration, coalesce(r.result, ''), coalesce(r.why, '')"
_LONGEST = 200  # characters of a line
# One pass in the order of the index: to group by the result as well, all runs had to be sorted.
_COUNTS = ", ".join(f"count(*) FILTER (WHERE result = '{result}')" for result in RESULTS)


@dataclass(frozen=True)
class RunCounts:
    """The runs of one check in some time."""

    results: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> int:
        return self.results[SUCCESS]

    @property
    def bad(self) -> int:
        return sum(self.results[result] for result in BAD)

    @property
    def ratio(self) -> float | None:
        """Good ones of those that count, 0 to 1; None when none counts."""
        total = self.good + self.bad
        return self.good / total if total else None


@dataclass(frozen=True)
class Last:
    """A run, as far as a line of a table tells it."""

    started: float
    ended: float | None  # None: still going
    duration: float | None
    result: str  # "": still going
    why: str
    said: str = ""  # of a failure: the last line that it printed

    @property
    def words(self) -> str:
        """Why, and what it said of it itself."""
        return f"{self.why}: {self.said}" if self.said else self.why


def tallies(store: Database, since: float, until: float) -> dict[str, RunCounts]:
    """How many runs ended how."""
    found: dict[str, RunCounts] = {}
    rows = store.query(f"SELECT c.name, {_COUNTS} {_IN} GROUP BY c.id", (since, until))
    for name, *counts in rows:
        found.setdefault(name, RunCounts()).results.update(_results(counts))
    return found


def _results(counts: Sequence[int]) -> Counter[str]:
    """Those that there were."""
    return Counter({result: count for result, count in zip(RESULTS, counts, strict=True) if count})


@dataclass(frozen=True)
class Daily(RunCounts):
    """The runs of one check on one day."""

    seconds: float = 0.0  # that those took whose duration is known
    timed: int = 0  # how many those are

    @property
    def mean(self) -> float | None:
        return self.seconds / self.timed if self.timed else None


def daily(store: Database, since: float, until: float) -> dict[str, Daily]:
    """How many runs ended how, and how long they took."""
    found: dict[str, Daily] = {}
    ran = "FILTER (WHERE result != 'skip')"  # the others took no time
    rows = store.query(
        f"SELECT c.name, total(duration) {ran}, count(duration) {ran}, {_COUNTS} {_IN}"
        " GROUP BY c.id",
        (since, until),
    )
    for name, seconds, timed, *counts in rows:
        before = found.get(name, Daily())
        results = before.results + _results(counts)
        found[name] = Daily(results, before.seconds + seconds, before.timed + timed)
    return found


def durations(store: Database, since: float, until: float) -> dict[str, list[float]]:
    """How long runs took, shortest first; those that were skipped took no time."""
    found: dict[str, list[float]] = {}
    rows = store.query(
        f"SELECT c.name, duration {_IN} AND duration IS NOT NULL AND result != 'skip'"
        " ORDER BY duration",
        (since, until),
    )
    for name, duration in rows:
        found.setdefault(name, []).append(duration)
    return found


def last_runs(store: Database, now: float) -> dict[str, Last]:
    """The newest run of each check that was not skipped."""
    return _newest(store, "(result IS NULL OR result != 'skip')", now)


def last_results(store: Database, now: float) -> dict[str, Last]:
    """The newest run of each check that says how it is: a success or a failure.

    Not one that was held back, or that said itself that it does not count: the server puts those
    into its log, and they change nothing.
    """
    return _newest(store, f"result IN {(SUCCESS, FAIL, LOST)}", now)


def last_failures(
    store: Database, now: float, since: float = -math.inf, until: float = math.inf
) -> dict[str, Last]:
    """The newest run of each check that failed."""
    condition = f"result IN {BAD} AND started >= ? AND started < ?"
    rows = newest(store, f"r.id, {_LAST}", condition, now, (since, until))
    marks = ",".join("?" * len(rows))
    ends = store.query(
        "SELECT id, substr(CASE WHEN omitted THEN tail ELSE head END, -2000)"  # noqa: S608 - marks
        f" FROM outputs WHERE id IN ({marks})",
        tuple(row for row, *_ in rows.values()),
    )
    said = {row: last_line(end) for row, end in ends}
    return {name: Last(*[*columns, said.get(row, "")]) for name, (row, *columns) in rows.items()}


def last_line(text: str) -> str:
    """Of an output the last that is not empty, without the figures of a probe."""
    lines = text.rstrip().rsplit("\n", 1)
    line = lines[-1].strip()
    words = line.partition("|")[0].rstrip() if read_line(line) else line
    return shortened(words, _LONGEST)


def _newest(store: Database, condition: str, now: float) -> dict[str, Last]:
    rows = newest(store, _LAST, condition, now)
    return {name: Last(*row) for name, row in rows.items()}


def newest(
    store: Database, columns: str, condition: str, now: float, values: tuple[float, ...] = ()
) -> dict[str, list[Any]]:
    """The newest run of each check that meets the condition, oldest first.

    One that a clock which was ahead has dated later than now is the newest only where there is no
    other: else it would hide all that happens until that time comes.
    """
    found = f"SELECT id FROM runs WHERE check_id = c.id AND {condition}"  # noqa: S608 - constants
    last = "ORDER BY started DESC, id DESC LIMIT 1"
    rows = store.query(
        f"SELECT c.name, {columns} FROM checks c JOIN runs r ON r.id ="  # noqa: S608 - constants
        f" coalesce(({found} AND started <= ? {last}), ({found} {last}))"
        " ORDER BY r.started <= ?, r.started",
        (*values, now, *values, now),
    )
    return {name: row for name, *row in rows}


@dataclass(frozen=True)
class Change:
    """A run that ended otherwise than the one before it, or that began long after it."""

    before: float | None  # when that one started; None: this is the first
    started: float
    ended: float
    good: bool


def changes(
    store: Database, since: float, until: float, gaps: Mapping[str, float]
) -> dict[str, list[Change]]:
    """Of the checks in `gaps`, oldest first; the values say what is long, in seconds."""
    found: dict[str, list[Change]] = {}
    for name, gap in gaps.items():
        before, was_good = None, False
        # To compare them here takes half the time of SQLite's window functions.
        for started, ended, result in store.query(
            "SELECT started, ended, result FROM runs"  # noqa: S608 - constants
            " WHERE check_id IN (SELECT id FROM checks WHERE name = ?) AND started >= ?"
            f" AND started < ? AND result IN {(SUCCESS, FAIL, LOST)} ORDER BY started, id",
            (name, since, until),
        ):
            good = result == SUCCESS
            if before is None or good != was_good or started - before > gap:
                found.setdefault(name, []).append(Change(before, started, ended, good))
            before, was_good = started, good
    return found


def pending(store: Database) -> dict[str, int]:
    """How many results of each check are still to be delivered."""
    rows = store.query(
        "SELECT c.name, count(*) FROM runs r JOIN checks c ON c.id = r.check_id"
        " WHERE delivery = 'pending' GROUP BY c.name"
    )
    return dict(rows)


def known_from(store: Database) -> float | None:
    """When the oldest run that is still recorded started; None: there is none."""
    return min(firsts(store).values(), default=None)


def firsts(store: Database) -> dict[str, float]:
    """The same of each check."""
    found: dict[str, float] = {}
    oldest = "SELECT min(started) FROM runs WHERE check_id = c.id"
    for name, started in store.query(f"SELECT name, ({oldest}) FROM checks c"):  # noqa: S608 - constants
        if started is not None:
            found[name] = min(started, found.get(name, started))
    return found


def names(store: Database) -> set[str]:
    """The checks of which a run is recorded."""
    recorded = "SELECT 1 FROM runs WHERE check_id = c.id"
    return {name for (name,) in store.query(f"SELECT name FROM checks c WHERE EXISTS ({recorded})")}  # noqa: S608 - constants


def mean(values: Sequence[float]) -> float | None:
    """None when there is nothing to take the mean of."""
    return sum(values) / len(values) if values else None


def percentile(sorted_values: Sequence[float], percent: float) -> float | None:
    """The nearest rank: a value that occurred; None when there is none."""
    if not sorted_values:
        return None
    rank = -(-len(sorted_values) * percent // 100)  # rounded up
    return sorted_values[max(0, int(rank) - 1)]
