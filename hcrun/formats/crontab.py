"""Reads crontabs like Debian's cron: their entries and their problems.

One bad line makes cron ignore the whole file, which only its log says.
"""

import re
from dataclasses import dataclass, field

LONGEST = 998  # bytes of a command; one more, and cron ignores the file
MAXIMUM_LINES = 10_000
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
    "@reboot": "",  # no time at all
}

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_RANGE = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?", re.ASCII)
# A value must not be empty: after `MAILTO=` cron reads on for a minute and then stops.
_SETTING = re.compile(
    r"""(?P<name>"[^"=]*"|'[^'=]*'|(?!["'])[^\s=]*)\s*=\s*(?P<value>"[^"]*"|'[^']*'|[^\s"'].*)\s*""",
    re.ASCII,
)
_COMMAND = re.compile(r"(?P<command>(?:\\.|[^%\\]|\\$)*)(?:%(?P<input>.*))?", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One job."""

    line: int  # its number in the file, from 1
    schedule: str  # five fields with one space between them, or @daily and the like
    user: str  # "" in a user's own crontab
    command: str  # what the shell gets, without the escapes
    input: str = ""  # what follows the first bare %: the command's standard input
    environ: dict[str, str] = field(default_factory=dict)  # set in the lines above
    raw: str = field(default="", compare=False)  # the line

    @property
    def has_input(self) -> bool:
        return bool(re.search(r"(?<!\\)(?:\\\\)*%", self.raw))


def entries(text: str, *, system: bool = True) -> list[Entry]:
    """Returns the jobs of a crontab; of `system`, the lines name users, as in /etc/cron.d."""
    return _read(text, system)[0]


def problems(text: str, *, system: bool = True) -> list[str]:
    """Returns why cron would ignore the file, unknown users aside: `line 3: bad minute: ...`."""
    return _read(text, system)[1]


def escape(command: str) -> str:
    """Escapes a command: a bare % would end it, and cron halves double backslashes."""
    return command.replace("\\", "\\\\").replace("%", "\\%")


def bad_schedule(schedule: str) -> str:
    """Returns what is wrong with five fields or a nickname, "" if they are valid."""
    if schedule.startswith("@"):
        if schedule in NICKNAMES:
            return ""
        return f"unknown {schedule}; use {', '.join(sorted(NICKNAMES))}"
    fields = schedule.split()
    if len(fields) != len(_FIELDS):
        return f"expected 5 fields, found {len(fields)}"
    for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            if why := _bad_range(part, low, high, names):
                return f"bad {name}: {why}"
    return ""


def _bad_range(text: str, low: int, high: int, names: dict[str, int]) -> str:
    found = _RANGE.fullmatch(text)
    if not found:
        return f"{text!r} is not a number, a range or *"
    step = found["step"]
    if step and found["first"] and not found["last"]:
        return f"{text!r} has a step but no range; write {found['first']}-{high}/{step}"
    if step and not int(step):
        return f"{text!r} steps by 0"
    numbers = []
    for word in (found["first"], found["last"]):
        if word is not None:
            number = int(word) if word.isdigit() else names.get(word.lower(), -1)
            if not low <= number <= high:
                return f"{word!r} is not within {low}-{high}"
            numbers.append(number)
    return f"{text!r} is an empty range" if numbers != sorted(numbers) else ""


def _read(text: str, system: bool) -> tuple[list[Entry], list[str]]:
    found: list[Entry] = []
    wrong: list[str] = []
    environ: dict[str, str] = {}
    *lines, rest = text.split("\n")
    if rest:
        lines.append(rest)
    for number, raw in enumerate(lines, 1):
        line = raw.lstrip(" \t")
        if not line or line.startswith("#"):
            continue
        if setting := _SETTING.fullmatch(line):
            environ[_unquoted(setting["name"])] = _unquoted(setting["value"].rstrip(" \t\r\f\v"))
            continue
        entry = _entry(line, number, system, environ)
        if isinstance(entry, str):
            wrong.append(f"line {number}: {entry}")
        else:
            found.append(entry)
    whole = {
        "lines end in carriage returns, which cron passes to the commands": "\r" in text,
        "contains a NUL byte": "\0" in text,
        "the last line does not end in a newline": rest,
        f"has {len(lines)} lines; the maximum is {MAXIMUM_LINES}": len(lines) > MAXIMUM_LINES,
    }
    return found, wrong + [why for why, is_wrong in whole.items() if is_wrong]


def _entry(line: str, number: int, system: bool, environ: dict[str, str]) -> Entry | str:
    """Returns an entry, or what is wrong with it."""
    words = re.split(r"[ \t]+", line, maxsplit=1 if line.startswith("@") else 5)
    rest = words.pop() if len(words) in (2, 6) else ""
    schedule = " ".join(words)
    if why := bad_schedule(schedule):
        return f"{why}{_hint(line)}"
    user = ""
    if system:
        user, _, rest = rest.partition("\t" if "\t" in rest.split(" ")[0] else " ")
    if not rest.strip(" \t"):
        return "the command is missing" if user or not system else "user and command are missing"
    if not system and rest.startswith("*"):
        return "the command begins with *; remove a field"
    size = len(rest.encode(errors="surrogateescape"))
    if size > LONGEST:
        return f"the command has {size} bytes; the maximum is {LONGEST}; put it into a script"
    command, given = _unescaped(rest.lstrip(" \t"))
    return Entry(number, schedule, user, command, given, dict(environ), line)


def _hint(line: str) -> str:
    name, equals, value = line.partition("=")
    if equals and not value.strip() and len(name.split()) == 1:
        return f'; write an empty value as {name.strip()}=""'
    return ""


def _unescaped(text: str) -> tuple[str, str]:
    """Returns the command and its standard input."""
    found = _COMMAND.fullmatch(text)
    assert found  # it matches everything
    given = found["input"] or ""
    if given:
        given = re.sub(r"\\?%", lambda percent: "%" if len(percent[0]) > 1 else "\n", given)
        given = given.removesuffix("\n") + "\n"
    return re.sub(r"\\([%\\])", r"\1", found["command"]), given


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
