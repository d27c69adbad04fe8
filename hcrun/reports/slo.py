"""Whether an SLO was met, and how much of its error budget is left."""

from dataclasses import dataclass

from hcrun.catalog import Slo
from hcrun.journal.queries import RunCounts
from hcrun.reports.availability import Availability

DAYS = 30  # an error budget covers so many days, up to the end of the period


@dataclass(frozen=True)
class SloResult:
    """An SLO and what happened: so many bad seconds, or runs, of so many in total."""

    slo: Slo
    bad: float
    total: float

    @property
    def allowed(self) -> float:
        """The whole error budget, in seconds or runs."""
        return self.total * (1 - self.slo.percent / 100)

    @property
    def budget_left(self) -> float | None:
        """1: all of it; 0: spent; below 0: the SLO is missed; None: no data."""
        burn_rate = self.burn_rate
        return None if burn_rate is None else 1 - burn_rate

    @property
    def burn_rate(self) -> float | None:
        """How fast the error budget was spent: 1 spends exactly the budget; None: no data."""
        if not self.total:
            return None
        if not self.bad:
            return 0.0
        # An SLO of 100 % has no budget, which one bad second spends.
        return self.bad / self.allowed if self.allowed > 0 else 1.0

    @property
    def ratio(self) -> float | None:
        """The share of good time or runs, 0 to 1; None: no data."""
        return 1 - self.bad / self.total if self.total else None

    @property
    def met(self) -> bool | None:
        """None: no data."""
        slack = self.total * 1e-9  # for rounding: 99.9 is not exact in binary
        return self.bad <= self.allowed + slack if self.total else None


def evaluate_slo(slo: Slo, times: Availability, runs: RunCounts) -> SloResult:
    """An SLO for availability is measured in seconds, one for success in runs."""
    if slo.kind == "availability":
        return SloResult(slo, times.down, times.known)
    return SloResult(slo, runs.bad, runs.good + runs.bad)
