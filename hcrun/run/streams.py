"""Copies the command's output to hcrun's own stdout and stderr, without ever blocking.

A Stream reads from the command and writes to a Sink; a StreamLoop waits for all of them at once.
Nothing here raises because of a broken reader: the job comes first.
"""

from __future__ import annotations

import _stat
import errno
import posix
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 64 * 1024  # larger ones fall out of the processor's cache between read and write
_BURST = 16  # chunks from one stream before the others, signals and limits have their turn
_GONE = {errno.EPIPE, errno.ECONNRESET}  # nobody reads any more
_CLOSED = _GONE | {errno.EIO, errno.EBADF, errno.ENXIO, errno.EINVAL}
_SAFE = 4096  # PIPE_BUF on Linux: after POLLOUT a pipe takes this much without blocking
READ, WRITE = select.POLLIN, select.POLLOUT


class Sink:
    """A file descriptor to write to, without blocking.

    After a write error (closed reader, full disk, vanished terminal) the bytes are dropped and
    `trouble` holds the reason. `private`: no other process shares the open file description, so
    it can be made non-blocking.
    """

    gone = False  # its reader has ended, and the command must notice that
    _pending = b""

    def __init__(self, fd: int, private: bool = False) -> None:
        self.fd = self._original = fd
        self.trouble = ""
        self._closed = False
        self._may_block = self._must_live = False
        try:
            status = posix.fstat(fd)
        except OSError as error:
            self._fail(error)
            return
        if private:
            posix.set_blocking(fd, False)
            return
        if _stat.S_ISREG(status.st_mode):
            return
        # systemd ignores SIGPIPE in its services: they survive the journal's end.
        journal = posix.environ.get(b"JOURNAL_STREAM")
        self._must_live = journal == b"%d:%d" % (status.st_dev, status.st_ino)
        try:
            # A new open file description: O_NONBLOCK on the old one would affect every process
            # that shares it, the shell included.
            self.fd = reopened(fd)
        except OSError:  # a socket, another user's terminal, a pipe without a reader
            self._may_block = True

    def write(self, data: bytes) -> bool:
        """Take `data`. If it returns False, call `flush` once the descriptor is writable."""
        if not self._pending and not self._may_block and not self._closed:
            try:
                written = posix.write(self.fd, data)
            except OSError:
                pass  # `flush` gets the same error
            else:
                if written == len(data):
                    return True
                data = data[written:]
        self._pending += data
        return self.flush()

    def flush(self) -> bool:
        """Write the pending bytes; True if none are left."""
        while self._pending and not self._closed:
            try:
                if self._may_block:
                    if not _is_writable(self.fd):
                        return False
                    written = posix.write(self.fd, self._pending[:_SAFE])
                else:
                    written = posix.write(self.fd, self._pending)
            except BlockingIOError:
                return False
            except OSError as error:
                self._fail(error)
                break
            self._pending = self._pending[written:]
        self._pending = b""
        return True

    def take(self) -> bytes:
        """Return the pending bytes, to be written by somebody else."""
        pending, self._pending = self._pending, b""
        return pending

    def close(self) -> None:
        """Let the reader see the end of the output now: hcrun itself may run longer."""
        try:
            null = posix.open("/dev/null", posix.O_WRONLY | posix.O_CLOEXEC)
        except OSError:  # a chroot without /dev: the reader sees the end when hcrun exits
            return
        posix.dup2(null, self._original, inheritable=False)
        if self.fd != self._original:
            posix.close(self.fd)
        posix.close(null)

    def _fail(self, error: OSError) -> None:
        self.trouble = self.trouble or posix.strerror(error.errno or 0)
        # A full disk may have room again later; a closed reader does not come back.
        self._closed = error.errno in _CLOSED
        self.gone = error.errno in _GONE and not self._must_live


def reopened(fd: int) -> int:
    """Open the same file again, without blocking. Raises OSError."""
    flags = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
    return posix.open(f"/proc/self/fd/{fd}", flags)


def _is_writable(fd: int) -> bool:
    poller = select.poll()
    poller.register(fd, WRITE)
    return bool(poller.poll(0))


class Stream:
    """One output of the command, and the sink that its bytes go to. `record` sees them as well."""

    is_output = True
    adapt: Callable[[bytes], bytes] | None = None  # output of a pseudo-terminal

    def __init__(self, source: int, sink: Sink, record: Callable[[bytes], None]) -> None:
        self.source = source
        self.sink = sink
        self.open = True
        self.blocked = False  # the sink has pending bytes
        self.size = 0  # bytes read so far
        self._record = record
        posix.set_blocking(source, False)

    def awaited_event(self) -> tuple[int, int] | None:
        """The descriptor and the event to poll for, or None."""
        if not self.open:
            return None
        return (self.sink.fd, WRITE) if self.blocked else (self.source, READ)

    def transfer(self) -> None:
        """Copy what is available, at most one burst."""
        if self.blocked and not self.sink.flush():
            return
        self.blocked = False
        for _ in range(_BURST):
            try:
                data = posix.read(self.source, _CHUNK)
            except BlockingIOError:
                break
            except OSError:  # EIO: no process has the other side of the terminal open
                data = b""
            if not data:
                self.close()
                return
            self.size += len(data)
            if self.adapt:
                data = self.adapt(data)
            self._record(data)
            if not self.sink.write(data):
                self.blocked = True
                return
            if len(data) < _CHUNK:  # nothing more is available now
                break
        if self.sink.gone:  # the command gets SIGPIPE, as without hcrun
            self.close()

    def close(self) -> None:
        if self.open:
            self.open = False
            posix.close(self.source)


class StreamLoop:
    """Waits for several streams at once, and for the descriptors `wakes`."""

    def __init__(self, streams: list[Stream], wakes: list[int]) -> None:
        self.streams = streams
        self.last_output = time.monotonic()
        self._outputs = [stream for stream in streams if stream.is_output]
        self._by_fd: dict[int, Stream] = {}
        self._awaited: dict[Stream, tuple[int, int] | None] = dict.fromkeys(streams)
        self._poller = select.poll()
        for fd in wakes:
            self._poller.register(fd, READ)

    @property
    def open(self) -> bool:
        """Whether output may still come."""
        return any(stream.open for stream in self._outputs)

    @property
    def blocked(self) -> bool:
        """Whether a reader of the output is slower than the command."""
        return any(stream.blocked for stream in self._outputs)

    @property
    def size(self) -> int:
        """Bytes of output read so far."""
        return sum(stream.size for stream in self._outputs)

    def wait(self, timeout: float | None) -> bool:
        """Wait for something to copy, and copy it; True if a wake descriptor is ready."""
        for stream in self.streams:
            event = stream.awaited_event()
            if event != self._awaited[stream]:
                self._register(stream, event)
        woken = False
        milliseconds = None if timeout is None else max(0, int(timeout * 1000) + 1)
        for fd, _ in self._poller.poll(milliseconds):
            if fd in self._by_fd:
                stream = self._by_fd[fd]
                stream.transfer()
                if stream.is_output:
                    self.last_output = time.monotonic()
            else:
                woken = True
        if self.blocked:  # a slow reader is not an idle command
            self.last_output = time.monotonic()
        return woken

    def _register(self, stream: Stream, event: tuple[int, int] | None) -> None:
        previous = self._awaited[stream]
        if previous:
            self._poller.unregister(previous[0])
            del self._by_fd[previous[0]]
        if event:
            self._poller.register(*event)
            self._by_fd[event[0]] = stream
        self._awaited[stream] = event

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
