"""Stops regular expressions that run without end, so that they cannot block the job.

Some patterns, like `(a+)+$`, take twice as long for each further character. `re` blocks all threads
of the process meanwhile, but it checks for signals; a handler that raises stops it.
"""

import _signal as signal
import os
from _collections_abc import Callable
from _thread import get_native_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import TypeVar

    T = TypeVar("T")

LONGEST = 1.0  # seconds of CPU; a pattern that ends takes milliseconds

_armed = False


class TooLongError(Exception):
    """The regular expression ran for too long."""


def bounded(function: "Callable[[], T]") -> "T":
    """Call `function`; raises TooLongError after LONGEST seconds of CPU in the main thread."""
    global _armed
    if get_native_id() != os.getpid():
        return function()
    signal.signal(signal.SIGVTALRM, _ring)
    try:
        _armed = True
        signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
        return function()
    finally:
        _armed = False  # first: the timer may fire until the next line is done
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _ring(_number: int, _frame: "FrameType | None") -> None:
    if _armed:
        raise TooLongError
