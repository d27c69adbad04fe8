"""argv of `hcrun` -> Job. The table is also what --help, the man page and completion are made of.

Parsed by hand: argparse costs 0.8 bare interpreter starts, click four, before the command starts.
"""

from __future__ import annotations

from hcrun.errors import UsageError
from hcrun.results import FAIL, LOG, SUCCESS
from hcrun.run.job import Job
from hcrun.units import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Option:
    """One option: `flag` with a value called `metavar`, or without one when that is empty."""

    def __init__(
        self, flag: str, metavar: str, apply: Callable[[Job, str], None], help_text: str
    ) -> None:
        self.flag = flag
        self.metavar = metavar
        self.apply = apply
        self.help = help_text


def _set(name: str, read: Callable[[str], object]) -> Callable[[Job, str], None]:
    return lambda job, text: setattr(job, name, read(text))


def _put(name: str, value: object) -> Callable[[Job, str], None]:
    return lambda job, _text: setattr(job, name, value)


def _more(name: str) -> Callable[[Job, str], None]:
    return lambda job, text: getattr(job, name).append(_regex(text))


def _whole(minimum: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 7 and int(text) >= minimum):
            raise ValueError(f"{text!r} is not a whole number from {minimum} to 999999")
        return int(text)

    return read


def _positive(text: str) -> float:
    value = seconds(text)
    if not value:
        raise ValueError(f"{text!r} is no time at all")
    return value


