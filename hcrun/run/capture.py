"""Capture: what hcrun keeps of the output, and checks in it, while it passes the output on."""

from __future__ import annotations

from _collections_abc import Callable

from hcrun.run.job import Job
from hcrun.run.output import Tail
from hcrun.run.signals import SignalForwarder
from hcrun.run.streams import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:  # loaded only if an option needs them
    from hcrun.run.matcher import OutputMatcher
    from hcrun.run.spool import Spool


class Capture:
    """Records head and tail of all attempts, applies --expect and --reject, and --quiet.

    The output goes to `sinks`: hcrun's stdout and stderr, or with --quiet a spool.
    """

    def __init__(self, job: Job, stdout: Sink, stderr: Sink) -> None:
        self.tail = Tail()
        self.sinks = self._final_sinks = (stdout, stderr)
        self._job = job
        self._matcher: OutputMatcher | None = None
        self._spool: Spool | None = None
        if job.quiet:
            from hcrun.run.spool import Spool

            self._spool = Spool()
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
