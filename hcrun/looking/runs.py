"""What this host's journal knows of runs, summed up: one query for all checks each.

A check is known by its name, as `hcrun NAME -- ...` has it. Times are seconds since the epoch,
durations seconds; a run belongs to the time at which it started. All raise JournalError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hcrun.store import Store

GOOD = "success"
BAD = ("fail", "held", "lost")  # log and skip are neither: somebody said that they do not count
_IN = "FROM runs r JOIN checks c ON c.id = r.check_id WHERE r.started >= ? AND r.started < ?"


@dataclass(frozen=True)
class Tally:
    """The runs of one check in some time."""

    results: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> int:
        return self.results[GOOD]

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


def tallies(store: Store, since: float, until: float) -> dict[str, Tally]:
    """How many runs ended how."""
    found: dict[str, Tally] = {}
    rows = store.query(
        f"SELECT c.name, result, count(*) {_IN} AND result IS NOT NULL GROUP BY r.check_id, result",
        (since, until),
    )
    for name, result, count in rows:
        found.setdefault(name, Tally()).results[result] += count
    return found


def durations(store: Store, since: float, until: float) -> dict[str, list[float]]:
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


def last_runs(store: Store) -> dict[str, Last]:
    """The newest run of each check that was not skipped."""
    return _newest(store, "(result IS NULL OR result != 'skip')")


def last_results(store: Store) -> dict[str, Last]:
    """The newest run of each check that says how it is: one that ended and counts."""
    return _newest(store, f"result IN {(GOOD, *BAD, 'log')}")


def last_failures(store: Store) -> dict[str, Last]:
    """The newest run of each check that failed."""
    return _newest(store, f"result IN {BAD}")


def _newest(store: Store, condition: str) -> dict[str, Last]:
    rows = store.query(
        "SELECT c.name, r.started, r.ended, r.duration, coalesce(r.result, ''),"  # noqa: S608 - constants
        " coalesce(r.why, '') FROM checks c JOIN runs r ON r.id ="
        f" (SELECT id FROM runs WHERE check_id = c.id AND {condition}"
        " ORDER BY started DESC, id DESC LIMIT 1) ORDER BY r.started"
    )
    return {name: Last(*columns) for name, *columns in rows}


def pending(store: Store) -> dict[str, int]:
    """How many results of each check are still to be delivered."""
    rows = store.query(
        "SELECT c.name, count(*) FROM runs r JOIN checks c ON c.id = r.check_id"
        " WHERE delivery = 'pending' GROUP BY c.name"
    )
    return dict(rows)


def known_from(store: Store) -> float | None:
    """When the oldest run that is still recorded started; None: there is none."""
    started: float | None = store.query("SELECT min(started) FROM runs")[0][0]
    return started


def known_from_by_check(store: Store) -> dict[str, float]:
    """The same for each check."""
    rows = store.query(
        "SELECT c.name, min(first) FROM checks c JOIN"
        " (SELECT check_id, min(started) AS first FROM runs GROUP BY check_id)"
        " ON check_id = c.id GROUP BY c.name"
    )
    return dict(rows)


def mean(values: Sequence[float]) -> float | None:
    """None when there is nothing to take the mean of."""
    return sum(values) / len(values) if values else None


def percentile(sorted_values: Sequence[float], percent: float) -> float | None:
    """The nearest rank: a value that occurred; None when there is none."""
    if not sorted_values:
        return None
    rank = -(-len(sorted_values) * percent // 100)  # rounded up
    return sorted_values[max(0, int(rank) - 1)]
