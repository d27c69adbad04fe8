"""A thread that takes one step after the other, in the order in which they were given."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from hcrun.integrations.log import warn


class Worker:
    """Its thread starts with the first step if not before, and is a daemon: it never keeps a
    process alive.

    `idle` is called in the thread when no step came until `wake_at` (monotonic, None: never).
    """

    def __init__(self, name: str, idle: Callable[[], None] = lambda: None) -> None:
        self.wake_at: float | None = None
        self._name = name
        self._idle = idle
        self._steps: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._started = False

    def put(self, step: Callable[[], object]) -> None:
        self._steps.put(step)
        if not self._started:
            self.start()

    def waiting(self) -> int:
        """How many steps are still to be taken."""
        return self._steps.qsize()

    def wait(self, until: float) -> bool:
        """Whether all steps that were put before were taken by `until` (monotonic)."""
        if not self._started:
            return True
        done = threading.Event()
        self._steps.put(done.set)
        return done.wait(max(0.0, until - time.monotonic()))

    def start(self) -> None:
        with self._starting:
            if not self._started:
                try:
                    threading.Thread(target=self._work, name=self._name, daemon=True).start()
                except RuntimeError as error:  # no more threads for this user: later, perhaps
                    warn(f"{error}; runs are neither recorded nor pinged until there can be")
                else:
                    self._started = True

    def _work(self) -> None:
        while True:
            try:
                self._next()()
            except Exception as error:  # a bug of ours must not be the end of all reports
                warn(f"internal error, please report it: {type(error).__name__}: {error}")

    def _next(self) -> Callable[[], object]:
        if self.wake_at is None:
            return self._steps.get()
        try:
            return self._steps.get(timeout=max(0.0, self.wake_at - time.monotonic()))
        except queue.Empty:
            self.wake_at = None
            return self._idle
