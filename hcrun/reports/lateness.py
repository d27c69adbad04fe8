"""When the next run was due, which runs came late, and what the journal alone tells of states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hcrun.api.models import RemoteCheck
from hcrun.catalog.schedule import Calendar, Cron, Every, Schedule, next_run, period
from hcrun.journal.queries import Change, Last
from hcrun.reports.availability import Span, State, append


@dataclass(frozen=True)
class Plan:
    """When a check runs, and how long after that it is not yet late; seconds."""

    schedule: Schedule
    zone: str
    grace: int

    @property
    def gap(self) -> int:
        """No two runs are further apart than this, unless the schedule itself has such gaps."""
        return period(self.schedule) + self.grace

    def due(self, last: float) -> float | None:
        """When the next run after that one is expected; None when there is none."""
        if isinstance(self.schedule, Every):
            return last + self.schedule.seconds
        try:
            return next_run(self.schedule, self.zone, last)
        except ValueError:
            return None


def plan_of(remote: RemoteCheck) -> Plan | None:
    """As the server has it."""
    if remote.timeout:
        return Plan(Every(remote.timeout), "", remote.grace)
    if not remote.schedule:
        return None
    cron = len(remote.schedule.split()) == 5
    schedule = Cron(remote.schedule) if cron else Calendar(remote.schedule)
    return Plan(schedule, remote.zone, remote.grace)


@dataclass(frozen=True)
class Late:
    """A run that came after its time and its grace. Seconds since the epoch."""

    due: float
    came: float | None  # None: it had not come by the end of what was looked at

    def seconds(self, now: float) -> float:
        return (now if self.came is None else self.came) - self.due


def lates(changes: Iterable[Change], last: Last | None, plan: Plan, now: float) -> list[Late]:
    """The runs that were late, oldest first; `last` is the newest that is known."""
    found: list[Late] = []
    gaps = [(change.before, change.started) for change in changes]
    for before, started in [*gaps, (last.started if last else None, None)]:
        due = plan.due(before) if before is not None else None
        if due is not None and (now if started is None else started) > due + plan.grace:
            found.append(Late(due, started))
    return found


def spans(changes: Sequence[Change], late: Sequence[Late], grace: int, now: float) -> list[Span]:
    """What runs say of the states of their check: nothing while one is missing."""
    told: list[tuple[float, State]] = [
        (change.ended, "up" if change.good else "down") for change in changes
    ]
    told += [(missed.due + grace, "unknown") for missed in late]
    told.sort()
    found: list[Span] = []
    for (at, state), (end, _) in pairwise([*told, (now, "unknown")]):
        append(found, at, end, state)
    return found
