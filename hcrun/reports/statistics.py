"""Where a series of numbers goes, and whether its last one is out of the ordinary. Pure.

Robust statistics throughout, as a few wild values are normal in what probes see:

- the pace is the Theil-Sen slope, the median of the slopes between all pairs of points (Theil
  1950, Sen 1968): up to 29% of the points may be anything;
- the spread is the median absolute deviation, times 1.4826 to be a sigma where all is normal;
  half of the points may be anything;
- it is a trend when the line rises by four sigma of what is beside it: noise does not, nor does
  a saw-tooth, nor a single step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

Point = tuple[float, float]  # seconds since the epoch, value

DAY = 86400.0
# Fewer points, or days, say nothing about a trend that is worth a sentence.
LEAST_POINTS = 12
LEAST_SPAN = 3 * DAY
# Of more points as many are taken, evenly: all pairs are looked at.
MOST_POINTS = 120
# A trend is not believed for longer than this many times as long as it was seen.
REACH = 6
RISE = 4.0  # sigmas of what is beside the line
LEAST_RUNS = 20
UNUSUAL = 4.0  # sigmas


class Forecast(NamedTuple):
    """When a limit is reached if all goes on as it did."""

    left: float  # seconds from the last point until then; 0: it is reached
    pace: float  # per second
    level: float  # at the last point, without the noise
    points: int
    span: float  # seconds from the first point to the last


def forecast(series: Sequence[Point], limit: float) -> Forecast | None:
    """When `series`, in the order of time, reaches `limit`, from below or from above.

    None: too few data, no trend, a trend away from the limit, or it is too far away to say.
    """
    series = thin(series)
    if len(series) < LEAST_POINTS:
        return None
    first, last = series[0], series[-1]
    span = last[0] - first[0]
    if span < LEAST_SPAN:
        return None
    pace = slope(series)
    beside = [value - pace * at for at, value in series]
    if not pace or abs(pace) * span < RISE * sigma(beside):
        return None
    # The last tenth says where it stands: what was freed yesterday counts.
    level = median(beside[-max(3, len(beside) // 10) :]) + pace * last[0]
    left = (limit - level) / pace
    if left < 0:
        came_to_it = (limit - first[1]) * pace > 0
        left = 0.0 if came_to_it else math.inf
    return Forecast(left, pace, level, len(series), span) if left <= REACH * span else None


def slope(series: Sequence[Point]) -> float:
    """The Theil-Sen slope per second; 0 where all is of one moment."""
    slopes = [
        (later - earlier) / (end - start)
        for at, (start, earlier) in enumerate(series)
        for end, later in series[at + 1 :]
        if end > start
    ]
    return median(slopes) if slopes else 0.0


def sigma(values: Sequence[float]) -> float:
    """The spread: the median absolute deviation, scaled to a standard deviation."""
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)


def unusual(durations: Sequence[float], last: float) -> float | None:
    """How many sigmas `last` is above the median of `durations`, if it is unusual: 4 or more.

    None: it is not, or there are fewer than 20 to compare it with. The least that counts as sigma
    is a tenth of the median, and 50 ms, which is what a busy machine makes of nothing: what always
    takes 0.40 s is not unusual when it takes 0.41 s.
    """
    if len(durations) < LEAST_RUNS:
        return None
    middle = median(durations)
    sigmas = (last - middle) / max(sigma(durations), middle / 10, 0.05)
    return sigmas if sigmas >= UNUSUAL else None


def thin(series: Sequence[Point], maximum: int = MOST_POINTS) -> Sequence[Point]:
    """At most `most` of the points, evenly in their order, the first and the last among them."""
    if len(series) <= maximum:
        return series
    step = (len(series) - 1) / (maximum - 1)
    return [series[round(at * step)] for at in range(maximum)]
