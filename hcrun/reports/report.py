"""A report: the figures of each check for a period and the one before it, and its SLO."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple

from hcrun.alerts.drills import Result as Drilled
from hcrun.api.models import Flip
from hcrun.catalog import Slo
from hcrun.journal import maintenance, queries
from hcrun.journal.database import Database
from hcrun.journal.maintenance import Window
from hcrun.journal.queries import Change, LastRun, RunCounts
from hcrun.reports.availability import (
    FLAPPING,
    Availability,
    Span,
    availability,
    history,
    most_in_a_day,
    outages,
)
from hcrun.reports.checks import MonitoredCheck
from hcrun.reports.forecast import Forecast
from hcrun.reports.lateness import LateRun, late_runs, run_history
from hcrun.reports.period import Period, midnight
from hcrun.reports.slo import DAYS, ErrorBudget, SloResult, error_budget, evaluate_slo
from hcrun.reports.statistics import percentile
from hcrun.reports.tenants import TenantReading

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Scope:
    """What a report covers. Seconds since the epoch."""

    period: Period
    before: Period  # which the period is compared with
    now: float
    days: int  # shown one by one, up to the last of the period; at least DAYS

    @property
    def end(self) -> float:
        """A period that is not over ends now."""
        return min(self.period.end, self.now)

    @property
    def all_days(self) -> Period:
        """The days shown one by one and those of both periods."""
        first = min(self.before.first, self.period.last - (self.days - 1) * _DAY)
        return Period(first, self.period.last)


@dataclass(frozen=True)
class PeriodStats:
    """The figures of one check for one period. Seconds; None: no data."""

    times: Availability
    outages: tuple[Span, ...]
    runs: RunCounts
    p50: float | None
    p95: float | None

    @property
    def longest(self) -> Span | None:
        return max(self.outages, key=lambda outage: outage.seconds, default=None)

    @property
    def longest_seconds(self) -> float:
        return self.longest.seconds if self.longest else 0.0

    def ratio(self, slo: Slo) -> float | None:
        """The ratio that this SLO is about."""
        return evaluate_slo(slo, self.times, self.runs).ratio

    @property
    def flapping(self) -> bool:
        return most_in_a_day(self.outages) >= FLAPPING


@dataclass(frozen=True)
class Day:
    """One check on one day."""

    date: date
    times: Availability
    runs: RunCounts


class Maintenance(NamedTuple):
    """Maintenance that `hcctl pause` recorded; maintenance in progress ends now."""

    begin: float
    end: float
    reason: str


@dataclass(frozen=True)
class CheckReport:
    """The report of one check."""

    check: MonitoredCheck
    source: str  # of its states: server, journal; "": none
    known_from: float | None  # its states; minus infinity: for as long as the server keeps them
    now: PeriodStats
    before: PeriodStats
    slo: SloResult | None  # in the period
    error_budget: ErrorBudget | None  # of the DAYS days up to the end of the period
    late: tuple[LateRun, ...]  # in the period
    maintenance: tuple[Maintenance, ...]  # in the period
    last_failure: LastRun | None  # in the period
    days: tuple[Day, ...]  # the last one is the last of the period

    @property
    def never_ran(self) -> bool:
        remote = self.check.remote
        return remote.pings == 0 if remote else not self.check.recorded

    @property
    def burn_rate(self) -> float | None:
        """How fast the error budget was spent in the period; None: no data."""
        if not (self.slo and self.error_budget):
            return None
        return self.error_budget.burn_rate(self.slo, self.now.times.all)

    @property
    def urgency(self) -> tuple[object, ...]:
        """A sort key: missed SLOs, the most spent error budget, then failures and down time."""
        spent = self.error_budget.spent if self.error_budget else None
        met = self.slo.met if self.slo else None
        worst = (-self.now.runs.bad, -self.now.times.down)
        return (met is not False, math.inf if spent is None else -spent, *worst)


@dataclass(frozen=True)
class Report:
    """A report of several checks. Seconds since the epoch."""

    scope: Scope
    zone: str
    host: str
    server: str  # its address; "": it was not asked or did not answer
    no_server: str  # why
    journal: str  # its path; "": there is none
    recorded_from: float | None
    problems: tuple[str, ...]
    checks: tuple[CheckReport, ...]
    forecasts: tuple[Forecast, ...] = ()
    remedies: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # ran, helped
    tenants: Sequence[TenantReading] = ()
    drills: Sequence[tuple[str, Drilled | None]] = ()  # the last of each; None: never
    whose: str = "this host"  # or the fleet: whose runs are recorded


@dataclass(frozen=True)
class Recorded:
    """What the journal knows about all checks, by name of the check."""

    days: Mapping[date, Mapping[str, RunCounts]] = field(default_factory=dict)
    durations: Mapping[str, Sequence[float]] = field(default_factory=dict)
    durations_before: Mapping[str, Sequence[float]] = field(default_factory=dict)
    failures: Mapping[str, LastRun] = field(default_factory=dict)
    last_results: Mapping[str, LastRun] = field(default_factory=dict)
    firsts: Mapping[str, float] = field(default_factory=dict)  # start of the oldest recorded run
    changes: Mapping[str, Sequence[Change]] = field(default_factory=dict)
    windows: Mapping[str, Sequence[Window]] = field(default_factory=dict)  # also by key

    @classmethod
    def read(cls, database: Database, scope: Scope, checks: Iterable[MonitoredCheck]) -> "Recorded":
        """Raises JournalError."""
        period, before, now = scope.period, scope.before, scope.now
        begin = scope.all_days.begin
        timings = {check.slug: check.timing for check in checks}
        gaps = {slug: timing.gap for slug, timing in timings.items() if timing}
        windows: dict[str, list[Window]] = {}
        for window in maintenance.between(database, begin, now, now):
            windows.setdefault(window.key, []).append(window)
            windows.setdefault(window.name, []).append(window)
        return cls(
            days={
                day: queries.run_counts(database, midnight(day), midnight(day + _DAY))
                for day in scope.all_days.each()
            },
            durations=queries.durations(database, period.begin, period.end),
            durations_before=queries.durations(database, before.begin, before.end),
            failures=queries.last_failures(database, now, period.begin, period.end),
            last_results=queries.newest(database, queries.DECIDES, now),
            firsts=queries.first_starts(database),
            changes=queries.changes(database, begin, now, gaps),
            windows=windows,
        )


def check_report(
    check: MonitoredCheck, scope: Scope, recorded: Recorded, flips: Sequence[Flip] | None
) -> CheckReport:
    """The report of one check. `flips` is None if the server did not return them."""
    slug, slo, period, now = check.slug, check.slo, scope.period, scope.now
    maintenances = [
        Maintenance(*maintenance.span(window, now), window.reason)
        for window in recorded.windows.get(check.key or slug, ())
    ]
    windows = [each[:2] for each in maintenances]
    changes = recorded.changes.get(slug, ())
    timing = check.timing
    late = late_runs(changes, recorded.last_results.get(slug), timing, now) if timing else []
    source, spans, known_from = "", [], None
    if flips is not None and check.remote:
        source, spans = "server", history(flips, check.remote.status, now, windows)
        known_from = spans[0].begin if spans else None
    elif timing and changes:
        source, spans = "journal", run_history(changes, late, timing.grace, now, windows)
        # Only the days of the report were read from the journal.
        known_from = min(spans[0].begin, recorded.firsts.get(slug, math.inf))
    days = [
        Day(
            day,
            availability(spans, midnight(day), min(now, midnight(day + _DAY))),
            recorded.days.get(day, {}).get(slug, RunCounts()),
        )
        for day in scope.all_days.each()
    ]
    stats = _stats(period, spans, days, recorded.durations.get(slug, []), now)
    covered = Period.until(period.last, DAYS)
    budget = _stats(covered, spans, days, [], now)
    return CheckReport(
        check=check,
        source=source,
        known_from=known_from,
        now=stats,
        before=_stats(scope.before, spans, days, recorded.durations_before.get(slug, []), now),
        slo=evaluate_slo(slo, stats.times, stats.runs) if slo else None,
        error_budget=error_budget(
            slo, budget.times, budget.runs, check.schedule, covered.begin, recorded.firsts.get(slug)
        )
        if slo
        else None,
        late=tuple(run for run in late if period.begin <= run.due < period.end),
        maintenance=tuple(
            each for each in maintenances if each.begin < period.end and each.end > period.begin
        ),
        last_failure=recorded.failures.get(slug),
        days=tuple(days[-scope.days :]),
    )


def _stats(
    period: Period,
    spans: Sequence[Span],
    days: Sequence[Day],
    durations: Sequence[float],
    now: float,
) -> PeriodStats:
    begin, end = period.begin, min(now, period.end)
    runs = [day.runs for day in days if period.first <= day.date <= period.last]
    return PeriodStats(
        availability(spans, begin, end),
        tuple(outages(spans, begin, end)),
        sum(runs, RunCounts()),
        percentile(durations, 50),
        percentile(durations, 95),
    )
