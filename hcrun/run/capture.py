"""What is kept and looked for in the output while it passes."""

from __future__ import annotations

from hcrun.run.output import Tail
from hcrun.run.sink import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

    from hcrun.run.job import Job, Outcome
    from hcrun.run.signals import SignalForwarder
    from hcrun.run.spool import Spool

_LONGEST_LINE = 64 * 1024  # of a longer one, pieces are looked at
_OVERLAP = 1024  # bytes of a piece that belong to the next as well, for what stands on the cut


class Capture:
    """Keeps head and tail, and watches for --expect and --reject."""

    def __init__(self, job: Job) -> None:
        self.tail = Tail()
        self._job = job
        self._watch: OutputMatcher | None = None
        self._spool: Spool | None = None
        if job.quiet:
            from hcrun.run.spool import Spool

            self._spool = Spool()

    def start_attempt(self) -> None:
        if self._job.expect or self._job.reject:
            self._watch = OutputMatcher(self._job.expect, self._job.reject)

    def sinks(self, sinks: tuple[Sink, Sink]) -> tuple[Sink, Sink]:
        """Where the output goes for now."""
        return self._spool.sinks() if self._spool else sinks

    def add(self, stream: int, data: bytes) -> None:
        self.tail.add(data)
        if self._watch is not None:
            self._watch.add(stream, data)

    def note(self, text: str) -> None:
        """A line of hcrun's own, in the recorded output only."""
        self.tail.add(text.encode("utf-8", "replace"))

    def check(self, outcome: Outcome) -> None:
        """Say which expectation the output of an attempt did not meet."""
        if self._watch is not None:
            outcome.unmet = self._watch.unmet()

    def finish(self, sinks: tuple[Sink, Sink], failed: bool, relay: SignalForwarder) -> None:
        """Print what --quiet held back, if the command failed."""
        if self._spool and failed:
            self._spool.replay(sinks, relay)


class OutputMatcher:
    """Looks at each line of the output, as a person would see it."""

    def __init__(self, expect: list[str], reject: list[str]) -> None:
        import re

        from hcrun import regex as bounded
        from hcrun.text import clean

        self._clean = clean
        self._bounded = bounded
        self._expect = [re.compile(pattern) for pattern in expect]
        self._reject = [re.compile(pattern) for pattern in reject]
        self._rest = {1: b"", 2: b""}  # lines that have not ended yet
        self._rejected = ""
        self._endless: list[re.Pattern[str]] = []  # no longer looked for

    def add(self, stream: int, data: bytes) -> None:
        lines, newline, rest = data.rpartition(b"\n")
        if newline:
            self._look(self._rest[stream] + lines)
            self._rest[stream] = rest
        else:
            self._rest[stream] += rest
        if len(self._rest[stream]) > _LONGEST_LINE:
            self._look(self._rest[stream])
            self._rest[stream] = self._rest[stream][-_OVERLAP:]

    def _look(self, block: bytes) -> None:
        if b"\x1b" in block:  # an escape sequence that does not end is to hide its line only
            lines = [self._clean(line) for line in block.split(b"\n")]
        else:
            lines = self._clean(block).split("\n")
        self._expect = [regex for regex in self._expect if not self._is_in(lines, regex)]
        for regex in self._reject:
            if not self._rejected and self._is_in(lines, regex):
                self._rejected = regex.pattern

    def _is_in(self, lines: list[str], regex: re.Pattern[str]) -> bool:
        if regex in self._endless:
            return False
        try:
            return self._bounded.bounded(lambda: any(map(regex.search, lines)))
        except self._bounded.TooLongError:
            self._endless.append(regex)
            return False

    def unmet(self) -> str:
        """What was expected and did not come, or came and was not to; else ""."""
        for line in self._rest.values():
            if line:
                self._look(line)
        if self._rejected:
            return f"printed a line matching --reject {self._rejected!r}"
        if self._endless:
            return f"printed a line on which {self._endless[0].pattern!r} matches without end"
        if self._expect:
            return f"printed no line matching --expect {self._expect[0].pattern!r}"
        return ""
