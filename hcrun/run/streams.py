"""Moves bytes from the command to where its output goes, and shows them to whoever keeps them."""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hcrun.run.sink import Sink

CHUNK = 64 * 1024  # larger ones fall out of the processor's cache between read and write
_BURST = 16  # chunks from one stream before the others, signals and limits have their turn
_READ, _WRITE = select.POLLIN, select.POLLOUT


class Stream:
    """One source, read without blocking, and the sink its bytes go to."""

    is_output = True

    def __init__(self, source: int, sink: Sink, seen: Callable[[bytes], None]) -> None:
        self.source = source
        self.sink = sink
        self.open = True
        self.blocked = False  # the sink must take what it has first
        self.bytes = 0
        self._seen = seen
        os.set_blocking(source, False)

    def awaits(self) -> tuple[int, int] | None:
        """The descriptor and the event for poll(2); None: nothing."""
        if not self.open:
            return None
        return (self.sink.fd, _WRITE) if self.blocked else (self.source, _READ)

    def step(self) -> None:
        """Move what can be moved now, up to a burst."""
        if self.blocked and not self.sink.flush():
            return
        self.blocked = False
        for _ in range(_BURST):
            try:
                data = os.read(self.source, CHUNK)
            except BlockingIOError:
                return
            except OSError:  # EIO: nobody has the other side of the terminal open
                data = b""
            if not data:
                self.close()
                return
            self.bytes += len(data)
            self._seen(data)
            if not self.sink.write(data):
                self.blocked = True
                return
            if len(data) < CHUNK:  # there was no more just now
                return

    def close(self) -> None:
        if self.open:
            self.open = False
            os.close(self.source)


class Keyboard(Stream):
    """Input on its way to a pseudo-terminal: read once a turn, as its source may be shared."""

    is_output = False

    def __init__(self, source: int, sink: Sink) -> None:
        self.source = source
        self.sink = sink
        self.open = True
        self.blocked = False
        self.paused = False  # the terminal is not ours just now
        self._line_began = False

    def awaits(self) -> tuple[int, int] | None:
        if self.blocked:
            return (self.sink.fd, _WRITE)
        return (self.source, _READ) if self.open and not self.paused else None

    def step(self) -> None:
        if self.blocked:
            self.blocked = not self.sink.flush()
            return
        try:
            data = os.read(self.source, 4096)
        except OSError:  # EIO: the terminal has vanished
            data = b""
        if data:
            self._line_began = not data.endswith(b"\n")
        else:
            self.open = False
            # What a person types for the end of input; within a line the first ends the line.
            data = b"\x04\x04" if self._line_began else b"\x04"
        self.blocked = not self.sink.write(data)

    def close(self) -> None:
        if self.sink.fd >= 0:
            os.close(self.sink.fd)
            self.sink.fd = -1
        self.open = False


class StreamLoop:
    """Streams that are moved together, and the descriptors that wake the wait."""

    def __init__(self, streams: list[Stream], wakes: list[int]) -> None:
        self.streams = streams
        self.moved = time.monotonic()  # when output was last seen
        self._outputs = [stream for stream in streams if stream.is_output]
        self._by_fd: dict[int, Stream] = {}
        self._awaited: dict[Stream, tuple[int, int] | None] = dict.fromkeys(streams)
        self._poller = select.poll()
        for fd in wakes:
            self._poller.register(fd, _READ)

    @property
    def open(self) -> bool:
        """Whether output may still come."""
        return any(stream.open for stream in self._outputs)

    @property
    def blocked(self) -> bool:
        return any(stream.blocked for stream in self._outputs)

    @property
    def bytes(self) -> int:
        """How much output has passed."""
        return sum(stream.bytes for stream in self._outputs)

    def wait(self, timeout: float | None) -> bool:
        """Wait until something can be moved, and move it; at most `timeout` seconds.

        Returns True when a wake descriptor is ready.
        """
        for stream in self.streams:
            if (awaits := stream.awaits()) != self._awaited[stream]:
                self._await(stream, awaits)
        woken = False
        milliseconds = None if timeout is None else max(0, int(timeout * 1000) + 1)
        for fd, _ in self._poller.poll(milliseconds):
            if fd in self._by_fd:
                stream = self._by_fd[fd]
                stream.step()
                if stream.is_output:
                    self.moved = time.monotonic()
            else:
                woken = True
        if self.blocked:  # a slow reader is not an idle command
            self.moved = time.monotonic()
        return woken

    def _await(self, stream: Stream, awaits: tuple[int, int] | None) -> None:
        before = self._awaited[stream]
        if before:
            self._poller.unregister(before[0])
            del self._by_fd[before[0]]
        if awaits:
            self._poller.register(*awaits)
            self._by_fd[awaits[0]] = stream
        self._awaited[stream] = awaits

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
