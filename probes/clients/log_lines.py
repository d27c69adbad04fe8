"""What the lines of a log say: which match a pattern, and how many failed log-ins they report."""

import json
import re
from collections.abc import Sequence

from hcrun.text import counted
from probes.clients.login_sources import Sources
from probes.framework.texts import text_of

_REPEATED = re.compile(
    r"message repeated (\d+) times(?:: \[ ?(.*)\]\s*$)?"
)  # as syslogd joins them
_NAME = 60  # characters of a member's name that are kept


def members(line: str) -> Sequence[tuple[str, str]]:
    """The members of the JSON object at the end of a line: ("user.name", "a"); none without one.

    A name has at most two parts, so that a deep object stays small.
    """
    if not line.endswith("}"):
        return ()
    try:
        pending = [("", "", json.loads(line[line.index("{") :]))]
    except (ValueError, RecursionError):
        return ()
    found = []
    while pending:
        parent, name, value = pending.pop()
        if isinstance(value, dict):
            pending += [(name, key[:_NAME], value[key]) for key in reversed(value)]
        elif isinstance(value, list):
            pending += [(parent, name, each) for each in reversed(value)]
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            found.append((f"{parent}.{name}" if parent else name, text))
    return found


def flat(line: str) -> str:
    """`event=login_failed user.name=a` for a line with a JSON object; "" without one."""
    return " ".join(f"{name}={value}" for name, value in members(line))


class Lines:
    """Counts lines. A subclass counts what it looks for in `_count`."""

    noun = "line"

    def __init__(self) -> None:
        self.size = 0  # bytes read
        self.lines = 0
        self.found = 0
        self._previous = ""

    @property
    def summary(self) -> str:
        return f"{counted(self.found, self.noun)} in {counted(self.lines, 'line')}"

    def take(self, block: bytes) -> None:
        self.size += len(block)
        if 3 * block.count(b"\0") > len(block):
            # UTF-16 of Latin letters, or a hole. A block may begin in the middle of a character.
            text = block.replace(b"\0", b"").decode("latin-1")
        else:
            text = block.decode(errors="replace")
        if not text:
            return
        for line in text.removesuffix("\n").split("\n"):
            self.lines += 1
            self._take(line.removesuffix("\r"))

    def _take(self, line: str) -> None:
        times = 1
        if "repeated" in line and (found := _REPEATED.search(line)):
            times = int(found[1][:9])
            # Without the message itself, it is the one before.
            line = self._previous if found[2] is None else line[: found.start()] + found[2]
        self._previous = line
        self._count(line, times)

    def _count(self, line: str, times: int) -> None:
        raise NotImplementedError


class Matches(Lines):
    """Counts the lines that match, as they are or as the members of their JSON object."""

    noun = "matching line"

    def __init__(self, pattern: re.Pattern[str]) -> None:
        super().__init__()
        self._search = pattern.search

    def _count(self, line: str, times: int) -> None:
        if self._search(line) or self._search(flat(line)):
            self.found += times


# Every line on a failed log-in has one of these; to look for them is faster than the patterns.
_WORDS = re.compile(
    "fail|invalid|denied|incorrect|wrong|bad|refused|mismatch|authenti|error|false|allowed"
)

# One attempt has several of these lines, each of another kind; it is counted by the kind that has
# the most. A group with a number says how many attempts the line stands for.
_FAILED = re.compile(text_of("clients/failed_logins.txt"), re.VERBOSE)
# JSON with the event in one member and its result in another; the audit log of Vault.
_FAILED_EVENT = re.compile(
    r"^(?=.*\b(?:event|action|type|operation|msg|message)(?:\.\w+)?=(?:user[ ._-]?)?"
    r"(?:(?:log|sign)[ ._-]?[io]n|auth\w*)\b)"
    r"(?=.*\b(?:outcome|result|status|success|ok)=(?:fail\w*|false|denied|error)\b)"
    r"|^(?=.*\brequest\.path=auth/\S*login).*\bdata\.error="
)
_PROGRAM = re.compile(r"(?<!\S)(\S+): ")
_KEPT = 10_000  # programs and processes that are told apart


class Attempts(Lines):
    """Counts failed log-ins: attempts, not lines.

    sshd with PAM writes up to four lines for one attempt. The lines of one process belong together,
    or those of one program if it logs no process id.
    """

    noun = "failed log-in"

    def __init__(self) -> None:
        super().__init__()
        self.sources = Sources()
        self._kinds: dict[str, dict[str, int]] = {}  # by program, how many of each kind

    def _count(self, line: str, times: int) -> None:
        lower = line.lower()
        if not _WORDS.search(lower):
            return
        if object_ := flat(lower):
            if _FAILED.search(object_) or _FAILED_EVENT.search(object_):
                self._add(object_, times)
            return
        if not (found := _FAILED.search(lower)):
            return
        number = found["more"] or found["tried"] or found["typed"] or "1"
        program = _PROGRAM.search(lower)
        kinds = self._kinds.setdefault(program[1] if program else "", {})
        kind = str(found.lastgroup)
        before = max(kinds.values(), default=0)
        kinds[kind] = kinds.get(kind, 0) + times * int(number[:9])
        self._add(lower, max(kinds.values()) - before)
        if len(self._kinds) > _KEPT:
            del self._kinds[next(iter(self._kinds))]

    def _add(self, line: str, times: int) -> None:
        self.found += times
        self.sources.add(line, times)
