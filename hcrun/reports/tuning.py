"""What a month of runs says about the settings of a check: time-out, grace time, thresholds. Pure.

Durations in seconds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from hcrun.catalog import Check
from hcrun.catalog.schedule import Every
from hcrun.journal.queries import Change
from hcrun.reports.anomalies import shown
from hcrun.reports.lateness import Timing
from hcrun.reports.statistics import percentile
from hcrun.text import counted
from hcrun.units import span

ENOUGH = 20  # successful runs
_SHORTEST = 10.0  # seconds: the least time-out that is proposed
_MINIMUM_GRACE = 60
_WIDE = 4.0  # times what is needed: then less is proposed
_FLAPS = 2  # false alarms that are worth a setting
_OFTEN = 0.05  # share of the runs beyond a warning threshold
# Steps to which a proposal is rounded up.
_STEPS = (
    10,
    15,
    20,
    30,
    45,
    60,
    90,
    120,
    180,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    28800,
    86400,
)


class Proposal(NamedTuple):
    """Another value of one key of the catalogue."""

    key: str
    old: str  # "": not set
    new: str
    reason: str


class Values(NamedTuple):
    """What one reading of a probe was."""

    values: Sequence[float]
    unit: str  # as of perfdata.PerfValue
    warning: float | None


@dataclass(frozen=True)
class Tuning:
    """One check in the period."""

    check: Check
    durations: Sequence[float]  # of the successful runs, sorted
    failures: int
    flaps: int  # failures that alerted, and were over within the grace time
    readings: Mapping[str, Values] = field(default_factory=dict)

    @property
    def detection(self) -> float | None:
        """The longest time until the server reports that nothing runs; None: it depends."""
        period = self.check.schedule
        return period.seconds + self.check.grace if isinstance(period, Every) else None

    def proposals(self) -> Iterator[Proposal]:
        if len(self.durations) < ENOUGH:
            return
        longest = self.durations[-1]
        fitting = _rounded(max(_SHORTEST, 2 * longest))
        took = f"the longest of {counted(len(self.durations), 'run')} took {span(longest)}"
        timeout, grace = self.check.timeout, self.check.grace
        if not timeout or not 1.2 * longest <= timeout <= _WIDE * fitting:
            yield Proposal("timeout", _text(timeout), _text(fitting), took)
            timeout = fitting
        needed = _rounded(max(_MINIMUM_GRACE, timeout))
        if grace < needed:
            yield Proposal("grace", _text(grace), _text(needed), "a run may take as long")
        elif grace > _WIDE * needed and self.detection:
            why = f"a missing run is reported after up to {span(self.detection)}"
            yield Proposal("grace", _text(grace), _text(needed), why)
        if self.flaps >= _FLAPS and "--fail-after" not in self.check.options:
            why = f"{counted(self.flaps, 'false alarm')}: over within the grace of {span(grace)}"
            yield Proposal("fail_after", "", "2", why)
        for name, (values, unit, warning) in self.readings.items():
            beyond = [value for value in values if warning is not None and value > warning]
            if warning is not None and len(beyond) > _OFTEN * len(values):
                label = name.rpartition(" ")[2].replace("_", "-")
                why = f"{name} was above {shown(warning, unit)} in {len(beyond)} of {len(values)}"
                new = shown(1.2 * (percentile(sorted(values), 99) or 0.0), unit)
                yield Proposal(f"--{label}-warning", shown(warning, unit), new, f"{why} runs")


def flaps(changes: Sequence[Change], grace: float) -> int:
    """How many failures were over within the grace time."""
    pairs = pairwise(changes)
    return sum(not a.good and b.good and b.ended - a.ended <= grace for a, b in pairs)


def gap(check: Check) -> float:
    """The time between runs from which on a change is not counted as one."""
    return Timing.of_entry(check).gap


def _rounded(seconds: float) -> int:
    return next((step for step in _STEPS if step >= seconds), int(seconds))


def _text(seconds: float | None) -> str:
    """As the catalogue has it: `90s`, `5m`."""
    if not seconds:
        return ""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length and not seconds % length:
            return f"{seconds // length:g}{unit}"
    return f"{seconds:g}s"
