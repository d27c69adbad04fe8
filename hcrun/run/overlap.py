"""--overlap: one run of a check at a time.

The command inherits the lock, as with flock(1). So the lock lasts as long as a process of the run:
after hcrun was killed, and while a background process is left that has not closed the descriptor.
"""

import fcntl
import os
import time

from hcrun.errors import HcrunError, JournalError
from hcrun.locks import FileLock
from hcrun.paths import state_directory
from hcrun.processes import has_open_file, with_open_file
from hcrun.text import listed
from hcrun.units import span, utc

# The descriptor of the lock in the command. Shells can close it (9>&-), and few programs use it.
_DESCRIPTOR = 9


class OverlapError(HcrunError):
    """A process of the previous run lives."""


def acquire(name: str, wait: bool) -> list[tuple[int, ...]]:
    """Lock the check `name` for the rest of this process.

    Returns the file actions of os.posix_spawn that pass the lock on to the command. Raises
    OverlapError if, without `wait`, another run has the lock; JournalError if there can be none.
    """
    directory = state_directory()
    path = os.path.join(directory, f"{name}.lock")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        lock = FileLock(path, wait=wait)
        # It stays open here, so that no other file of hcrun gets its number.
        inherited = fcntl.fcntl(lock.fd, fcntl.F_DUPFD_CLOEXEC, _DESCRIPTOR)
    except BlockingIOError:
        raise OverlapError(_describe_holder(path)) from None
    except OSError as error:
        hint = "set STATE_DIRECTORY to a directory that this user can write"
        raise JournalError(f"cannot lock: {error.strerror}", where=path, hint=hint) from None
    try:
        os.truncate(lock.fd, 0)
        os.write(lock.fd, f"{os.getpid()} {int(time.time())}\n".encode())
    except OSError:  # on a full disk the lock works, but nobody can read who holds it
        pass
    return [(os.POSIX_SPAWN_DUP2, lock.fd, inherited)]


def _describe_holder(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            pid, _, start = file.read(100).strip().partition(" ")
    except OSError:
        start = ""
    if not start.isdigit():  # it was locked just now, or on a full disk
        return "the previous run is still in progress"
    since = f"since {utc(int(start))} ({span(time.time() - int(start))})"
    if has_open_file(int(pid), path):
        return f"the previous run is still in progress: pid {pid}, {since}"
    left = with_open_file(path) or ["of another user"]
    return f"the previous run left processes that are still running: {listed(left)}, {since}"
