"""The trend of a series of numbers. Pure.

The statistics are robust, because a few wild values are normal in what probes measure:

- The pace is the Theil-Sen slope, the median of the slopes between all pairs of points (Theil
  1950, Sen 1968). Up to 29% of the points may have any value.
- The spread is the median absolute deviation times 1.4826, which is the standard deviation of
  normally distributed values. Half of the points may have any value.
- A series has a trend if the line rises by four times the spread around it. Noise does not, nor
  does a saw-tooth or a single step.
"""

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

Point = tuple[float, float]  # seconds since the epoch, value

DAY = 86400.0
# A trend needs at least so many points, over at least so much time.
MIN_POINTS = 12
MIN_SPAN = 3 * DAY
# The slopes of all pairs are computed, so longer series are thinned to this number of points.
MAX_POINTS = 120
# A trend is extended to at most this many times the time in which it was observed.
REACH = 6
RECENT = 10 * DAY
RISE = 4.0  # times the spread around the line


class Projection(NamedTuple):
    """When a series reaches a limit if its trend continues."""

    left: float  # seconds from the last point until then; 0: the limit is reached
    pace: float  # per second
    span: float  # seconds from the first point to the last


def project(series: Sequence[Point], limit: float) -> Projection | None:
    """When `series`, in order of time, reaches `limit`, from below or from above.

    The last ten days count by themselves if they have left the range of the days before, and half
    as fast again: growth that has tripled is seen in a week. None: too few points, no trend, a
    trend away from the limit, or the limit is too far away.
    """
    recent = [point for point in series if point[0] >= series[-1][0] - RECENT]
    before = [value for _, value in series[: len(series) - len(recent)]]
    whole = _project(series, limit)
    if before and (last := _project(recent, limit)):
        level, margin = median(value for _, value in recent[-3:]), (max(before) - min(before)) / 20
        outside = level > max(before) + margin or level < min(before) - margin
        if outside and abs(last.pace) > 1.5 * abs(whole.pace if whole else 0):
            return last
    return whole


def _project(series: Sequence[Point], limit: float) -> Projection | None:
    series = thin(series)
    if len(series) < MIN_POINTS:
        return None
    first, last = series[0], series[-1]
    span = last[0] - first[0]
    if span < MIN_SPAN:
        return None
    pace = slope(series)
    residuals = [value - pace * at for at, value in series]
    if not pace or abs(pace) * span < RISE * sigma(residuals):
        return None
    # The level is that of the last points, so that space freed yesterday counts.
    level = median(residuals[-max(3, len(residuals) // 20) :]) + pace * last[0]
    left = (limit - level) / pace
    if left < 0:
        was_crossed = (limit - first[1]) * pace > 0
        left = 0.0 if was_crossed else math.inf
    return Projection(left, pace, span) if left <= REACH * span else None


def slope(series: Sequence[Point]) -> float:
    """The Theil-Sen slope per second; 0 if all points have the same time."""
    slopes = [
        (later - earlier) / (end - start)
        for at, (start, earlier) in enumerate(series)
        for end, later in series[at + 1 :]
        if end > start
    ]
    return median(slopes) if slopes else 0.0


def sigma(values: Sequence[float]) -> float:
    """The median absolute deviation, scaled to a standard deviation."""
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)


def thin(series: Sequence[Point]) -> Sequence[Point]:
    """At most MAX_POINTS of the points, evenly spaced, with the first and the last."""
    if len(series) <= MAX_POINTS:
        return series
    step = (len(series) - 1) / (MAX_POINTS - 1)
    return [series[round(at * step)] for at in range(MAX_POINTS)]


def percentile(sorted_values: Sequence[float], percent: float) -> float | None:
    """The percentile by nearest rank, which is one of the values; None if there are none."""
    if not sorted_values:
        return None
    rank = math.ceil(len(sorted_values) * percent / 100)
    return sorted_values[max(0, rank - 1)]
