"""One run of a check at a time: a lock that dies with its holder."""

from __future__ import annotations

import fcntl
import os
import time

from hcrun.errors import JournalError
from hcrun.paths import state_directory
from hcrun.units import span, utc

_held: list[int] = []  # the lock lives as long as the process: nothing closes it


def acquire(name: str, wait: bool) -> str:
    """Take the lock of the check `name`; "" when it was taken.

    Without `wait`, a lock that is held gives the words that say by which run. Raises
    JournalError when there is no place to keep locks in.
    """
    directory = state_directory()
    path = os.path.join(directory, f"{name}.lock")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise JournalError(f"no overlap lock: {error.strerror}", where=path) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(fd, 100).decode("ascii", "replace")
        os.close(fd)
        return _describe(holder)
    except OSError as error:  # a file system without locks
        os.close(fd)
        raise JournalError(f"no overlap lock: {error.strerror}", where=path) from None
    _held.append(fd)
    try:
        os.truncate(fd, 0)
        os.write(fd, f"{os.getpid()} {time.time():.0f}\n".encode())
    except OSError:  # a full disk: the lock holds, who has it is not told
        pass
    return ""


def _describe(holder: str) -> str:
    pid, _, since = holder.strip().partition(" ")
    if not since.isdigit():  # it has taken the lock just now, or its disk was full
        return "another run is still going"
    return f"pid {pid} is still going, since {utc(int(since))} ({span(time.time() - int(since))})"
