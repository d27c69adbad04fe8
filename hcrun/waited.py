"""What may hang happens in a thread, and is waited for only so long."""

from __future__ import annotations

import time
from _thread import allocate_lock, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hcrun.relay import Relay


class Waited:
    """A function in a thread of its own; `result` is what it returned, None until then."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.result: Any = None
        self.problem = ""
        self._function = function
        self._done = allocate_lock()
        self._done.acquire()
        try:
            start_new_thread(self._run, ())
        except RuntimeError:  # this user may have no more threads: then at once
            self._run()

    def _run(self) -> None:
        try:
            self.result = self._function()
        except Exception as error:  # whatever it is, it does not end the job
            self.problem = f"{type(error).__name__}: {error}"
        finally:
            self._done.release()

    def wait(self, timeout: float, relay: Relay | None = None) -> bool:
        """Whether it has ended; gives up after `timeout` seconds, or when told to end."""
        until = time.monotonic() + timeout
        while not self._done.acquire(timeout=max(0.0, min(0.2, until - time.monotonic()))):
            if time.monotonic() >= until or (relay and relay.told_to_end):
                return False
        self._done.release()
        return True
