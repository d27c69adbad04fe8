"""Whether an SLO was met, and how much of its error budget is left."""

from dataclasses import dataclass
from datetime import date

from hcrun.catalog import Slo
from hcrun.catalog.schedule import Schedule, occurrences
from hcrun.journal.queries import RunCounts
from hcrun.reports.availability import Availability

DAYS = 30  # an error budget covers so many days, up to the end of the period
WHOLE = DAYS * 86400.0


@dataclass(frozen=True)
class SloResult:
    """An SLO and what happened: so many bad seconds, or runs, of so many that are known."""

    slo: Slo
    bad: float
    total: float

    @property
    def ratio(self) -> float | None:
        """The share of good time or runs, 0 to 1; None: no data."""
        return 1 - self.bad / self.total if self.total else None

    @property
    def met(self) -> bool | None:
        """None: no data."""
        slack = self.total * 1e-9  # for rounding: 99.9 is not exact in binary
        allowed = self.total * (1 - self.slo.percent / 100)
        return self.bad <= allowed + slack if self.total else None


@dataclass(frozen=True)
class ErrorBudget:
    """What an SLO allows in DAYS days, and what of it was used, in seconds or runs.

    All of the days count, whether they are known or not. In unknown time nothing is used.
    """

    slo: Slo
    allowed: float
    used: float
    unknown: float  # seconds of the DAYS days
    known: bool  # False: no data at all

    @property
    def spent(self) -> float | None:
        """1: all of it, above: more than it; None: no data."""
        if not self.known:
            return None
        if self.allowed <= 0:  # an SLO of 100 % has no budget, which one bad second spends
            return 1.0 if self.used else 0.0
        return self.used / self.allowed

    @property
    def left(self) -> float | None:
        """In seconds or runs, at least 0; None: no data."""
        return None if self.spent is None else max(0.0, self.allowed - self.used)

    @property
    def left_ratio(self) -> float | None:
        """1: all of it; 0: spent; None: no data."""
        return None if self.spent is None else max(0.0, 1 - self.spent)

    def burn_rate(self, result: SloResult, seconds: float) -> float | None:
        """How fast a period spent it: at 1 it lasts exactly DAYS days; None: no data."""
        if not result.total or self.spent is None:
            return None
        if self.allowed <= 0:
            return 1.0 if result.bad else 0.0
        return result.bad / self.allowed * WHOLE / seconds


def evaluate_slo(slo: Slo, times: Availability, runs: RunCounts) -> SloResult:
    """An SLO for availability is measured in seconds, one for success in runs."""
    if slo.kind == "availability":
        return SloResult(slo, times.down, times.known)
    return SloResult(slo, runs.bad, runs.good + runs.bad)


def error_budget(
    slo: Slo,
    times: Availability,
    runs: RunCounts,
    schedule: Schedule | None,
    begin: float,
    first: float | None,
) -> ErrorBudget:
    """The budget of the DAYS days from `begin`; `first` is when the oldest known run started.

    In runs it is a share of those that the schedule has, or of more if there were more.
    """
    share = 1 - slo.percent / 100
    if slo.kind == "availability":
        return ErrorBudget(slo, share * WHOLE, times.down, times.unknown, times.known > 0)
    total = runs.good + runs.bad
    planned = occurrences(schedule, date.fromtimestamp(begin), DAYS) if schedule else 0.0
    unknown = min(WHOLE, max(0.0, (begin if first is None else first) - begin))
    return ErrorBudget(slo, share * max(total, planned), runs.bad, unknown, total > 0)
