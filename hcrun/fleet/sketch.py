"""Durations as the fleet database keeps them: how many were up to 1.05^b seconds."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

_BASE = 1.05


class Sketch(Sequence[float]):
    """The durations in order; each is off by 2.5% at most."""

    def __init__(self, buckets: Iterable[int], counts: Iterable[int]) -> None:
        self._buckets = list(buckets)
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, at: Any) -> Any:
        return _BASE ** (self._buckets[bisect_right(self._ends, range(len(self))[at])] - 0.5)
