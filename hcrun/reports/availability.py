"""Changes of a check's state -> when it was up, down, in maintenance, or nobody knows.

Three things hide in what a server tells of the past. A pause, and the resume after it, look like
an outage: what `hcctl pause` recorded is told apart, every other pause counts as one. Before the
first change nothing is known. And a check that is paused, or was resumed and not pinged since,
is not watched. Times are seconds since the epoch.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from hcrun.api.models import Flip

State = Literal["up", "down", "maintenance", "unknown"]
Window = tuple[float, float]  # of maintenance: from, to
# The server's clock is not this host's, and it tells whole seconds: how far from a window a pause
# or resume of that window may seem to be. Before it, little: an outage may well end in a pause.
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
class Outage:
    """A time down without a break."""

    begin: float
    end: float
    going: bool  # it had not ended at the end of what was looked at

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
    def known(self) -> float:
        return self.up + self.down

    @property
    def ratio(self) -> float | None:
        """Of what is known, without maintenance: 0 to 1; None when nothing is."""
        return self.up / self.known if self.known else None


def history(
    flips: Sequence[Flip], status: str, now: float, windows: Iterable[Window] = ()
) -> list[Span]:
    """All that is known of a check up to now, from all of its flips and its present status.

    Of flips within the same second, which the server does not divide, the first one is the newest.
    The first span begins with the first flip. A check without one that is up has been so for as
    long as the server keeps flips: the span then begins at minus infinity.
    """
    changes = sorted((flip for flip in flips[::-1] if flip.at < now), key=lambda flip: flip.at)
    kept = merged(windows)
    if not changes:
        always_up = status in ("up", "grace")
        return maintained([Span(-math.inf, now, "up")] if always_up else [], kept, now)
    ends = [change.at for change in changes[1:]] + [now]
    spans: list[Span] = []
    for change, end in zip(changes, ends, strict=True):
        append(spans, change.at, end, _state(change, kept))
    last = changes[-1]
    if not last.up and status in ("paused", "new"):
        spans = clipped(spans, -math.inf, last.at)
        append(spans, last.at, now, "maintenance" if status == "paused" else "unknown")
    return maintained(spans, kept, now)


def _state(change: Flip, windows: Sequence[Window]) -> State:
    """After a pause in a window, and the resume at its end, nobody looks until the next ping."""
    if change.up:
        return "up"
    ours = any(begin - _BEFORE <= change.at <= end + _AFTER for begin, end in windows)
    return "unknown" if ours else "down"


def maintained(spans: Iterable[Span], windows: Sequence[Window], now: float) -> list[Span]:
    """The spans up to now, with the windows in them as maintenance, whatever the state was."""
    told: list[Span] = []
    for span in spans:
        at = span.begin
        for begin, end in windows:
            if begin < span.end and end > at:
                append(told, at, begin, span.state)
                append(told, max(at, begin), min(end, span.end), "maintenance")
                at = min(end, span.end)
        append(told, at, min(span.end, now), span.state)
    return told


def merged(windows: Iterable[Window]) -> list[Window]:
    """In order, and none touches another."""
    told: list[Window] = []
    for begin, end in sorted(windows):
        if told and begin <= told[-1][1]:
            told[-1] = (told[-1][0], max(told[-1][1], end))
        elif begin < end:
            told.append((begin, end))
    return told


def append(spans: list[Span], begin: float, end: float, state: State) -> None:
    """What touches a span of the same state makes that one longer."""
    if begin >= end:
        return
    if spans and spans[-1].state == state and spans[-1].end == begin:
        begin = spans.pop().begin
    spans.append(Span(begin, end, state))


def clipped(spans: Iterable[Span], begin: float, end: float) -> list[Span]:
    """What of them lies between begin and end."""
    return [
        Span(max(span.begin, begin), min(span.end, end), span.state)
        for span in spans
        if span.begin < end and span.end > begin
    ]


def availability(spans: Iterable[Span], begin: float, end: float) -> Availability:
    """How long it was what between begin and end; what no span covers is unknown."""
    seconds = {"up": 0.0, "down": 0.0, "maintenance": 0.0, "unknown": 0.0}
    for span in clipped(spans, begin, end):
        seconds[span.state] += span.seconds
    seconds["unknown"] += max(0.0, end - begin - sum(seconds.values()))
    return Availability(**seconds)


def outages(spans: Iterable[Span], begin: float, end: float) -> list[Outage]:
    """The times down between begin and end, oldest first, cut at both."""
    return [
        Outage(span.begin, span.end, going=span.end == end)
        for span in clipped(spans, begin, end)
        if span.state == "down"
    ]


def most_in_a_day(outages: Sequence[Outage]) -> int:
    """The most outages that began within 24 hours."""
    begins = [outage.begin for outage in outages]
    return max((bisect_right(begins, at + 86400.0) - i for i, at in enumerate(begins)), default=0)
