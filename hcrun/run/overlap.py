"""One run of a check at a time: a lock that dies with its holder."""

from __future__ import annotations

import os
import time

from hcrun.errors import JournalError
from hcrun.locks import FileLock
from hcrun.paths import state_directory
from hcrun.units import span, utc


def acquire(name: str, wait: bool) -> str:
    """Lock the check `name` for the rest of this process; returns "" once it is locked.

    Without `wait`, if another run holds the lock, returns which one. Raises JournalError if no
    lock can be made.
    """
    directory = state_directory()
    path = os.path.join(directory, f"{name}.lock")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        lock = FileLock(path, wait=wait)
    except BlockingIOError:
        return _describe(path)
    except OSError as error:
        raise JournalError(f"no overlap lock: {error.strerror}", where=path) from None
    try:
        os.truncate(lock.fd, 0)
        os.write(lock.fd, f"{os.getpid()} {time.time():.0f}\n".encode())
    except OSError:  # on a full disk the lock holds, but nobody can read who has it
        pass
    return ""


def _describe(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            pid, _, since = file.read(100).strip().partition(" ")
    except OSError:
        since = ""
    if not since.isdigit():  # it was locked just now, or on a full disk
        return "another run is still going"
    return f"pid {pid} is still going, since {utc(int(since))} ({span(time.time() - int(since))})"
