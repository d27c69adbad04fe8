"""One run, as the journal keeps it and a ping reports it."""

import posix

from hcrun.environment import variables
from hcrun.excerpt import Excerpt
from hcrun.redact import HIDDEN, Redactor, without_logins
from hcrun.results import RESULTS, STATES, SUCCESS
from hcrun.text import printable, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What the journal keeps of a run, and the types of the values.
COLUMNS = (
    "c.name, run_id, pid, started, ended, duration, status, cpu_user, cpu_system, memory, result,"
    " why, command, user, head, omitted, tail"
)
TABLES = "FROM runs r LEFT JOIN checks c ON c.id = r.check_id LEFT JOIN outputs o ON o.id = r.id"
_TEXT, _WHOLE, _NUMBER = (str,), (int,), (float, int)
_NONE = (type(None),)
_TYPES = (
    *(_TEXT, _TEXT, _WHOLE, _NUMBER, _NUMBER + _NONE, _NUMBER + _NONE, _WHOLE, _NUMBER, _NUMBER),
    *(_WHOLE, _TEXT + _NONE, _TEXT + _NONE, _TEXT, _TEXT),
    *(_TEXT + _NONE, _WHOLE + _NONE, _TEXT + _NONE),
)
_LARGEST = 1e11  # seconds: in the year 5138


class Run:
    """One run. Times are seconds since the epoch, durations seconds, memory bytes."""

    check = ""
    command = ""  # redacted
    ended: float | None = None
    duration: float | None = None  # None: unknown, its hcrun vanished
    status = 0
    cpu_user = 0.0
    cpu_system = 0.0
    memory = 0
    result = ""  # one of hcrun.results
    why = ""  # the result in words
    user = ""

    def __init__(self, run_id: str, started: float) -> None:
        self.run_id = run_id
        self.started = started
        self.host = posix.uname().nodename
        self.excerpt = Excerpt()

    @property
    def action(self) -> str:
        """What to append to the ping URL for this result."""
        if self.result == SUCCESS:
            return ""
        if self.result not in STATES:
            return "/log"
        return f"/{self.status}" if 0 < self.status <= 255 else "/fail"


def command_line(command: list[str], redactor: Redactor) -> str:
    """The command as a line for a shell, without secrets."""
    line = " ".join(_quoted(word) for word in redactor.words(command))
    return in_a_line(without_logins(line))


def in_a_line(text: str) -> str:
    """The text in one line of at most 500 printable characters."""
    return shortened(printable(text.replace("\n", "\\n")), 500)


def _quoted(word: str) -> str:
    plain = word.replace(HIDDEN, "_").translate({ord(c): None for c in "@%+=:,./-_"})
    if plain.isalnum() or (word and not plain):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def user_name() -> str:
    """The user of this process, from /etc/passwd itself: a directory service may hang."""
    uid = str(posix.geteuid())
    try:
        with open("/etc/passwd", encoding="utf-8", errors="replace") as file:
            for line in file:
                fields = line.split(":")
                if len(fields) > 2 and fields[2] == uid:
                    return fields[0]
    except OSError:
        pass
    return in_a_line(variables().get("USER", uid))  # any bytes


def fault(columns: "list[Any]") -> str:
    """The first of the COLUMNS whose value is damaged; "" if the record is sound."""
    for name, types, value in zip(COLUMNS.split(", "), _TYPES, columns, strict=True):
        # The type itself: a text that is not UTF-8 has one of its own.
        if type(value) not in types or (float in types and not 0 <= (value or 0) < _LARGEST):
            return name
    return "result" if columns[10] not in (None, *RESULTS) else ""


def read(columns: "list[Any]") -> Run:
    """The run whose COLUMNS have these values."""
    run = Run(columns[1], columns[3])
    run.check = columns[0]
    run.ended, run.duration, run.status = columns[4:7]
    run.cpu_user, run.cpu_system, run.memory = columns[7:10]
    run.result, run.why = columns[10] or "", columns[11] or f"in progress, pid {columns[2]}"
    run.command, run.user = columns[12:14]
    if columns[14] is not None:
        run.excerpt = Excerpt(*columns[14:])
    return run
