"""Spool: holds the output for --quiet until hcrun knows whether the command failed."""

import os
import select

from hcrun.run.signals import SignalForwarder
from hcrun.run.streams import Sink

_HEADER = 5  # bytes before each piece: stream, length
_MEMORY = 64 * 1024  # bytes kept in memory if there is no file, or its disk is full


class Spool:
    """Pieces of both streams in the order they came, in an unnamed file."""

    def __init__(self) -> None:
        self._fd = -1
        self._size = 0
        self._trouble = ""  # why the file takes no more
        self._recent: list[tuple[int, bytearray]] = []  # the newest pieces since then
        self._recent_size = 0
        self._dropped = 0  # bytes between the file and `_recent`
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
        """The way into the spool for stdout and stderr."""
        return _SpoolSink(self, 1), _SpoolSink(self, 2)

    def add(self, stream: int, data: bytes) -> None:
        if self._trouble:
            self._keep_recent(stream, data)
            return
        header = bytes([stream]) + len(data).to_bytes(_HEADER - 1, "big")
        try:
            written = os.writev(self._fd, [header, data])
            while written < _HEADER + len(data):  # the next write raises the reason
                written += os.write(self._fd, (header + data)[written:])
            self._size += _HEADER + len(data)
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            self._trouble = error.strerror or "write error"
            self._keep_recent(stream, data)

    def _keep_recent(self, stream: int, data: bytes) -> None:
        if not self._recent or self._recent[-1][0] != stream:
            self._recent.append((stream, bytearray()))
        self._recent[-1][1].extend(data)
        self._recent_size += len(data)
        while self._recent_size > _MEMORY:
            piece = self._recent[0][1]
            count = min(self._recent_size - _MEMORY, len(piece))
            del piece[:count]
            if not piece:
                self._recent.pop(0)
            self._recent_size -= count
            self._dropped += count

    def replay(self, sinks: tuple[Sink, Sink], forwarder: SignalForwarder) -> None:
        """Print the held output, each piece to its stream."""
        if self._fd >= 0:
            os.lseek(self._fd, 0, os.SEEK_SET)
            while header := os.read(self._fd, _HEADER):
                data = os.read(self._fd, int.from_bytes(header[1:], "big"))
                if not _write_all(sinks[header[0] - 1], data, forwarder):
                    return
        if self._dropped:
            text = f"hcrun: {self._dropped} bytes of output were dropped: {self._trouble}\n"
            _write_all(sinks[1], text.encode("utf-8", "surrogateescape"), forwarder)
        for stream, piece in self._recent:
            _write_all(sinks[stream - 1], bytes(piece), forwarder)


class _SpoolSink(Sink):
    """Writes one stream into the spool."""

    def __init__(self, spool: Spool, stream: int) -> None:
        self.fd = -1
        self.trouble = ""
        self._spool = spool
        self._stream = stream

    def write(self, data: bytes) -> bool:
        self._spool.add(self._stream, data)
        return True


def _write_all(sink: Sink, data: bytes, forwarder: SignalForwarder) -> bool:
    """Wait until a slow reader has taken `data`; False if hcrun is asked to end meanwhile."""
    done = sink.write(data)
    while not done and not forwarder.asked_to_end():
        poller = select.poll()
        poller.register(sink.fd, select.POLLOUT)
        poller.register(forwarder.wake, select.POLLIN)
        poller.poll()
        forwarder.drain()
        done = sink.flush()
    return done
