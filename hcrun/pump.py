"""Moves bytes from the command to where its output goes, and shows them to whoever keeps them."""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hcrun.sink import Sink

CHUNK = 64 * 1024  # what a pipe holds
_BURST = 16  # chunks from one stream before the others, signals and limits have their turn


class Stream:
    """One source, read without blocking, and the sink its bytes go to."""

    def __init__(self, source: int, sink: Sink, seen: Callable[[bytes], None] | None) -> None:
        self.source = source
        self.sink = sink
        self.seen = seen  # None: not output, so not kept (a keyboard)
        self.open = True
        self.blocked = False  # the sink must take what it has first
        self.paused = False  # a keyboard that is not ours just now
        os.set_blocking(source, False)

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
            if self.seen is not None:
                self.seen(data)
            if not self.sink.write(data):
                self.blocked = True
                return

    def close(self) -> None:
        if self.open:
            self.open = False
            os.close(self.source)


class Keyboard(Stream):
    """Input on its way to a pseudo-terminal: read once a turn, as its source may be shared."""

    def __init__(self, source: int, sink: Sink) -> None:
        self.source = source
        self.sink = sink
        self.seen = None
        self.open = True
        self.blocked = False
        self.paused = False

    def step(self) -> None:
        if self.blocked:
            self.blocked = not self.sink.flush()
            return
        try:
            data = os.read(self.source, 4096)
        except OSError:  # EIO: the terminal has vanished
            data = b""
        if not data:
            self.open = False
            data = b"\x04"  # what a person types for the end of input
        self.blocked = not self.sink.write(data)

    def close(self) -> None:
        self.open = False


class Pump:
    """Streams that are moved together, and the descriptors that wake the wait."""

    def __init__(self, streams: list[Stream], wakes: list[int]) -> None:
        self.streams = streams
        self.wakes = wakes
        self.moved = time.monotonic()  # when output was last seen

    @property
    def open(self) -> bool:
        """Whether output may still come."""
        return any(stream.open for stream in self.streams if stream.seen)

    @property
    def blocked(self) -> bool:
        return any(stream.blocked for stream in self.streams if stream.seen)

    def wait(self, timeout: float | None) -> bool:
        """Move bytes until nothing can be moved or `timeout` seconds passed.

        Returns True when a wake descriptor is ready.
        """
        poller = select.poll()
        for fd in self.wakes:
            poller.register(fd, select.POLLIN)
        by_fd: dict[int, Stream] = {}
        for stream in self.streams:
            if stream.open and not stream.paused:
                fd = stream.sink.fd if stream.blocked else stream.source
                poller.register(fd, select.POLLOUT if stream.blocked else select.POLLIN)
                by_fd[fd] = stream
        woken = False
        milliseconds = None if timeout is None else max(0, int(timeout * 1000) + 1)
        for fd, _ in poller.poll(milliseconds):
            if fd in self.wakes:
                woken = True
                continue
            stream = by_fd[fd]
            stream.step()
            if stream.seen:
                self.moved = time.monotonic()
        if self.blocked:  # a slow reader is not an idle command
            self.moved = time.monotonic()
        return woken

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
