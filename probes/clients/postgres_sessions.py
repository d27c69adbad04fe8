"""Sessions of PostgreSQL: free connections, long queries, and who blocks whom."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from hcrun.text import counted
from hcrun.units import span
from probes.framework.probe import Ranges
from probes.framework.verdict import Reading


class Session(NamedTuple):
    pid: int
    role: str
    application: str
    state: str | None  # None: the probe's role has no right to see it
    running: float | None  # seconds since its query began
    resting: float | None  # seconds since its state changed
    waiting: float | None  # seconds since it began to wait for a lock
    blockers: Sequence[int] | None  # pids of the sessions it waits for

    def __str__(self) -> str:
        by = f" ({self.application})" if self.application else ""
        return f"pid {self.pid} of {self.role}{by}"

    @property
    def is_idle(self) -> bool:  # "idle in transaction", or "... (aborted)"
        return (self.state or "").startswith("idle in transaction")


def evaluate_busy(
    sessions: Sequence[Session], ignored: Collection[str], ranges: Ranges
) -> Iterator[Reading]:
    """Long queries and idle transactions, without those of ignored roles and applications."""
    shown = [s for s in sessions if s.role not in ignored and s.application not in ignored]
    active = [(s.running or 0, s) for s in shown if s.state == "active"]
    yield _longest("long_query", "running", active, ranges)
    idle = [(s.resting or 0, s) for s in shown if s.is_idle]
    yield _longest("idle_in_transaction", "idle in transaction", idle, ranges)


def _longest(
    label: str, state: str, found: Sequence[tuple[float, Session]], ranges: Ranges
) -> Reading:
    """Returns the session that has been in its state longest, and how many exceed a threshold."""
    warning, critical = ranges[label]
    if not found:
        return Reading(label, 0, "s", "", warning, critical, minimum=0)
    age, session = max(found, key=lambda pair: pair[0])
    limits_set = [limit for limit in (warning, critical) if limit]
    number = sum(any(limit.broken_by(age) for limit in limits_set) for age, _ in found)
    text = f"{counted(number, 'session')} {state} for {span(age)}" if number else ""
    hint = f"see {session} in pg_stat_activity"
    return Reading(label, age, "s", text, warning, critical, minimum=0, hint=hint)


def evaluate_blocked(sessions: Sequence[Session], ranges: Ranges) -> Reading:
    """Who waits longest for a lock, and who blocks it."""
    blocked = [session for session in sessions if session.waiting is not None]
    limits = ranges["blocked"]
    if not blocked:
        return Reading("blocked", 0, "s", "", *limits, minimum=0)
    longest = max(blocked, key=lambda session: session.waiting or 0)
    seconds = longest.waiting or 0
    text = f"{counted(len(blocked), 'session')} blocked, {longest} for {span(seconds)}"
    text += _by(longest, {session.pid: session for session in sessions})
    hint = "ending what blocks them rolls its transaction back"
    return Reading("blocked", seconds, "s", text, *limits, minimum=0, hint=hint).brief()


def _by(session: Session, by_pid: Mapping[int, Session]) -> str:
    """` by ...`: what others wait for, directly or not, and that waits for none."""
    first = session
    seen: set[int] = set()
    while first.blockers:
        pid = first.blockers[0]
        if not pid:
            return " by a prepared transaction (pg_prepared_xacts)"
        if pid not in by_pid or pid in seen:  # no client, or a deadlock
            return f" by pid {pid}"
        seen.add(pid)
        first = by_pid[pid]
    if first is session:  # it has just got its lock
        return ""
    since = first.resting if first.is_idle else first.running
    return f" by {first}, {first.state} for {span(since or 0)}"
