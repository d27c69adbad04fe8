"""The present state of every check, from the server if it answers, else from the journal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from hcrun.journal import maintenance, queries
from hcrun.journal.database import Database
from hcrun.journal.maintenance import Window
from hcrun.journal.queries import LastRun, RunCounts
from hcrun.reports.checks import MonitoredCheck, tier_order
from hcrun.reports.forecast import Forecast, forecasts
from hcrun.reports.statistics import percentile
from hcrun.results import BLOCKED, SUCCESS

_DAY = 86400.0
STATES = ("down", "grace", "new", "paused", "up")  # the server's names, worst first
OK, WARNING, CRITICAL = 0, 1, 2
# The fields of CheckStatus from `state` to `expected`.
_State = tuple[str, bool, float | None, float | None]


@dataclass(frozen=True)
class CheckStatus:
    """The state of one check, and the figures of its runs on this host. None: not known."""

    check: MonitoredCheck
    state: str  # one of STATES
    running: bool  # a run is in progress
    last_ping: float | None  # seconds since the epoch
    expected: float | None  # the next ping
    success: float | None  # share of the runs of 7 days, 0 to 1
    mean: float | None  # seconds, of the runs of an hour
    p95: float | None
    errors: int | None  # failed runs of 24 hours
    failure: LastRun | None  # the latest one that is recorded
    undelivered: int  # results that are not delivered to the server yet
    maintenance: Window | None  # in progress, as recorded on this host
    blocked: bool  # its latest run, by a check that it needs

    @property
    def level(self) -> int:
        """CRITICAL: down; WARNING: needs attention; OK: up."""
        if self.state == "down":
            return CRITICAL
        return WARNING if self.state != "up" or self.undelivered or self.blocked else OK


@dataclass(frozen=True)
class Recorded:
    """What the journal knows about all checks at one moment, by name of the check."""

    firsts: Mapping[str, float] = field(default_factory=dict)  # start of the oldest recorded run
    week: Mapping[str, RunCounts] = field(default_factory=dict)
    day: Mapping[str, RunCounts] = field(default_factory=dict)
    hour: Mapping[str, Sequence[float]] = field(default_factory=dict)  # durations
    last_runs: Mapping[str, LastRun] = field(default_factory=dict)
    last_results: Mapping[str, LastRun] = field(default_factory=dict)
    last_failures: Mapping[str, LastRun] = field(default_factory=dict)
    pending: Mapping[str, int] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)  # in progress, also by key
    forecasts: list[Forecast] = field(default_factory=list)

    @classmethod
    def read(cls, database: Database, now: float) -> "Recorded":
        """Raises JournalError."""
        end = now + _DAY  # a clock that was set back has dated runs into the future
        return cls(
            firsts=queries.first_starts(database),
            week=queries.run_counts(database, now - 7 * _DAY, end, timed=False),
            day=queries.run_counts(database, now - _DAY, end, timed=False),
            hour=queries.durations(database, now - 3600, end),
            last_runs=queries.newest(database, queries.STARTED, now),
            last_results=queries.newest(database, queries.DECIDES, now),
            last_failures=queries.last_failures(database, now),
            pending=queries.pending(database),
            windows={
                name: window
                for window in maintenance.in_progress(database)
                for name in (window.key, window.name)
            },
            forecasts=forecasts(database, now),
        )


def check_status(check: MonitoredCheck, recorded: Recorded, now: float) -> CheckStatus:
    slug = check.slug
    hour = recorded.hour.get(slug, [])
    return CheckStatus(
        check,
        *(_server_state(check) if check.remote else _journal_state(check, recorded, now)),
        success=recorded.week.get(slug, RunCounts()).ratio,
        mean=fmean(hour) if hour else None,
        p95=percentile(hour, 95),
        errors=recorded.day.get(slug, RunCounts()).bad if check.recorded else None,
        failure=recorded.last_failures.get(slug),
        undelivered=recorded.pending.get(slug, 0),
        blocked=slug in recorded.last_runs and recorded.last_runs[slug].result == BLOCKED,
        maintenance=recorded.windows.get(check.key or slug),
    )


def urgency(row: CheckStatus) -> tuple[object, ...]:
    """A sort key: by tier, and worst first within each."""
    state = STATES.index(row.state) if row.state in STATES else 0
    return *tier_order(row.check.tier), -row.level, state, row.check.slug


def _server_state(check: MonitoredCheck) -> _State:
    remote, timing = check.remote, check.timing
    assert remote is not None
    expected = remote.next_ping
    if expected is None and remote.status == "down" and remote.last_ping is not None and timing:
        # The server does not tell when a check that is down was due.
        expected = timing.due(remote.last_ping)
    return remote.status, remote.started, remote.last_ping, expected


def _journal_state(check: MonitoredCheck, recorded: Recorded, now: float) -> _State:
    """The state that the server would show if it had all results that are recorded here."""
    last, latest = recorded.last_results.get(check.slug), recorded.last_runs.get(check.slug)
    running = latest is not None and not latest.result
    if last is None:
        return "new", running, None, None
    timing = check.timing
    expected = timing.due(last.ended) if timing else None
    late = now - expected if expected is not None else -1.0
    name = "grace" if late >= 0 else "up"
    if last.result != SUCCESS or (timing and late >= timing.grace):
        name = "down"
    return name, running, last.ended, expected
