"""Worker: a thread that runs steps one after the other, in order."""

import queue
import threading
import time
from collections.abc import Callable

_Step = Callable[[], object]


class Worker:
    """The thread starts with the first step at the latest. It is a daemon: it never keeps a
    process alive.

    It calls `idle` if no step has come until `wake_at` (monotonic; None: never), and `warn` with a
    problem of its own, never while it holds a lock.
    """

    def __init__(
        self,
        name: str,
        warn: Callable[[str], None] = lambda _problem: None,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self.wake_at: float | None = None
        self._name = name
        self._warn = warn
        self._idle = idle
        self._steps: queue.SimpleQueue[_Step] = queue.SimpleQueue()
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None

    def put(self, step: _Step) -> None:
        self._steps.put(step)
        self.start()

    def waiting(self) -> int:
        """Return how many steps are in the queue."""
        return self._steps.qsize()

    def wait(self, until: float) -> bool:
        """Return whether all steps put so far were run by `until` (monotonic)."""
        thread = self._thread
        if not thread or not thread.is_alive() or thread is threading.current_thread():
            return True
        done = threading.Event()
        self._steps.put(done.set)
        return done.wait(max(0.0, until - time.monotonic()))

    def start(self) -> bool:
        """Return False if that is impossible: the user's limit of threads."""
        if self._thread:
            return True
        with self._starting:
            if self._thread:
                return True
            # Before it starts: a handler of signals that puts a step now must not start another.
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            try:
                self._thread.start()
                return True
            except RuntimeError as error:
                self._thread = None
                problem = str(error)
        self._warn(f"{problem}; runs are not reported until a thread can be started")
        return False

    def _work(self) -> None:
        while True:
            try:
                self._next()()
            except Exception as error:  # a bug in one step must not end all reports
                self._warn(f"internal error, please report it: {type(error).__name__}: {error}")

    def _next(self) -> _Step:
        if self.wake_at is None:
            return self._steps.get()
        try:
            return self._steps.get(timeout=max(0.0, self.wake_at - time.monotonic()))
        except queue.Empty:
            self.wake_at = None
            return self._idle
