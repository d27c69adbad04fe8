"""Keeps the first and the last bytes of a command's output, however long it is."""

from __future__ import annotations

# A ping carries 10,000 bytes by default. The rest is room for what cleaning removes (colours,
# progress bars) and for servers that accept more.
HEAD = 8 * 1024
TAIL = 64 * 1024
_MAX_CHUNKS = 64  # a command that prints many small pieces must not fill a long list


class Output:
    """The kept parts of an output: `head`, then `omitted` bytes that were dropped, then `tail`."""

    def __init__(self, head: bytes = b"", omitted: int = 0, tail: bytes = b"") -> None:
        self.head = head
        self.omitted = omitted
        self.tail = tail


class Tail:
    """Takes output piece by piece and keeps its first `head` and last `tail` bytes (at least 1)."""

    def __init__(self, head: int = HEAD, tail: int = TAIL) -> None:
        self._head = b""
        self._head_size = head
        self._tail_size = tail
        self._chunks: list[bytes] = []
        self._kept = 0  # bytes in _chunks
        self._dropped = 0

    def add(self, data: bytes) -> None:
        if len(self._head) < self._head_size:
            room = self._head_size - len(self._head)
            self._head += data[:room]
            data = data[room:]
            if not data:
                return
        self._chunks.append(data)
        self._kept += len(data)
        while self._kept - len(self._chunks[0]) >= self._tail_size:
            size = len(self._chunks.pop(0))
            self._kept -= size
            self._dropped += size
        if len(self._chunks) > _MAX_CHUNKS:
            self._join()

    def _join(self) -> None:
        kept = b"".join(self._chunks)
        tail = kept[-self._tail_size :]
        self._chunks = [tail]
        self._dropped += len(kept) - len(tail)
        self._kept = len(tail)

    def output(self) -> Output:
        self._join()
        return Output(self._head, self._dropped, self._chunks[0])
