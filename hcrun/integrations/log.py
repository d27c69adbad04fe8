"""Problems of the monitoring go to the logger `hcrun`. They are never raised.

A thread logs them, and no lock is held meanwhile: a handler may take long, or call a function that
is monitored, and delays neither the application nor the reports.
"""

import atexit
import logging
import os
import time
from _thread import RLock

from hcrun.integrations.worker import Worker

_INTERVAL = 600.0  # seconds before the same warning is logged again
_AT_EXIT = 5.0  # seconds for the handlers when the process ends
_log = logging.getLogger("hcrun")
_logged: dict[str, float] = {}  # text -> when, monotonic
_looking = RLock()  # a handler of signals may interrupt `warn` and call it
_end = float("inf")  # nothing is logged after that, monotonic
_pid = os.getpid()
worker = Worker("hcrun-log")


def warn(text: str, patience: float = 0.0, here: bool = False) -> None:
    """Log a warning, at most once in ten minutes; wait `patience` seconds for the handlers.

    `here`: by the thread that calls.
    """
    if _pid != os.getpid():  # a fork without the hooks of Python
        renew_after_fork()
    now = time.monotonic()
    with _looking:
        if _end < float("inf") or now - _logged.get(text, -_INTERVAL) < _INTERVAL:
            return
        if len(_logged) > 1000:
            _logged.clear()
        _logged[text] = now
    if not here and worker.start():
        worker.put(lambda: _emit(text))
    else:
        _emit(text)
    if patience:
        worker.wait(now + patience)


def _emit(text: str) -> None:
    try:
        if time.monotonic() < _end:
            _log.warning("%s", text)
    except (Exception, SystemExit):  # of a handler of the application
        pass


def close(until: float | None = None) -> None:
    """Wait for the handlers until `until` (monotonic), and log nothing after that.

    Python aborts if a daemon thread holds stderr when the interpreter ends.
    """
    global _end
    if _end < float("inf"):
        return
    if _pid != os.getpid():
        renew_after_fork()
    _end = until or time.monotonic() + _AT_EXIT
    finished = worker.wait(_end)
    _end = 0.0
    logger = None if finished else _log
    while logger:  # `logging.shutdown` would wait for the lock of a handler that does not return
        for handler in logger.handlers:
            handler.createLock()
        logger = logger.parent


def renew_after_fork() -> None:
    """The thread does not exist here, and another one of the parent may have held the lock."""
    global _looking, _pid, worker
    _looking = RLock()
    _pid = os.getpid()
    worker = Worker("hcrun-log")


atexit.register(close)
