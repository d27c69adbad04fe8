"""A regular expression that would match for ever is ended: it must not take the job with it.

Some patterns take twice as long for each further character, `(a+)+$` among them. `re` keeps all
threads of the process from running meanwhile, but looks for signals now and then; a handler that
raises ends it.
"""

from __future__ import annotations

import _signal as signal
import os
from _thread import get_native_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import TypeVar

    T = TypeVar("T")

LONGEST = 1.0  # seconds of CPU; what ends at all takes milliseconds

_armed = False


class TooLongError(Exception):
    """It was ended."""


def bounded(function: Callable[[], T]) -> T:
    """What `function` returns; raises TooLongError after LONGEST seconds of CPU.

    In another thread than the main one nothing is ended: no other hears of signals.
    """
    global _armed
    if get_native_id() != os.getpid():
        return function()
    signal.signal(signal.SIGVTALRM, _ring)
    try:
        _armed = True
        signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
        return function()
    finally:
        _armed = False  # first: it may ring until the next line is done
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _ring(_number: int, _frame: FrameType | None) -> None:
    if _armed:
        raise TooLongError
