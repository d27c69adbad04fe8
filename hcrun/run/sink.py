"""Writes that never block and never raise: plumbing does not end a job.

A closed reader, a full disk, a vanished terminal: the bytes are dropped, `trouble` says why, and
the command goes on.
"""

from __future__ import annotations

import errno
import os
import select
import stat

_GONE = {errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ECONNRESET, errno.EINVAL}
_SAFE = 4096  # PIPE_BUF on Linux: after POLLOUT a pipe takes this much without blocking


class Sink:
    """A file descriptor that bytes go to.

    `own`: nobody else shares its open file description, so it can be made non-blocking as it is.
    """

    def __init__(self, fd: int, own: bool = False) -> None:
        self.fd = self._given = fd
        self.trouble = ""
        self._pending = b""
        self._gone = False
        self._careful = False
        try:
            mode = os.fstat(fd).st_mode
        except OSError as error:
            self._fail(error)
            return
        if own:
            os.set_blocking(fd, False)
            return
        if stat.S_ISREG(mode):
            return
        try:
            # A new open file description: O_NONBLOCK on the old one would be seen by every
            # process that shares it, the shell included.
            self.fd = os.open(
                f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            )
        except OSError:  # a socket, another user's terminal, a pipe without a reader
            self._careful = True

    def write(self, data: bytes) -> bool:
        """Take `data`; False when it would block: call `flush` once the descriptor is ready."""
        if not self._pending and not self._careful and not self._gone:
            try:
                written = os.write(self.fd, data)
            except OSError:
                pass  # `flush` meets it again
            else:
                if written == len(data):
                    return True
                data = data[written:]
        self._pending += data
        return self.flush()

    def flush(self) -> bool:
        """Write what is pending; True when nothing is left."""
        while self._pending and not self._gone:
            try:
                if self._careful:
                    if not _ready(self.fd):
                        return False
                    written = os.write(self.fd, self._pending[:_SAFE])
                else:
                    written = os.write(self.fd, self._pending)
            except BlockingIOError:
                return False
            except OSError as error:
                self._fail(error)
                break
            self._pending = self._pending[written:]
        self._pending = b""
        return True

    def close(self) -> None:
        """Let whoever reads it see the end now: hcrun itself may take longer."""
        try:
            null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:  # a chroot without /dev, no descriptor left: it sees the end with hcrun's
            return
        os.dup2(null, self._given, inheritable=False)
        if self.fd != self._given:
            os.close(self.fd)
        os.close(null)

    def _fail(self, error: OSError) -> None:
        self.trouble = self.trouble or os.strerror(error.errno or 0)
        # A full disk may have room again later; a closed reader does not come back.
        self._gone = error.errno in _GONE


def _ready(fd: int) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    return bool(poller.poll(0))
