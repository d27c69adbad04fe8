"""Worker: a thread that runs steps one after the other, in order."""

import queue
import threading
import time
from collections.abc import Callable

from hcrun.integrations.log import warn


class Worker:
    """The thread starts with the first step at the latest. It is a daemon: it never keeps a
    process alive.

    It calls `idle` if no step has come until `wake_at` (monotonic; None: never).
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
        """Return how many steps are in the queue."""
        return self._steps.qsize()

    def wait(self, until: float) -> bool:
        """Return whether all steps put so far were run by `until` (monotonic)."""
        if not self._started:
            return True
        done = threading.Event()
        self._steps.put(done.set)
        return done.wait(max(0.0, until - time.monotonic()))

    def start(self) -> None:
        with self._starting:
            if self._started:
                return
            try:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
                self._started = True
            except RuntimeError as error:  # the user's limit of threads; the next step retries
                warn(f"{error}; runs are not reported until a thread can be started")

    def _work(self) -> None:
        while True:
            try:
                self._next()()
            except Exception as error:  # a bug in one step must not end all reports
                warn(f"internal error, please report it: {type(error).__name__}: {error}")

    def _next(self) -> Callable[[], object]:
        if self.wake_at is None:
            return self._steps.get()
        try:
            return self._steps.get(timeout=max(0.0, self.wake_at - time.monotonic()))
        except queue.Empty:
            self.wake_at = None
            return self._idle
