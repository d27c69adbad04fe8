"""Dropped: how many runs were not recorded because too many were waiting."""

import threading
import time
from collections import Counter

from hcrun.integrations.log import warn
from hcrun.results import FAIL, LOG, SUCCESS

_INTERVAL = 600.0  # seconds between two messages
_WORDS = {SUCCESS: "successful", FAIL: "failed", LOG: "other"}


class Dropped:
    def __init__(self) -> None:
        self._counting = threading.RLock()  # a handler of signals may interrupt `add` and call it
        self._counts: Counter[str] = Counter()
        self._next = 0.0  # monotonic

    def add(self, result: str) -> None:
        with self._counting:
            self._counts[result] += 1
        warn("too many runs are waiting to be recorded: some are dropped, failures last")

    def tell(self, now: bool = False) -> None:
        """Log the numbers since the last time, at most once in ten minutes unless `now`."""
        if self._counts and (now or time.monotonic() >= self._next):
            self._next = time.monotonic() + _INTERVAL
            with self._counting:
                counts, self._counts = self._counts, Counter()
            said = ", ".join(f"{counts[kind]:,} {_WORDS[kind]}" for kind in _WORDS if counts[kind])
            warn(f"runs that were dropped and not recorded: {said}")
