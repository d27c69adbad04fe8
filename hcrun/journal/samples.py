"""What forecasts and metrics read from this host's journal: some runs of each check, and outputs.

Times are seconds since the epoch, durations seconds. All raise JournalError.
"""

import fcntl
import os
import struct
from collections.abc import Iterable, Sequence
from functools import singledispatch
from typing import NamedTuple

from hcrun.excerpt import Excerpt
from hcrun.journal import queries
from hcrun.journal.database import FIRST_RUN, LOCKS, Database
from hcrun.results import GOOD

PERIOD = 30 * 86400.0  # how far samples go back
SLOTS = 60  # the period is divided into so many slots, with at most one run of each
_FLOCK = "hhqqi4x"  # struct flock of fcntl(2)
LATEST = 3  # runs in addition: the others may be half a day apart, these show the present level


class Sample(NamedTuple):
    """One run of a sample."""

    row: int
    ended: float
    duration: float | None
    succeeded: bool


def runs_since(store: Database, now: float) -> float:
    """When the sample of all runs begins: 30 days ago, or with the oldest run."""
    first = queries.oldest_start(store)
    return max(now - PERIOD, now if first is None else first)


@singledispatch
def outputs_since(store: Database, now: float) -> float:
    """When the sample of runs with an output begins: outputs may be kept for less than 30 days."""
    rows = store.query("SELECT started FROM outputs JOIN runs USING (id) ORDER BY id LIMIT 1")
    return max(now - PERIOD, rows[0][0] if rows else now)


@singledispatch
def sample(
    store: Database, since: float, now: float, checks: Sequence[str] = ()
) -> dict[str, list[Sample]]:
    """At most 63 runs of each check (or of `checks`) since then, oldest first, with the latest."""
    names = store.query("SELECT id, name FROM checks ORDER BY name")
    wanted = {row: name for row, name in names if not checks or name in checks}
    step = (now - since) / SLOTS
    runs: dict[str, list[Sample]] = {}
    if step <= 0:
        return runs
    with open(f"{__file__.removesuffix('.py')}.sql", encoding="utf-8") as file:
        query = file.read().replace("@checks@", ",".join(map(str, wanted)))
    rows = store.query(query, (since, now, step, SLOTS, LATEST))
    for check, row, ended, duration, result in rows:
        run = Sample(row, ended, duration, result in GOOD)
        runs.setdefault(wanted[check], []).append(run)
    return runs


@singledispatch
def outputs(store: Database, rows: Iterable[int]) -> dict[int, Excerpt]:
    """The recorded outputs of these runs, by row."""
    numbers = tuple(rows)
    marks = ",".join("?" * len(numbers))
    found = store.query(
        f"SELECT id, head, omitted, tail FROM outputs WHERE id IN ({marks})",  # noqa: S608 - marks
        numbers,
    )
    return {row: Excerpt(*output) for row, *output in found}


@singledispatch
def last_outputs(store: Database, since: float, until: float) -> dict[str, Excerpt]:
    """The output of the last run of each check that ended in that time, by name."""
    rows = store.query(
        "SELECT name, head, omitted, tail FROM checks c JOIN outputs o ON o.id ="
        " (SELECT id FROM runs WHERE check_id = c.id AND ended >= ? AND ended < ?"
        " ORDER BY ended DESC LIMIT 1)",
        (since, until),
    )
    return {name: Excerpt(*output) for name, *output in rows}


@singledispatch
def totals(store: Database) -> dict[tuple[str, ...], float | None]:
    """How many runs of each check ever ended with each result."""
    rows = store.query(
        "SELECT name, result, sum(runs) FROM totals JOIN checks ON checks.id = check_id"
        " GROUP BY name, result"
    )
    return {(name, result): count for name, result, count in rows}


@singledispatch
def began(store: Database, now: float) -> float:
    """When the journal was created, which is when its totals were 0; else its oldest run."""
    (created,) = store.query("PRAGMA application_id")[0]
    return min(now, created if created > 0 else queries.oldest_start(store) or now)


@singledispatch
def in_progress(store: Database) -> dict[tuple[str, ...], float | None]:
    """How many runs of each check have not ended; their hcruns hold their locks."""
    rows = store.query(
        "SELECT name, r.id FROM runs r JOIN checks c ON c.id = check_id WHERE ended IS NULL"
    )
    # Another user's file is not opened for writing, and a lock is not taken to see if it is free.
    place = os.path.join(os.path.dirname(store.path), LOCKS)
    try:
        fd = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return {}
    names = [(name,) for name, row in rows if _is_locked(fd, FIRST_RUN + row)]
    os.close(fd)
    return {name: names.count(name) for name in names}


def _is_locked(fd: int, byte: int) -> bool:
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        kind: int = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, asked))[0]
    except (OSError, struct.error):  # the latter: a damaged number
        return False
    return kind != fcntl.F_UNLCK
