"""When a check was up, down, in maintenance or unknown, according to its status changes.

The history that the server keeps leaves three questions open. A pause and the resume after it look
like an outage: those that `hcctl pause` recorded are told apart, all others count as outages.
Before the first change the state is unknown. A check that is paused, or that was resumed and not
pinged since, is not monitored. Times are seconds since the epoch.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from hcrun.api.models import Flip

State = Literal["up", "down", "maintenance", "unknown"]
STATES: tuple[State, ...] = ("up", "down", "maintenance", "unknown")
Interval = tuple[float, float]  # from, to
# The server's clock differs from this host's, and it keeps whole seconds. A pause or resume may
# seem to be this far before or after the maintenance window. The time before it is short, because
# an outage may end in a pause.
_BEFORE, _AFTER = 2.0, 60.0
FLAPPING = 4  # outages within a day


@dataclass(frozen=True)
class Span:
    """A time in which the state was the same."""

    begin: float
    end: float
    state: State

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True)
class Availability:
    """Seconds in each state."""

    up: float = 0.0
    down: float = 0.0
    maintenance: float = 0.0
    unknown: float = 0.0

    @property
    def all(self) -> float:
        return self.up + self.down + self.maintenance + self.unknown

    @property
    def known(self) -> float:
        return self.up + self.down

    @property
    def ratio(self) -> float | None:
        """Up time of the known time without maintenance, 0 to 1; None if nothing is known."""
        return self.up / self.known if self.known else None


def history(
    flips: Sequence[Flip], status: str, now: float, windows: Iterable[Interval] = ()
) -> list[Span]:
    """The states of a check up to now, from all of its flips and its present status.

    Flips within the same second are in the server's order, newest first. The first span begins
    with the first flip. A check without flips that is up has been up for as long as the server
    keeps flips: its span begins at minus infinity.
    """
    changes = sorted((flip for flip in flips[::-1] if flip.when < now), key=lambda flip: flip.when)
    windows = list(windows)
    spans: list[Span] = []
    if not changes and status in ("up", "grace"):
        spans = [Span(-math.inf, now, "up")]
    ends = [change.when for change in changes[1:]] + [now]
    for change, end in zip(changes, ends, strict=False):
        append(spans, change.when, end, _state(change, windows))
    if changes and not changes[-1].up and status in ("paused", "new"):
        last = changes[-1].when
        spans = clipped(spans, -math.inf, last)
        append(spans, last, now, "maintenance" if status == "paused" else "unknown")
    return with_maintenance(spans, windows, now)


def _state(change: Flip, windows: Iterable[Interval]) -> State:
    """Between the resume at the end of a window and the next ping, the state is unknown."""
    if change.up:
        return "up"
    ours = any(begin - _BEFORE <= change.when <= end + _AFTER for begin, end in windows)
    return "unknown" if ours else "down"


def with_maintenance(spans: Iterable[Span], windows: Iterable[Interval], now: float) -> list[Span]:
    """The spans up to now, with the windows in them as maintenance."""
    found: list[Span] = []
    windows = merged(windows)
    for span in spans:
        at = span.begin
        for begin, end in windows:
            if begin < span.end and end > at:
                append(found, at, begin, span.state)
                append(found, max(at, begin), min(end, span.end), "maintenance")
                at = min(end, span.end)
        append(found, at, min(span.end, now), span.state)
    return found


def merged(windows: Iterable[Interval]) -> list[Interval]:
    """The windows in order; those that overlap or touch become one."""
    found: list[Interval] = []
    for begin, end in sorted(windows):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif begin < end:
            found.append((begin, end))
    return found


def append(spans: list[Span], begin: float, end: float, state: State) -> None:
    """Add a span, or extend the last one if it has the same state and ends at `begin`."""
    if begin >= end:
        return
    if spans and spans[-1].state == state and spans[-1].end == begin:
        begin = spans.pop().begin
    spans.append(Span(begin, end, state))


def clipped(spans: Iterable[Span], begin: float, end: float) -> list[Span]:
    """The parts of the spans between begin and end."""
    return [
        Span(max(span.begin, begin), min(span.end, end), span.state)
        for span in spans
        if span.begin < end and span.end > begin
    ]


def availability(spans: Iterable[Span], begin: float, end: float) -> Availability:
    """The time in each state between begin and end; time outside all spans is unknown."""
    seconds = dict.fromkeys(STATES, 0.0)
    for span in clipped(spans, begin, end):
        seconds[span.state] += span.seconds
    seconds["unknown"] += max(0.0, end - begin - sum(seconds.values()))
    return Availability(*seconds.values())


def outages(spans: Iterable[Span], begin: float, end: float) -> list[Span]:
    """The times down between begin and end, oldest first, clipped at both."""
    return [span for span in clipped(spans, begin, end) if span.state == "down"]


def most_in_a_day(outages: Sequence[Span]) -> int:
    """The largest number of outages that began within 24 hours."""
    begins = [outage.begin for outage in outages]
    return max((bisect_right(begins, at + 86400.0) - i for i, at in enumerate(begins)), default=0)
