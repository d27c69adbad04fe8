"""What a promise allows to go wrong, and how much of that is spent."""

from __future__ import annotations

from dataclasses import dataclass

from hcrun.catalog import Slo
from hcrun.journal.queries import RunCounts
from hcrun.reports.availability import Availability

DAYS = 30  # a budget is for so many days: those before the end of what is looked at


@dataclass(frozen=True)
class Budget:
    """Seconds, or runs, that were bad, of so many in all."""

    slo: Slo
    bad: float
    total: float

    @property
    def allowed(self) -> float:
        return self.total * (1 - self.slo.percent / 100)

    @property
    def left(self) -> float | None:
        """1: all of it; 0: spent; below: broken by that much; None: nothing is known."""
        burn = self.burn
        return None if burn is None else 1 - burn

    @property
    def burn(self) -> float | None:
        """How many times as fast as the promise allows it went wrong: 1 just keeps it."""
        if not self.total:
            return None
        if not self.bad:
            return 0.0
        # A promise of 100 % allows nothing; one bad second then is all that is needed.
        return self.bad / self.allowed if self.allowed > 0 else 1.0

    @property
    def ratio(self) -> float | None:
        """Of time up, or of runs that were a success; 0 to 1."""
        return 1 - self.bad / self.total if self.total else None

    @property
    def kept(self) -> bool | None:
        """None: nothing is known."""
        slack = self.total * 1e-9  # 99.9 is no binary fraction
        return self.bad <= self.allowed + slack if self.total else None


def budget(slo: Slo, times: Availability, runs: RunCounts) -> Budget:
    """Of an availability its seconds, of a success its runs."""
    if slo.kind == "availability":
        return Budget(slo, times.down, times.known)
    return Budget(slo, runs.bad, runs.good + runs.bad)
