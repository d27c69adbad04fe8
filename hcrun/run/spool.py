"""--quiet: the output waits in an unnamed file until it is known whether the command failed."""

from __future__ import annotations

import os
import select

from hcrun.run.sink import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.run.signals import SignalForwarder

_HEAD = 5  # bytes before each piece: stream, length
_LAST = 64 * 1024  # bytes kept in memory where no file can be had, or its disk is full


class Spool:
    """Pieces of both streams in the order they came."""

    def __init__(self) -> None:
        self._fd = -1
        self._size = 0
        self._trouble = ""  # why no more goes into the file
        self._last: list[tuple[int, bytearray]] = []  # what came since then
        self._last_size = 0
        self._lost = 0  # bytes between file and `_last`
        for directory in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp"):  # noqa: S108 - no name
            try:
                if directory:
                    flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
                    self._fd = os.open(directory, flags, 0o600)
                    self._trouble = ""
                    break
            except OSError as error:
                self._trouble = f"{directory}: {error.strerror}"

    def sinks(self) -> tuple[Sink, Sink]:
        return _Piece(self, 1), _Piece(self, 2)

    def add(self, stream: int, data: bytes) -> None:
        if self._trouble:
            self._keep(stream, data)
            return
        head = bytes([stream]) + len(data).to_bytes(_HEAD - 1, "big")
        try:
            written = os.writev(self._fd, [head, data])
            while written < _HEAD + len(data):  # what is wrong, the next write says
                written += os.write(self._fd, (head + data)[written:])
            self._size += _HEAD + len(data)
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            self._trouble = error.strerror or "write error"
            self._keep(stream, data)

    def _keep(self, stream: int, data: bytes) -> None:
        if not self._last or self._last[-1][0] != stream:
            self._last.append((stream, bytearray()))
        self._last[-1][1].extend(data)
        self._last_size += len(data)
        while self._last_size > _LAST:
            piece = self._last[0][1]
            gone = min(self._last_size - _LAST, len(piece))
            del piece[:gone]
            if not piece:
                self._last.pop(0)
            self._last_size -= gone
            self._lost += gone

    def replay(self, sinks: tuple[Sink, Sink], relay: SignalForwarder) -> None:
        """Print what was held back, each piece to its stream."""
        if self._fd >= 0:
            os.lseek(self._fd, 0, os.SEEK_SET)
            while head := os.read(self._fd, _HEAD):
                data = os.read(self._fd, int.from_bytes(head[1:], "big"))
                if not _write_all(sinks[head[0] - 1], data, relay):
                    return
        if self._lost:
            text = f"hcrun: {self._lost} bytes could not be held back: {self._trouble}\n"
            _write_all(sinks[1], text.encode("utf-8", "surrogateescape"), relay)
        for stream, piece in self._last:
            _write_all(sinks[stream - 1], bytes(piece), relay)


class _Piece(Sink):
    """One stream's way into the spool."""

    def __init__(self, spool: Spool, stream: int) -> None:
        self.fd = -1
        self.trouble = ""
        self._spool = spool
        self._stream = stream

    def write(self, data: bytes) -> bool:
        self._spool.add(self._stream, data)
        return True


def _write_all(sink: Sink, data: bytes, relay: SignalForwarder) -> bool:
    """Write to a reader that may take its time; False when hcrun was told to end meanwhile."""
    done = sink.write(data)
    while not done and not relay.told_to_end:
        poller = select.poll()
        poller.register(sink.fd, select.POLLOUT)
        poller.register(relay.wake, select.POLLIN)
        poller.poll()
        relay.drain()
        done = sink.flush()
    return done
