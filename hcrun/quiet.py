"""--quiet: the output waits in an unnamed file until it is known whether the command failed."""

from __future__ import annotations

import os
import select

from hcrun.sink import Sink

_HEAD = 5  # bytes before each piece: stream, length


class Spool:
    """Pieces of both streams in the order they came; a full disk loses the rest, and says so."""

    def __init__(self) -> None:
        self._trouble = ""
        self._fd = -1
        directory = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - O_TMPFILE makes no name
        try:
            self._fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._trouble = f"{directory}: {error.strerror}"

    def sinks(self) -> tuple[Sink, Sink]:
        return _Piece(self, 1), _Piece(self, 2)

    def add(self, stream: int, data: bytes) -> None:
        if self._trouble:
            return
        piece = bytes([stream]) + len(data).to_bytes(4, "big") + data
        at = os.lseek(self._fd, 0, os.SEEK_CUR)
        try:
            if os.write(self._fd, piece) < len(piece):
                raise OSError(28, os.strerror(28))
        except OSError as error:
            os.ftruncate(self._fd, at)
            self._trouble = error.strerror or "write error"

    def replay(self, sinks: tuple[Sink, Sink]) -> None:
        """Print what was held back, each piece to its stream."""
        if self._fd >= 0:
            os.lseek(self._fd, 0, os.SEEK_SET)
            while head := os.read(self._fd, _HEAD):
                data = os.read(self._fd, int.from_bytes(head[1:], "big"))
                _write_all(sinks[head[0] - 1], data)
        if self._trouble:
            text = f"hcrun: the output from here on could not be held back: {self._trouble}\n"
            _write_all(sinks[1], text.encode())


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


def _write_all(sink: Sink, data: bytes) -> None:
    done = sink.write(data)
    while not done:
        poller = select.poll()
        poller.register(sink.fd, select.POLLOUT)
        poller.poll()
        done = sink.flush()
