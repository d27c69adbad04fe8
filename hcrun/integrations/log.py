"""Problems of the monitoring go to the logger `hcrun`. They are never raised."""

import logging
import threading
import time

_INTERVAL = 600.0  # seconds before the same warning is logged again
_log = logging.getLogger("hcrun")
_logged: dict[str, float] = {}  # text -> when, monotonic
_lock = threading.Lock()
_muted = False


def warn(text: str) -> None:
    """Log a warning, the same text at most once in ten minutes."""
    with _lock:
        now = time.monotonic()
        if _muted or now - _logged.get(text, -_INTERVAL) < _INTERVAL:
            return
        if len(_logged) > 1000:
            _logged.clear()
        _logged[text] = now
        _log.warning("%s", text)


def mute() -> None:
    """Stop logging: Python aborts if a daemon thread holds stderr when the interpreter ends."""
    global _muted
    with _lock:
        _muted = True


def unmute_after_fork() -> None:
    """Replace the lock, which another thread of the parent may have held during the fork."""
    global _lock
    _lock = threading.Lock()
