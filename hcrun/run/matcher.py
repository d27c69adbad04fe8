"""OutputMatcher: --expect and --reject."""

import re

from hcrun import regex as bounded_regex
from hcrun.text import clean

_LONGEST_LINE = 64 * 1024  # a longer line is searched in pieces
_OVERLAP = 1024  # bytes shared by two pieces, for a match across the cut


class OutputMatcher:
    """Searches each line of the output, without escape sequences and overwritten progress."""

    def __init__(self, expect: list[str], reject: list[str]) -> None:
        self._expect = [re.compile(pattern) for pattern in expect]
        self._reject = [re.compile(pattern) for pattern in reject]
        self._unfinished = {1: b"", 2: b""}  # the last line of each stream, until it ends
        self._rejected = ""
        self._too_slow: list[re.Pattern[str]] = []  # no longer searched for

    def add(self, stream: int, data: bytes) -> None:
        lines, newline, rest = data.rpartition(b"\n")
        if newline:
            self._search(self._unfinished[stream] + lines)
            self._unfinished[stream] = rest
        else:
            self._unfinished[stream] += rest
        if len(self._unfinished[stream]) > _LONGEST_LINE:
            self._search(self._unfinished[stream])
            self._unfinished[stream] = self._unfinished[stream][-_OVERLAP:]

    def _search(self, block: bytes) -> None:
        if b"\x1b" in block:  # an escape sequence that does not end hides only its own line
            lines = [clean(line) for line in block.split(b"\n")]
        else:
            lines = clean(block).split("\n")
        self._expect = [regex for regex in self._expect if not self._matches(regex, lines)]
        for regex in self._reject:
            if not self._rejected and self._matches(regex, lines):
                self._rejected = regex.pattern

    def _matches(self, regex: re.Pattern[str], lines: list[str]) -> bool:
        if regex in self._too_slow:
            return False
        try:
            return bounded_regex.bounded(lambda: any(map(regex.search, lines)))
        except bounded_regex.TooLongError:
            self._too_slow.append(regex)
            return False

    def mismatch(self) -> str:
        """How the output violates --expect or --reject, or ""."""
        for line in self._unfinished.values():
            if line:
                self._search(line)
        if self._rejected:
            return f"printed a line matching --reject {self._rejected!r}"
        if self._too_slow:
            return f"pattern {self._too_slow[0].pattern!r} takes too long on a printed line"
        if self._expect:
            return f"printed no line matching --expect {self._expect[0].pattern!r}"
        return ""
