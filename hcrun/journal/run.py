"""One run, as the journal keeps it and a ping reports it."""

import os

from hcrun.excerpt import Excerpt
from hcrun.redact import HIDDEN, Redactor, without_logins
from hcrun.results import HELD, LOG, SKIP, SUCCESS
from hcrun.text import printable, shortened


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
        self.host = os.uname().nodename
        self.excerpt = Excerpt()

    @property
    def action(self) -> str:
        """What to append to the ping URL for this result."""
        if self.result == SUCCESS:
            return ""
        if self.result in (LOG, HELD, SKIP):
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
    uid = str(os.geteuid())
    try:
        with open("/etc/passwd", encoding="utf-8", errors="replace") as file:
            for line in file:
                fields = line.split(":")
                if len(fields) > 2 and fields[2] == uid:
                    return fields[0]
    except OSError:
        pass
    return in_a_line(os.environ.get("USER", uid))  # any bytes
