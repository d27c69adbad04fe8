"""How a time was: for each check its figures of a period, of the one before it, and its promise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from hcrun.api.models import Flip
from hcrun.journal import maintenance, queries
from hcrun.journal.database import Database
from hcrun.journal.maintenance import Window
from hcrun.journal.queries import Change, Daily, Last, RunCounts
from hcrun.reports import lateness
from hcrun.reports.availability import (
    FLAPPING,
    Availability,
    Outage,
    Span,
    availability,
    history,
    maintained,
    merged,
    most_in_a_day,
    outages,
)
from hcrun.reports.checks import MonitoredCheck
from hcrun.reports.forecast import Forecast
from hcrun.reports.lateness import Late, Plan, plan_of
from hcrun.reports.period import Period, midnight
from hcrun.reports.slo import DAYS, Budget, budget

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class PeriodStats:
    """One check in one period. Seconds; None: not known."""

    times: Availability
    outages: tuple[Outage, ...]
    runs: RunCounts
    p50: float | None
    p95: float | None

    @property
    def longest(self) -> Outage | None:
        return max(self.outages, key=lambda outage: outage.seconds, default=None)

    @property
    def flapping(self) -> bool:
        return most_in_a_day(self.outages) >= FLAPPING


@dataclass(frozen=True)
class Day:
    """One check on one day."""

    date: date
    times: Availability
    runs: Daily


@dataclass(frozen=True)
class Planned:
    """Maintenance, as `hcctl pause` recorded it; one that is going ends now."""

    begin: float
    end: float
    reason: str


@dataclass(frozen=True)
class CheckReport:
    """One check, as the report tells it. Of `days`, the last is the period's last."""

    subject: MonitoredCheck
    source: str  # of its states: server, journal; "": nobody
    known_from: float | None  # its states; minus infinity: as long as the server keeps them
    now: PeriodStats
    before: PeriodStats
    promise: Budget | None  # in the period
    budget: Budget | None  # of BUDGET_DAYS days
    late: tuple[Late, ...]  # in the period
    maintenance: tuple[Planned, ...]  # in the period
    last_failure: Last | None  # in the period
    days: tuple[Day, ...]

    @property
    def never_ran(self) -> bool:
        remote = self.subject.remote
        return remote.pings == 0 if remote else not self.subject.recorded


@dataclass(frozen=True)
class Report:
    """Times in seconds since the epoch."""

    period: Period
    before: Period
    zone: str
    made: float
    host: str
    server: str  # its address; "": it was not asked, or did not answer
    no_server: str  # why
    journal: str  # its path; "": there is none
    recorded_from: float | None
    problems: tuple[str, ...]
    services: tuple[CheckReport, ...]
    outlook: tuple[Forecast, ...] = ()

    @property
    def end(self) -> float:
        """Of what is told: a period that is not over ends now."""
        return min(self.period.end, self.made)


@dataclass(frozen=True)
class Recorded:
    """What the journal says of all checks."""

    days: Mapping[date, Mapping[str, Daily]]
    durations: Mapping[str, list[float]]
    durations_before: Mapping[str, list[float]]
    failures: Mapping[str, Last]
    last_results: Mapping[str, Last]
    firsts: Mapping[str, float]  # when the oldest run started that is still recorded

    @classmethod
    def read(
        cls, store: Database, period: Period, before: Period, days: int, now: float
    ) -> Recorded:
        """Raises JournalError."""
        told = days_to_tell(period, before, days)
        return cls(
            {day: queries.daily(store, midnight(day), midnight(day + _DAY)) for day in told.each()},
            queries.durations(store, period.begin, period.end),
            queries.durations(store, before.begin, before.end),
            queries.last_failures(store, now, period.begin, period.end),
            queries.last_results(store, now),
            queries.firsts(store),
        )


NOTHING = Recorded({}, {}, {}, {}, {}, {})


def days_to_tell(period: Period, before: Period, days: int) -> Period:
    """So many up to the period's last, or as many as the period and the one before it have."""
    first = min(before.first, period.last - (days - 1) * _DAY)
    return Period(first, period.last)


