"""What hcrun keeps of the output, and checks in it, while it passes the output on."""

from __future__ import annotations

from hcrun.run.signals import SignalForwarder
from hcrun.run.streams import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hcrun.run.job import Job
    from hcrun.run.matcher import OutputMatcher
    from hcrun.run.spool import Spool

# A ping carries 10,000 bytes by default. The rest is room for what cleaning removes (colours,
# progress bars) and for servers that accept more.
HEAD = 8 * 1024
TAIL = 64 * 1024
_MAX_CHUNKS = 64  # a command that prints many small pieces must not fill a long list


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

    def output(self) -> tuple[bytes, int, bytes]:
        """The kept parts: the head, then how many bytes were dropped, then the tail."""
        self._join()
        return self._head, self._dropped, self._chunks[0]


class Capture:
    """Records the output of all attempts, and applies --expect, --reject and --quiet."""

    def __init__(self, job: Job, stdout: Sink, stderr: Sink) -> None:
        self.tail = Tail()
        self.sinks = self._final_sinks = (stdout, stderr)
        self._job = job
        self._matcher: OutputMatcher | None = None
        self._spool: Spool | None = None
        if job.quiet:
            from hcrun.run import spool

            self._spool = spool.Spool()
            self.sinks = self._spool.sinks()

    def start_attempt(self) -> None:
        if self._job.expect or self._job.reject:
            from hcrun.run.matcher import OutputMatcher

            self._matcher = OutputMatcher(self._job.expect, self._job.reject)

    def recorder(self, stream: int) -> Callable[[bytes], None]:
        """A function that takes the output of stream 1 or 2."""

        def record(data: bytes) -> None:
            self.tail.add(data)
            if self._matcher is not None:
                self._matcher.add(stream, data)

        return record

    def add_note(self, text: str) -> None:
        """Add a line of hcrun's own to the recorded output only."""
        self.tail.add(text.encode("utf-8", "replace"))

    def mismatch(self) -> str:
        """How the output of this attempt violates --expect or --reject, or ""."""
        return "" if self._matcher is None else self._matcher.mismatch()

    def finish(self, failed: bool, forwarder: SignalForwarder) -> None:
        """With --quiet, print the output if the command failed."""
        if self._spool and failed:
            self._spool.replay(self._final_sinks, forwarder)
