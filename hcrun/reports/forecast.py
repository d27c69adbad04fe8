"""Forecasts from this host's journal, "usage full in 23 d", and what `anomalies` finds notable.

They are shown by status and report and never raise an alert. A forecast is computed from the
perfdata of up to 63 runs of each check, with the methods in `hcrun.reports.statistics`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hcrun.formats import perfdata
from hcrun.journal.database import Database
from hcrun.journal.samples import Sample, outputs, outputs_since, sample
from hcrun.reports.anomalies import anomalies, shown
from hcrun.reports.statistics import DAY, Point, project
from hcrun.text import counted

HORIZON = 60 * DAY  # what is full later than this is not reported


class Forecast(NamedTuple):
    """A number of one check on this host that will be full, or that is new for its series."""

    check: str
    subject: str  # "minio usage", "duration"
    text: str  # "minio usage full in 23 d"
    seconds_left: float | None = None  # from now until it is full
    score: float | None = None  # of what is new, see hcrun.reports.novelty


class Series(NamedTuple):
    """One number of a probe over time."""

    points: list[Point]
    unit: str  # as of perfdata.PerfValue
    maximum: float | None  # according to the latest output
    warning: float | None = None  # likewise, see perfdata.PerfValue


def forecasts(journal: Database, now: float, checks: Sequence[str] = ()) -> list[Forecast]:
    """Forecasts for all checks or for the named ones, the most urgent first.

    Raises JournalError.
    """
    found: list[Forecast] = []
    for check, runs in sample(journal, outputs_since(journal, now), now, checks).items():
        found += _full(journal, check, runs, now)
    found += [
        Forecast(each.check, each.subject, each.text, score=each.score)
        for each in anomalies(journal, now)
        if not checks or each.check in checks
    ]
    return sorted(
        found, key=lambda each: (each.seconds_left is None, each.seconds_left or 0, each.check)
    )


def series(journal: Database, runs: Sequence[Sample]) -> dict[str, Series]:
    """What the runs printed, by subject: "minio usage", or "usage" where no probe is named."""
    points: dict[str, list[Point]] = {}
    latest: dict[str, perfdata.PerfValue] = {}
    printed = outputs(journal, (run.row for run in runs))
    for run in runs:
        for value in perfdata.read(printed[run.row]) if run.row in printed else ():
            subject = f"{value.probe} {value.label}".lstrip()
            points.setdefault(subject, []).append((run.ended, value.value))
            latest[subject] = value
    return {
        subject: Series(points[subject], value.unit, value.maximum, value.warning)
        for subject, value in latest.items()
    }


def _full(journal: Database, check: str, runs: Sequence[Sample], now: float) -> Iterator[Forecast]:
    """Numbers of the last output that approach their maximum."""
    if not any(each.maximum for each in series(journal, runs[-1:]).values()):
        return
    for subject, (points, unit, maximum, _) in series(journal, runs).items():
        latest = points[-1][0]
        if maximum is None or latest < runs[-1].ended:
            continue
        projection = project(points, maximum)
        left = max(0.0, projection.left - (now - latest)) if projection else None
        if left is not None and left <= HORIZON:
            assert projection
            pace = shown(abs(projection.pace) * 30 * DAY, unit)
            yield Forecast(check, subject, f"{subject} {until_full(left)}, {pace} a month", left)


def until_full(left: float) -> str:
    """`full in 23 days (12 to 46)`: half to double, which holds nine of ten forecasts."""
    if not left:
        return "full"
    unit = DAY if left >= 2 * DAY else 3600.0
    return f"full in {roughly(left)} ({round(left / 2 / unit)} to {round(left * 2 / unit)})"


def roughly(seconds: float) -> str:
    """An estimate: `23 days`, `7 hours`."""
    if seconds >= 2 * DAY:
        return counted(round(seconds / DAY), "day")
    return counted(round(seconds / 3600), "hour")
