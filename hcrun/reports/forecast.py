"""What the journal lets expect: "usage full in 23 d", "takes 4 sigma longer than usual".

For people who look (status, report), never an alert. From 30 runs of each check in the last 30
days, or in the time for which outputs are kept, and its last three: their durations, and the
perfdata they printed.
Theil-Sen and the median absolute deviation are in `hcrun.reports.statistics`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from hcrun.excerpt import Excerpt
from hcrun.formats import perfdata
from hcrun.journal.database import Store
from hcrun.journal.queries import known_from
from hcrun.reports.statistics import DAY, Point, forecast, unusual
from hcrun.results import SUCCESS
from hcrun.units import span

SEEN = 30 * DAY  # how far back
SLOTS = 30  # of this time, each with at most one run
LATEST = 3  # runs besides: they say where it stands, where the others are a day apart
WORTH_SAYING = 60 * DAY  # what is full later than that is nobody's worry yet


class Forecast(NamedTuple):
    """One thing to expect, or out of the ordinary, of one check on this host."""

    check: str
    subject: str  # "minio usage", "duration"
    text: str  # "minio usage full in 23 d"
    left: float | None = None  # seconds from now until it is full
    sigmas: float | None = None  # of a duration above its median


class Sample(NamedTuple):
    """One run in a slot of time."""

    row: int
    ended: float  # seconds since the epoch
    duration: float | None  # seconds
    succeeded: bool


class Series(NamedTuple):
    """One number of a probe over time."""

    points: list[Point]
    unit: str  # as of perfdata.Datum
    maximum: float | None  # the latest word on the largest value there can be


def outlook(journal: Store, now: float, checks: Sequence[str] = ()) -> list[Forecast]:
    """All that is worth saying, of all checks or of the named ones, the most pressing first.

    Raises JournalError.
    """
    found: list[Forecast] = []
    for check, runs in sample(journal, now, checks).items():
        found += _slow(check, runs)
    for check, runs in sample(journal, now, checks, printed=True).items():
        found += _full(journal, check, runs, now)
    return sorted(found, key=lambda each: (each.left is None, each.left or 0, each.check))


def sample(
    journal: Store, now: float, checks: Sequence[str] = (), *, printed: bool = False
) -> dict[str, list[Sample]]:
    """At most 34 runs of each check in the last 30 days, oldest first, the latest among them.

    `printed`: of the time since when outputs are kept, which may be less.
    """
    names = journal.query("SELECT id, name FROM checks ORDER BY name")
    wanted = {row: name for row, name in names if not checks or name in checks}
    first = _outputs_from(journal) if printed else known_from(journal)
    since = max(now - SEEN, now if first is None else first)
    step = (now - since) / SLOTS
    runs: dict[str, list[Sample]] = {}
    if step <= 0:
        return runs
    marks = ",".join("?" * len(wanted))
    rows = journal.query(
        f"{_SLOTS} WHERE c.id IN ({marks}) UNION {_LATEST} WHERE c.id IN ({marks}) ORDER BY 3",
        (SLOTS, since, step, since, step, *wanted, since, now + step, LATEST, *wanted),
    )
    for check, row, ended, duration, result in rows:
        run = Sample(row, ended, duration, result == SUCCESS)
        runs.setdefault(wanted[check], []).append(run)
    return runs


def _outputs_from(journal: Store) -> float | None:
    """When the run started whose output is the oldest."""
    rows = journal.query("SELECT started FROM outputs JOIN runs USING (id) ORDER BY id LIMIT 1")
    return float(rows[0][0]) if rows else None


# The last run of each slot, found by one look into the index of each.
_SLOTS = """
WITH RECURSIVE slots (number) AS (
    VALUES (0) UNION ALL SELECT number + 1 FROM slots WHERE number < ?)
SELECT c.id, r.id, r.ended, r.duration, r.result FROM checks c CROSS JOIN slots
JOIN runs r ON r.id = (
    SELECT id FROM runs WHERE check_id = c.id AND ended >= ? + number * ?
    AND ended < ? + (number + 1) * ? ORDER BY ended DESC LIMIT 1)
"""
_LATEST = """
SELECT c.id, r.id, r.ended, r.duration, r.result FROM checks c JOIN runs r ON r.id IN (
    SELECT id FROM runs WHERE check_id = c.id AND ended >= ? AND ended < ?
    ORDER BY ended DESC LIMIT ?)
"""


def series(journal: Store, runs: Sequence[Sample]) -> dict[str, Series]:
    """What the runs printed, by subject: "minio usage", or "usage" where no probe is named."""
    found: dict[str, Series] = {}
    for run, output in _outputs(journal, runs):
        for datum in perfdata.read(output):
            subject = f"{datum.probe} {datum.label}".lstrip()
            before = found[subject].points if subject in found else []
            found[subject] = Series([*before, (run.ended, datum.value)], datum.unit, datum.maximum)
    return found


def _outputs(journal: Store, runs: Sequence[Sample]) -> Iterator[tuple[Sample, Excerpt]]:
    marks = ",".join("?" * len(runs))
    rows = journal.query(
        f"SELECT id, head, omitted, tail FROM outputs WHERE id IN ({marks})",  # noqa: S608 - marks
        tuple(run.row for run in runs),
    )
    kept = {row: Excerpt(*output) for row, *output in rows}
    for run in runs:
        if run.row in kept:
            yield run, kept[run.row]


def _full(journal: Store, check: str, runs: Sequence[Sample], now: float) -> Iterator[Forecast]:
    """What has a maximum, as the last output says, and is on its way to it."""
    if not any(each.maximum for each in series(journal, runs[-1:]).values()):
        return
    for subject, (points, _, maximum) in series(journal, runs).items():
        if (
            maximum is None
            or points[-1][0] < runs[-1].ended
            or not (seen := forecast(points, maximum))
        ):
            continue
        left = max(0.0, seen.left - (now - points[-1][0]))
        if left <= WORTH_SAYING:
            text = f"{subject} full" + (f" in {roughly(left)}" if left else "")
            yield Forecast(check, subject, text, left=left)


def _slow(check: str, runs: Sequence[Sample]) -> Iterator[Forecast]:
    """The last run, if it succeeded, beside those before: one that failed may take any time."""
    accepted = [run.duration for run in runs if run.succeeded and run.duration is not None]
    if not runs[-1].succeeded or not accepted:
        return
    *before, last = accepted
    if sigmas := unusual(before, last):
        seen = roughly(runs[-1].ended - runs[0].ended)
        text = f"took {span(last)}, {sigmas:.0f} sigma above {span(median(before))}"
        text += f", its median over {seen}"
        yield Forecast(check, "duration", text, sigmas=sigmas)


def roughly(seconds: float) -> str:
    """For what is an estimate: `23 days`, `7 hours`."""
    number, unit = (seconds / DAY, "day") if seconds >= 2 * DAY else (seconds / 3600, "hour")
    return f"{number:.0f} {unit}{'' if round(number) == 1 else 's'}"