def service(
    subject: MonitoredCheck,
    period: Period,
    before: Period,
    recorded: Recorded,
    flips: Sequence[Flip] | None,
    changes: Sequence[Change],
    windows: Sequence[Window],
    now: float,
    days: int,
) -> CheckReport:
    """`flips` None: the server did not tell; `changes`: as `runs.changes` has them."""
    slug = subject.slug
    planned = [_planned(window, now) for window in windows]
    kept = merged((window.begin, window.end) for window in planned)
    plan = plan_for(subject)
    late = lateness.lates(changes, recorded.last_results.get(slug), plan, now) if plan else []
    if flips is not None and subject.remote:
        source, spans = "server", history(flips, subject.remote.status, now, kept)
    elif plan and changes:
        source = "journal"
        spans = maintained(lateness.spans(changes, late, plan.grace, now), kept, now)
    else:
        source, spans = "", []
    known_from = spans[0].begin if spans else None
    if source == "journal":  # which was not asked for all that it has
        known_from = min(spans[0].begin, recorded.firsts.get(slug, math.inf))
    told = tuple(
        _day(day, spans, recorded.days.get(day, {}).get(slug, Daily()), now)
        for day in days_to_tell(period, before, days).each()
    )
    figures = _figures(period, spans, told, recorded.durations.get(slug, []), now)
    slo = subject.slo
    of_budget = [day for day in told if day.date > period.last - DAYS * _DAY]
    return CheckReport(
        subject=subject,
        source=source,
        known_from=known_from,
        now=figures,
        before=_figures(before, spans, told, recorded.durations_before.get(slug, []), now),
        promise=budget(slo, figures.times, figures.runs) if slo else None,
        budget=budget(slo, _sum(of_budget), _tally(of_budget)) if slo else None,
        late=tuple(missed for missed in late if period.begin <= missed.due < period.end),
        maintenance=tuple(
            window for window in planned if window.begin < period.end and window.end > period.begin
        ),
        last_failure=recorded.failures.get(slug),
        days=told[-days:],
    )


def _planned(window: Window, now: float) -> Planned:
    begin, end = maintenance.span(window, now)
    return Planned(begin, end, window.reason)


def plan_for(subject: MonitoredCheck) -> Plan | None:
    """The server's, else the catalogue's."""
    if subject.remote:
        return plan_of(subject.remote)
    entry = subject.entry
    return Plan(entry.schedule, entry.zone, entry.grace) if entry else None


def _day(day: date, spans: Sequence[Span], runs: Daily, now: float) -> Day:
    begin, end = midnight(day), min(now, midnight(day + _DAY))
    return Day(day, availability(spans, begin, end), runs)


def _figures(
    period: Period, spans: Sequence[Span], days: Sequence[Day], durations: list[float], now: float
) -> PeriodStats:
    begin, end = period.begin, min(now, period.end)
    return PeriodStats(
        availability(spans, begin, end),
        tuple(outages(spans, begin, end)),
        _tally(day for day in days if period.first <= day.date <= period.last),
        queries.percentile(durations, 50),
        queries.percentile(durations, 95),
    )


def _sum(days: Iterable[Day]) -> Availability:
    times = [day.times for day in days]
    return Availability(*(math.fsum(getattr(time, state) for time in times) for state in _STATES))


_STATES = ("up", "down", "maintenance", "unknown")


def _tally(days: Iterable[Day]) -> RunCounts:
    results = [day.runs.results for day in days]
    total = RunCounts()
    for result in results:
        total.results.update(result)
    return total


def urgency(service: CheckReport) -> tuple[object, ...]:
    """Broken promises first, then the least budget, then failures and down time."""
    left = service.budget.left if service.budget else None
    kept = service.promise.kept if service.promise else None
    worst = (-service.now.runs.bad, -service.now.times.down)
    return (kept is not False, math.inf if left is None else left, *worst)
