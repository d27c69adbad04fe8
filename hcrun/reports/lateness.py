"""When the next run is due, which runs were late, and the states that runs alone show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import Check
from hcrun.catalog.schedule import Every, Schedule, following, of_server, period
from hcrun.journal.queries import Change, LastRun
from hcrun.reports.availability import Interval, Span, State, append, with_maintenance


@dataclass(frozen=True)
class Timing:
    """When a check is expected to run, and how late it may be; seconds."""

    schedule: Schedule
    zone: str
    grace: int

    @classmethod
    def of_entry(cls, entry: Check) -> "Timing":
        """According to the catalogue."""
        return cls(entry.schedule, entry.zone, entry.grace)

    @classmethod
    def of_remote(cls, remote: RemoteCheck) -> "Timing | None":
        """According to the server; None if it has no period, and no schedule that is known here."""
        if remote.timeout:
            return cls(Every(remote.timeout), "", remote.grace)
        try:
            return cls(of_server(remote.schedule, remote.zone), remote.zone, remote.grace)
        except ValueError:
            return None

    @property
    def gap(self) -> float:
        """The longest time between two runs, unless the schedule has longer gaps."""
        return float(period(self.schedule) + self.grace)

    def due(self, last: float) -> float | None:
        """When the next run after `last` is expected; None if there is none."""
        try:
            return following(self.schedule, self.zone, last)
        except ValueError:
            return None


class LateRun(NamedTuple):
    """A run that started after its time and its grace. Seconds since the epoch."""

    due: float
    came: float | None  # None: it had not started by the end of the period

    def seconds(self, now: float) -> float:
        return (now if self.came is None else self.came) - self.due


def late_runs(
    changes: Iterable[Change], last: LastRun | None, timing: Timing, now: float
) -> list[LateRun]:
    """The runs that were late, oldest first; `last` is the latest known run."""
    found: list[LateRun] = []
    gaps = [(change.before, change.started) for change in changes]
    for before, started in [*gaps, (last.started if last else None, None)]:
        due = timing.due(before) if before is not None else None
        if due is not None and (now if started is None else started) > due + timing.grace:
            found.append(LateRun(due, started))
    return found


def run_history(
    changes: Sequence[Change],
    late: Sequence[LateRun],
    grace: int,
    now: float,
    windows: Iterable[Interval] = (),
) -> list[Span]:
    """The states of a check that its runs show. While a run is missing, the state is unknown."""
    states: list[tuple[float, State]] = [
        (change.ended, "up" if change.good else "down") for change in changes
    ]
    states += [(run.due + grace, "unknown") for run in late]
    states.sort()
    spans: list[Span] = []
    for (begin, state), (end, _) in pairwise([*states, (now, "unknown")]):
        append(spans, begin, end, state)
    return with_maintenance(spans, windows, now)
