"""--overlap: one run of a check at a time."""

import os
import time

from hcrun.errors import JournalError
from hcrun.locks import FileLock
from hcrun.paths import state_directory
from hcrun.units import span, utc


def acquire(name: str, wait: bool) -> str:
    """Lock the check `name` for the rest of this process; returns "" once it is locked.

    Without `wait`, if another run holds the lock, returns which one. Raises JournalError if there
    can be no lock.
    """
    directory = state_directory()
    path = os.path.join(directory, f"{name}.lock")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        lock = FileLock(path, wait=wait)
    except BlockingIOError:
        return _describe_holder(path)
    except OSError as error:
        raise JournalError(f"cannot lock: {error.strerror}", where=path) from None
    try:
        os.truncate(lock.fd, 0)
        os.write(lock.fd, f"{os.getpid()} {time.time():.0f}\n".encode())
    except OSError:  # on a full disk the lock works, but nobody can read who holds it
        pass
    return ""


def _describe_holder(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            pid, _, start = file.read(100).strip().partition(" ")
    except OSError:
        start = ""
    if not start.isdigit():  # it was locked just now, or on a full disk
        return "the previous run is still in progress"
    duration = span(time.time() - int(start))
    since = utc(int(start))
    return f"the previous run is still in progress: pid {pid}, since {since} ({duration})"
