"""Readings that are new for their series: streaming, seasonal and robust. Pure.

A Detector reads one series in the order of time and keeps at most 800 numbers. It watches three
things, each with a Band in which it has been so far:

- the point: the value, less the median of the same hour of the day on the last 28 days;
- the level: the median of the last 25 values;
- the spread: the logarithm of the standard deviation of the last 96 values.

A band widens to what it has seen three hours ago, and narrows by half in 60 days. Without that lag
a slow leak would widen the band before anybody sees it. The score of a reading is how far it is
outside, in widths of the band; NOTABLE was chosen on half of a public benchmark and is frozen.

Times are seconds since the epoch. Give durations and latencies as logarithms.
"""

import math
from bisect import insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

NOTABLE = 0.08  # the least score that is worth a line
QUIET = 86400.0  # seconds after such a reading in which no other one of its series is notable

_HOUR, _DAY = 3600.0, 86400.0
_DAYS = 28  # that an hour of the day is remembered
_MOST = 60  # values of an hour that its median is taken of
_LEVEL, _SPREAD = 25, 96  # values
_LAG = 3  # hours
_HALF_LIFE = 60 * 24  # hours
_REACH = 3.0  # widths by which an hour may widen a band
_LEAST = 20  # readings before the first score
_YOUNG = 100  # readings with which half of a score counts
_FLOOR = 0.01  # the least width, in sizes of the values; of the spread: _LOG_FLOOR
_LOG_FLOOR = 0.1
_WEIGHTS = {"point": 1.0, "level": 1.0, "spread": 0.25}


Ends = tuple[float, float]  # the lowest and the highest value


class Novelty(NamedTuple):
    """How new a reading is."""

    score: float  # 0: within all bands
    channel: str  # "point", "level" or "spread"
    low: float  # the band of that channel; of a point with the usual value of the hour added
    high: float


@dataclass
class Band:
    """The range in which a number has been, apart from the last hours."""

    count: int = 0
    low: float = 0.0
    high: float = 0.0
    middle: float = 0.0
    hours: list[Ends] = field(default_factory=list)  # that are over
    current: Ends | None = None  # of the hour that is not over

    def state(self) -> list[Any]:
        return [self.count, self.low, self.high, self.middle, self.hours, self.current]

    def score(self, value: float, floor: float) -> float:
        """How far the value is outside, in widths of the band, which are at least `floor`."""
        outside = 0.0
        if self.count >= _LEAST:
            width = max(self.high - self.low, floor)
            outside = max(0.0, value - self.high, self.low - value) / width
            outside *= self.count / (self.count + _YOUNG)
        elif not self.count:
            self.low = self.high = self.middle = value
        else:
            self.low, self.high = min(self.low, value), max(self.high, value)
        self.count += 1
        self.middle += (value - self.middle) * max(1 / self.count, 0.01)
        low, high = self.current or (value, value)
        self.current = min(low, value), max(high, value)
        return outside

    def end_hour(self, kept: float, floor: float) -> None:
        """Narrow the band to the share `kept` of it, and widen it to the hour before the lag."""
        if self.current:
            self.hours.append(self.current)
            self.current = None
        self.high = max(self.middle, self.middle + (self.high - self.middle) * kept)
        self.low = min(self.middle, self.middle - (self.middle - self.low) * kept)
        while len(self.hours) > _LAG:
            low, high = self.hours.pop(0)
            reach = _REACH * max(self.high - self.low, floor)
            self.high = max(self.high, min(high, self.high + reach))
            self.low = min(self.low, max(low, self.low - reach))


@dataclass
class Detector:
    """One series, in the order of time."""

    count: int = 0
    first: float = 0.0
    size: float = 0.0
    peak: float = 0.0
    hour: int = 0  # since the epoch
    hour_values: list[float] = field(default_factory=list)  # sorted
    days: list[list[float]] = field(default_factory=lambda: [[] for _ in range(24)])
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_SPREAD))
    bands: list[Band] = field(default_factory=lambda: [Band() for _ in _WEIGHTS])

    def __post_init__(self) -> None:
        self.usual = [median(day) if day else None for day in self.days]
        self.sums = 0.0, 0.0  # of the recent values, and of their squares

    @classmethod
    def restored(cls, state: Sequence[Any]) -> "Detector":
        """The one whose `state` this is."""
        detector = cls(*state[:7])
        detector.recent.extend(state[7])
        detector._sum_up()
        detector.bands = [Band(*band) for band in state[8]]
        return detector

    def state(self) -> list[Any]:
        """What JSON can hold of it."""
        numbers = [self.count, self.first, self.size, self.peak, self.hour, self.hour_values]
        return [*numbers, self.days, list(self.recent), [band.state() for band in self.bands]]

    def add(self, at: float, value: float) -> Novelty:
        """How new the value is, compared with all before it."""
        hour = int(at // _HOUR)
        if not self.count:
            self.first, self.hour = at, hour
        elif hour > self.hour:
            self._end_hour(hour)
        if len(self.hour_values) < _MOST:
            insort(self.hour_values, value)
        self.count += 1
        self.size += (abs(value) - self.size) * max(1 / self.count, 0.002)
        self.peak = max(self.peak, abs(value))
        self._take(value)
        floor = self._floor()
        usual = self.usual[hour % 24]
        if usual is None:  # a job that never ran at this hour
            usual = (
                median(known)
                if (known := [each for each in self.usual if each is not None])
                else None
            )
        point, level, spread = self.bands
        scores = [0.0, 0.0, 0.0]
        if usual is not None and at - self.first >= _DAY:
            scores[0] = point.score(value - usual, floor)
        if len(self.recent) >= _LEVEL:
            middle = sorted(list(self.recent)[-_LEVEL:])[_LEVEL // 2]
            scores[1] = level.score(middle, floor)
        if len(self.recent) == _SPREAD:
            scores[2] = spread.score(self._spread(), _LOG_FLOOR)
        worst, index = max((scores[at] * weight, at) for at, weight in enumerate(_WEIGHTS.values()))
        band, shift = self.bands[index], 0.0 if index else usual or 0.0
        return Novelty(worst, list(_WEIGHTS)[index], band.low + shift, band.high + shift)

    def _floor(self) -> float:
        return _FLOOR * self.size + 1e-12

    def _take(self, value: float) -> None:
        """Keep the value among the recent ones, and their sums."""
        gone = self.recent[0] if len(self.recent) == _SPREAD else 0.0
        self.recent.append(value)
        total, squares = self.sums
        self.sums = total + value - gone, squares + value * value - gone * gone
        if self.count % _SPREAD == 0:
            self._sum_up()

    def _sum_up(self) -> None:
        """Add them up anew, because sums of floats drift."""
        self.sums = math.fsum(self.recent), math.fsum(each * each for each in self.recent)

    def _spread(self) -> float:
        total, squares = self.sums
        variance = max(0.0, squares / _SPREAD - (total / _SPREAD) ** 2)
        return math.log(math.sqrt(variance) + 1e-3 * self.peak + 1e-12)

    def _end_hour(self, hour: int) -> None:
        of_day = self.days[self.hour % 24]
        of_day.append(self.hour_values[len(self.hour_values) // 2])
        del of_day[:-_DAYS]
        self.usual[self.hour % 24] = median(of_day)
        kept = 0.5 ** ((hour - self.hour) / _HALF_LIFE)
        for name, band in zip(_WEIGHTS, self.bands, strict=True):
            band.end_hour(kept, _LOG_FLOOR if name == "spread" else self._floor())
        self.hour_values, self.hour = [], hour
