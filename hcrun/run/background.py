"""Calls that may hang run in a thread, and are awaited for a limited time."""

from __future__ import annotations

import time
from _thread import allocate_lock, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class BackgroundCall:
    """A function that runs in its own thread. `result` is its return value, None until then.

    If this user may have no more threads, the call starts when it is awaited: until then the
    command, which may be running, must not be left without its monitor.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.result: Any = None
        self.problem = ""
        self._function = function
        self._running = allocate_lock()
        self._running.acquire()
        self._started = self._start()

    def _start(self) -> bool:
        try:
            start_new_thread(self._run, ())
        except RuntimeError:
            return False
        return True

    def _run(self) -> None:
        try:
            self.result = self._function()
        except Exception as error:  # a bug here must not end the job
            self.problem = f"{type(error).__name__}: {error}"
        finally:
            self._running.release()

    def wait(self, timeout: float, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Return whether the call has ended, after `timeout` seconds or when `interrupted`."""
        end = time.monotonic() + timeout
        if not self._started:
            self._started = True
            if not self._start():  # the command has ended, but left no room for a thread
                self._run()
        while not self._running.acquire(timeout=max(0.0, min(0.2, end - time.monotonic()))):
            if time.monotonic() >= end or interrupted():
                return False
        self._running.release()
        return True
