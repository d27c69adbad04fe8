"""What may hang happens in a thread, and is waited for only so long."""

from __future__ import annotations

import time
from _thread import allocate_lock, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hcrun.run.signals import SignalForwarder


class BackgroundCall:
    """A function in a thread of its own; `result` is what it returned, None until then.

    Where this user may have no more threads it begins when it is waited for: the command, which
    may run meanwhile, is not to be without its watch.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.result: Any = None
        self.problem = ""
        self._function = function
        self._done = allocate_lock()
        self._done.acquire()
        self._begun = False
        self._begin()

    def _begin(self) -> None:
        try:
            start_new_thread(self._run, ())
            self._begun = True
        except RuntimeError:
            pass

    def _run(self) -> None:
        try:
            self.result = self._function()
        except Exception as error:  # whatever it is, it does not end the job
            self.problem = f"{type(error).__name__}: {error}"
        finally:
            self._done.release()

    def wait(self, timeout: float, relay: SignalForwarder | None = None) -> bool:
        """Whether it has ended; gives up after `timeout` seconds, or when told to end."""
        until = time.monotonic() + timeout
        if not self._begun:
            self._begin()  # the command has ended and made room
        if not self._begun:
            self._begun = True
            self._run()
        while not self._done.acquire(timeout=max(0.0, min(0.2, until - time.monotonic()))):
            if time.monotonic() >= until or (relay and relay.told_to_end):
                return False
        self._done.release()
        return True
