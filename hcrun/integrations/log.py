"""What goes wrong with the monitoring is said in the log `hcrun`, and never raised."""

from __future__ import annotations

import logging
import threading
import time

_EVERY = 600.0  # seconds until the same is said again
_log = logging.getLogger("hcrun")
_said: dict[str, float] = {}
_speaking = threading.Lock()
_ended = False


def warn(text: str) -> None:
    """A warning; the same one at most every ten minutes."""
    with _speaking:
        now = time.monotonic()
        if _ended or now - _said.get(text, -_EVERY) < _EVERY:
            return
        if len(_said) > 1000:
            _said.clear()
        _said[text] = now
        _log.warning("%s", text)


def mute() -> None:
    """The interpreter ends: a daemon thread that then holds stderr makes it abort."""
    global _ended
    with _speaking:
        _ended = True


def unmute_after_fork() -> None:
    """Another thread of the parent may have been speaking."""
    global _speaking
    _speaking = threading.Lock()
