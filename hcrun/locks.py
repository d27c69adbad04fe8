"""Locks on files and directories. The kernel drops them when no process has them open any more."""

import fcntl
import os

_FILE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class FileLock:
    """An exclusive lock on `path`: a directory, or a file that is created if there is none.

    Held until the end of a `with` block, or of the process and all that inherited `fd` from it.
    Without `wait` it raises BlockingIOError if another process holds the lock. Raises OSError.
    """

    def __init__(self, path: str, *, wait: bool = False) -> None:
        self.fd = os.open(path, _DIRECTORY if os.path.isdir(path) else _FILE, 0o600)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(self.fd)
            raise

    def __enter__(self) -> "FileLock":
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self.fd)