def _choice(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is none of {', '.join(choices)}")
        return text

    return read


def _regex(text: str) -> str:
    import re

    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


def _on_exit(job: Job, text: str) -> None:
    """`1,3-5=log`"""
    codes, _, result = text.partition("=")
    if result not in (SUCCESS, FAIL, LOG):
        raise ValueError(f"{text!r} does not end in =success, =fail or =log")
    for part in codes.split(","):
        for code in _statuses(part):
            job.on_exit[code] = result


def _statuses(text: str) -> range:
    """`3` or `3-5`"""
    first, dash, last = text.partition("-")
    numbers = [first, last if dash else first]
    if all(n.isascii() and n.isdigit() and len(n) < 4 for n in numbers):
        low, high = map(int, numbers)
        if low <= high <= 255:
            return range(low, high + 1)
    raise ValueError(f"{text!r} is no exit status or range of them (0-255)")


GROUPS: tuple[tuple[str, tuple[Option, ...]], ...] = (
    (
        "What counts as failed",
        (
            Option(
                "--timeout",
                "DUR",
                _set("timeout", _positive),
                "End the command after DUR: SIGTERM to its whole process group, exit status 124.",
            ),
            Option(
                "--kill-after",
                "DUR",
                _set("kill_after", seconds),
                "SIGKILL so long after that SIGTERM. Default: 10s.",
            ),
            Option(
                "--idle-timeout",
                "DUR",
                _set("idle_timeout", _positive),
                "End it in the same way when it has printed nothing for DUR.",
            ),
            Option(
                "--min-runtime",
                "DUR",
                _set("min_runtime", _positive),
                "A run that succeeds in less than DUR has failed.",
            ),
            Option(
                "--expect",
                "REGEX",
                _more("expect"),
                "A run that succeeds but printed no line matching REGEX has failed. Repeatable.",
            ),
            Option(
                "--reject",
                "REGEX",
                _more("reject"),
                "A run that succeeds but printed a line matching REGEX has failed. Repeatable.",
            ),
            Option(
                "--on-exit",
                "CODES=RESULT",
                _on_exit,
                "What exit statuses mean: 1=log, 3-5,7=success, 0=fail. Repeatable.",
            ),
            Option(
                "--fail-after",
                "N",
                _set("fail_after", _whole(1)),
                "Only the Nth failure in a row counts; those before it go to the check's log.",
            ),
            Option(
                "--retries",
                "N",
                _set("retries", _whole(0)),
                "Run a command that failed again, up to N times. Default: 0.",
            ),
            Option(
                "--retry-delay",
                "DUR",
                _set("retry_delay", seconds),
                "Wait DUR before each of those. Default: 0s.",
            ),
        ),
    ),
    (
        "When it runs",
        (
            Option(
                "--overlap",
                "MODE",
                _set("overlap", _choice("allow", "skip", "wait")),
                "While a run of this check is still going: allow (default), skip (exit status 75),"
                " wait.",
            ),
            Option(
                "--splay",
                "DUR",
                _set("splay", _positive),
                "Wait up to DUR first: a delay fixed for this host and check.",
            ),
        ),
    ),
    (
        "Its output",
        (
            Option(
                "--quiet",
                "",
                _put("quiet", True),
                "Print the command's output only if it failed. Short: -q.",
            ),
            Option(
                "--tty",
                "",
                _put("tty", True),
                "Give the command a terminal even where hcrun has none.",
            ),
            Option(
                "--no-tty",
                "",
                _put("tty", False),
                "Give it pipes even at a terminal.",
            ),
            Option(
                "--no-output",
                "",
                _put("output", False),
                "Neither send nor record the output.",
            ),
            Option(
                "--redact",
                "REGEX",
                _more("redact"),
                "Hide what matches in all that is sent and recorded. Repeatable.",
            ),
        ),
    ),
    (
        "Pings",
        (
            Option(
                "--create",
                "",
                _put("create", True),
                "Make the check if there is none (a name with a ping key only).",
            ),
            Option("--no-start", "", _put("start", False), "Send no start ping."),
            Option(
                "--deadline",
                "DUR",
                _set("deadline", _positive),
                "Stay at most DUR after its end to deliver the result. Default: 20s.",
            ),
        ),
    ),
    (
        "Other",
        (
            Option(
                "--dry-run",
                "",
                _put("dry_run", True),
                "Say what would be run and pinged; do neither.",
            ),
            Option("--version", "", _put("show", "--version"), "Print the version."),
            Option("--help", "", _put("show", "--help"), "Print this help. Short: -h."),
        ),
    ),
)

_ALIASES = {"-q": "--quiet", "-h": "--help"}
_HINT = "see hcrun --help"


def parse(argv: list[str]) -> Job:
    """Raises UsageError. After --help or --version, in `show`, nothing is looked at."""
    table = {option.flag: option for _, options in GROUPS for option in options}
    job = Job()
    words = list(argv)
    while words and words[0].startswith("-") and words[0] != "--" and not job.show:
        flag, equals, value = words.pop(0).partition("=")
        option = table.get(_ALIASES.get(flag, flag))
        if option is None:
            raise UsageError(f"there is no option {flag}{_nearest(flag, table)}", hint=_HINT)
        if not option.metavar and equals:
            raise UsageError(f"{flag} takes no value", hint=_HINT)
        if option.metavar and not equals:
            if not words:
                raise UsageError(f"{flag} needs a value: {flag} {option.metavar}", hint=_HINT)
            value = words.pop(0)
        try:
            option.apply(job, value)
        except ValueError as error:
            raise UsageError(str(error), where=flag, hint=_HINT) from None
    if not job.show:
        job.check, job.command = _check_and_command(words)
    return job


def _check_and_command(words: list[str]) -> tuple[str, list[str]]:
    if not words or words[0] == "--":
        raise UsageError("which check? usage: hcrun [OPTIONS] CHECK -- COMMAND", hint=_HINT)
    check, *command = words
    if command and command[0] == "--":
        command = command[1:]
    elif command and command[0].startswith("-"):
        flag = command[0].partition("=")[0]  # its value may be a secret
        raise UsageError(f"{flag} stands after the check's name", hint="options go before CHECK")
    if not command:
        raise UsageError("which command? usage: hcrun [OPTIONS] CHECK -- COMMAND", hint=_HINT)
    return check, command


def _nearest(flag: str, table: dict[str, Option]) -> str:
    import difflib

    near = difflib.get_close_matches(flag, table, 1)
    return f" (did you mean {near[0]}?)" if near else ""
