"""How every check is now: of the server where it answers, else of this host's journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hcrun.journal import maintenance, queries
from hcrun.journal.database import Database
from hcrun.journal.maintenance import Window
from hcrun.journal.queries import Last, RunCounts
from hcrun.reports.checks import MonitoredCheck, order
from hcrun.reports.forecast import Forecast, forecasts
from hcrun.reports.lateness import Plan, plan_of
from hcrun.results import SUCCESS

_DAY = 86400.0
STATES = ("down", "grace", "new", "paused", "up")  # as the server calls them, worst first
OK, WARNING, CRITICAL = 0, 1, 2


@dataclass(frozen=True)
class CheckStatus:
    """One check. Times in seconds since the epoch, durations in seconds; None: not known."""

    subject: MonitoredCheck
    state: str
    started: bool  # a run of it is going
    last_ping: float | None
    expected: float | None  # the next ping
    success: float | None = None  # of the runs of 7 days, 0 to 1
    mean: float | None = None  # duration of the runs of an hour
    p95: float | None = None
    errors: int | None = None  # failed runs of 24 hours
    failure: Last | None = None  # the newest one that is recorded
    undelivered: int = 0  # results that the server has not got yet
    maintenance: Window | None = None  # that is going, as this host recorded it

    @property
    def level(self) -> int:
        """0 up, 2 down, 1 all that somebody should look at."""
        if self.state == "down":
            return CRITICAL
        return WARNING if self.state != "up" or self.undelivered else OK


@dataclass(frozen=True)
class Recorded:
    """What the journal says of all checks at one moment."""

    names: set[str]
    week: dict[str, RunCounts]
    day: dict[str, RunCounts]
    hour: dict[str, list[float]]
    last_runs: dict[str, Last]
    last_results: dict[str, Last]
    last_failures: dict[str, Last]
    pending: dict[str, int]
    since: float | None  # the oldest run that is kept
    windows: dict[str, Window]  # of maintenance that is going: by key and name of the check
    outlook: list[Forecast]

    @classmethod
    def read(cls, store: Database, now: float) -> Recorded:
        """Raises JournalError."""
        end = now + _DAY  # a run may have started "later" by a clock that was set back
        return cls(
            names=queries.names(store),
            week=queries.tallies(store, now - 7 * _DAY, end),
            day=queries.tallies(store, now - _DAY, end),
            hour=queries.durations(store, now - 3600, end),
            last_runs=queries.last_runs(store, now),
            last_results=queries.last_results(store, now),
            last_failures=queries.last_failures(store, now),
            pending=queries.pending(store),
            since=queries.known_from(store),
            windows={
                name: window
                for window in maintenance.going(store)
                for name in (window.key, window.name)
            },
            outlook=forecasts(store, now),
        )


NOTHING = Recorded(set(), {}, {}, {}, {}, {}, {}, {}, None, {}, [])


def rows(subjects: Iterable[MonitoredCheck], recorded: Recorded, now: float) -> list[CheckStatus]:
    """By tier, and worst first within each."""
    found = [_row(subject, recorded, now) for subject in subjects]
    return sorted(found, key=_urgency)


def _urgency(row: CheckStatus) -> tuple[object, ...]:
    state = STATES.index(row.state) if row.state in STATES else 0
    return *order(row.subject.tier), -row.level, state, row.subject.slug


def _row(subject: MonitoredCheck, recorded: Recorded, now: float) -> CheckStatus:
    slug = subject.slug
    hour = recorded.hour.get(slug, [])
    week = recorded.week.get(slug, RunCounts())
    state, started, last_ping, expected = (
        _of_server(subject) if subject.remote else _of_journal(subject, recorded, now)
    )
    return CheckStatus(
        subject,
        state,
        started,
        last_ping,
        expected,
        success=week.ratio,
        mean=queries.mean(hour),
        p95=queries.percentile(hour, 95),
        errors=recorded.day.get(slug, RunCounts()).bad if subject.recorded else None,
        failure=recorded.last_failures.get(slug),
        undelivered=recorded.pending.get(slug, 0),
        maintenance=recorded.windows.get(subject.key or slug),
    )


_Said = tuple[str, bool, float | None, float | None]


def _of_server(subject: MonitoredCheck) -> _Said:
    remote = subject.remote
    assert remote is not None
    expected = remote.next_ping
    if expected is None and remote.status == "down" and remote.last_ping is not None:
        # The server names no time any more once it is down.
        plan = plan_of(remote)
        expected = plan.due(remote.last_ping) if plan else None
    return remote.status, remote.started, remote.last_ping, expected


def _of_journal(subject: MonitoredCheck, recorded: Recorded, now: float) -> _Said:
    """As the server would judge it, if it had been told all that is recorded here."""
    last, running = recorded.last_results.get(subject.slug), recorded.last_runs.get(subject.slug)
    started = running is not None and running.ended is None
    if last is None:
        return "new", started, None, None
    at = last.started if last.ended is None else last.ended
    entry = subject.entry
    expected = Plan(entry.schedule, entry.zone, entry.grace).due(at) if entry else None
    if last.result != SUCCESS:
        return "down", started, at, expected
    late = now - expected if expected is not None else -1.0
    if entry and late >= entry.grace:
        return "down", started, at, expected
    return ("grace" if late >= 0 else "up"), started, at, expected


def worst(told: Iterable[CheckStatus]) -> int:
    """0 all up, 1 something to look at, 2 something is down."""
    return max((row.level for row in told), default=OK)
