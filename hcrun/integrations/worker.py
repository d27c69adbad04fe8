"""Worker: a thread that runs steps one after the other, in order."""

import _thread
import sys
import threading
import time
from _queue import Empty, SimpleQueue  # gevent replaces those of `queue`
from _thread import RLock
from collections.abc import Callable
from typing import Any

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
        self._steps: SimpleQueue[_Step] = SimpleQueue()
        self._starting = RLock()
        self._started = False
        self._ident = 0

    def put(self, step: _Step) -> None:
        self._steps.put(step)
        self.start()

    def waiting(self) -> int:
        """Return how many steps are in the queue."""
        return self._steps.qsize()

    def wait(self, until: float) -> bool:
        """Return whether all steps put so far were run by `until` (monotonic)."""
        if not self._started or self._ident == _native("get_ident")():
            return not (self.waiting() and not self._started)
        done = _native("allocate_lock")()
        done.acquire()
        self._steps.put(done.release)
        return bool(done.acquire(timeout=max(0.0, until - time.monotonic())))

    def start(self) -> bool:
        """Return False if that is impossible: the user's limit of threads."""
        if self._started:
            return True
        with self._starting:
            if self._started:
                return True
            # Before it starts: a handler of signals that puts a step now must not start another.
            self._started = True
            try:
                if "gevent.monkey" in sys.modules:
                    _native("start_new_thread")(self._work, ())
                else:
                    threading.Thread(target=self._work, name=self._name, daemon=True).start()
                return True
            except RuntimeError as error:
                self._started = False
                problem = str(error)
        self._warn(f"{problem}; runs are not reported until a thread can be started")
        return False

    def _work(self) -> None:
        self._ident = _native("get_ident")()
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
        except Empty:
            self.wake_at = None
            return self._idle


def _native(name: str) -> Any:
    """Return what `_thread` has without gevent: one greenlet would hold up all others."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey.get_original("_thread", name) if monkey else getattr(_thread, name)
