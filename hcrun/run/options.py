"""Command line of `hcrun` -> Job. --help, the man page and completion use the same table.

Parsed by hand: argparse costs 0.8 bare interpreter starts, click four, before the command starts.
"""

from __future__ import annotations

from hcrun.errors import UsageError
from hcrun.results import FAIL, LOG, SUCCESS
from hcrun.run.job import OVERLAP_MODES, Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Option:
    """One option of hcrun: `apply` sets its value, given as text, in a Job.

    `usage` is the flag, and the name of its value if it takes one. Without `apply` the option
    sets the attribute of its name to True.
    """

    def __init__(
        self, usage: str, help_text: str, apply: Callable[[Job, str], None] | None = None
    ) -> None:
        self.flag, _, self.metavar = usage.partition(" ")
        self.help = help_text
        self.apply = apply or _put(self.flag.strip("-").replace("-", "_"), True)


def _put(name: str, value: object) -> Callable[[Job, str], None]:
    return lambda job, _text: setattr(job, name, value)


def _set(name: str, read: Callable[[str], object]) -> Callable[[Job, str], None]:
    return lambda job, text: setattr(job, name, read(text))


def _append_regex(name: str) -> Callable[[Job, str], None]:
    return lambda job, text: getattr(job, name).append(_regex(text))


def _integer(minimum: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 7 and int(text) >= minimum):
            raise ValueError(f"give a whole number from {minimum} to 999999")
        return int(text)

    return read


def _duration(text: str) -> float:
    from hcrun.units import seconds  # it delays the command's start

    try:
        return seconds(text)
    except ValueError as error:  # its message repeats the value
        raise ValueError(str(error).removeprefix(f"{text!r} is ")) from None


def _positive(text: str) -> float:
    value = _duration(text)
    if not value:
        raise ValueError("give a duration greater than zero")
    return value


def period(text: str) -> int:
    """A period or grace time in whole seconds, as the server takes it. Raises ValueError."""
    value = _duration(text)
    if not 60 <= value <= 31_536_000:
        raise ValueError("give 1m to 365d")
    return round(value)


def _overlap_mode(text: str) -> str:
    if text not in OVERLAP_MODES:
        raise ValueError("choose allow, skip or wait")
    return text


def _checks(text: str) -> list[str]:
    names = text.split(",")
    if not all(names):
        raise ValueError("give names of checks, with a comma between two")
    return names


def _regex(text: str) -> str:
    import re  # as slow as half an interpreter start
    import warnings

    warnings.simplefilter("ignore")  # of `[[`, with a line of hcrun's source
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


def _on_exit(job: Job, text: str) -> None:
    """`1,3-5=log`"""
    codes, _, result = text.partition("=")
    if result not in (SUCCESS, FAIL, LOG):
        raise ValueError("end it with =success, =fail or =log")
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
    raise ValueError(f"{text!r} is not an exit status (0-255) or a range such as 3-5")


GROUPS: tuple[tuple[str, tuple[Option, ...]], ...] = (
    (
        "Success and failure",
        (
            Option(
                "--timeout DUR",
                "End the command after DUR: SIGTERM to its process group, exit status 124.",
                _set("timeout", _positive),
            ),
            Option(
                "--kill-after DUR",
                "Send SIGKILL if it is still running DUR after that SIGTERM. Default: 10s; 5s as"
                " PID 1 of a container, also for a SIGTERM from outside.",
                _set("kill_after", _duration),
            ),
            Option(
                "--idle-timeout DUR",
                "End the command in the same way if it prints nothing for DUR.",
                _set("idle_timeout", _positive),
            ),
            Option(
                "--min-runtime DUR",
                "Report a failure if the command succeeds in less than DUR.",
                _set("min_runtime", _positive),
            ),
            Option(
                "--expect REGEX",
                "Report a failure if no line of the output matches REGEX. Repeatable.",
                _append_regex("expect"),
            ),
            Option(
                "--reject REGEX",
                "Report a failure if a line of the output matches REGEX. Repeatable.",
                _append_regex("reject"),
            ),
            Option(
                "--on-exit CODES=RESULT",
                "Report these exit statuses as success, fail or log, for example 3-5,7=success."
                " log: only a note in the check's log. Repeatable.",
                _on_exit,
            ),
            Option(
                "--fail-after N",
                "Report a failure only after N failed runs in a row. Earlier ones are held: they"
                " go to the check's log.",
                _set("fail_after", _integer(1)),
            ),
            Option(
                "--recover-after N",
                "After a reported failure, report a success only after N successful runs in a row."
                " Earlier ones go to the check's log.",
                _set("recover_after", _integer(1)),
            ),
            Option(
                "--needs CHECK,...",
                "Do not report a failure while one of these checks of the catalogue is failing, or"
                " one that they need. Such a run goes to the check's log.",
                _set("needs", _checks),
            ),
            Option(
                "--retries N",
                "Run a failed command again, up to N times. Default: 0.",
                _set("retries", _integer(0)),
            ),
            Option(
                "--retry-delay DUR",
                "Wait DUR before each retry. Default: 0s.",
                _set("retry_delay", _duration),
            ),
        ),
    ),
    (
        "Start",
        (
            Option(
                "--overlap MODE",
                "What to do if the previous run is still in progress: allow (default), skip"
                " (exit 75) or wait.",
                _set("overlap", _overlap_mode),
            ),
            Option(
                "--splay DUR",
                "Wait up to DUR before the start; the delay is fixed for a host and a check.",
                _set("splay", _positive),
            ),
        ),
    ),
    (
        "Output",
        (
            Option("--quiet", "Print the command's output only if the run fails. Short: -q."),
            Option("--tty", "Give the command a terminal even if hcrun has none."),
            Option("--no-tty", "Give the command pipes even at a terminal.", _put("tty", False)),
            Option("--no-output", "Do not send or record the output.", _put("output", False)),
            Option(
                "--redact REGEX",
                "Hide text that matches REGEX in all that is sent and recorded. Repeatable.",
                _append_regex("redact"),
            ),
        ),
    ),
    (
        "Pings",
        (
            Option(
                "--create",
                "Create the check if it does not exist. Needs a check name and a ping key.",
            ),
            Option(
                "--period DUR",
                "The period of a check that --create makes. Needs an API key. Default: 1d.",
                _set("period", period),
            ),
            Option(
                "--grace DUR",
                "The grace time of a check that --create makes. Needs an API key. Default: 1h.",
                _set("grace", period),
            ),
            Option("--no-start", "Do not send a start ping.", _put("start", False)),
            Option(
                "--deadline DUR",
                "Wait for the server at most DUR after the command's end. Default: 20s.",
                _set("deadline", _positive),
            ),
        ),
    ),
    (
        "Other",
        (
            Option("--dry-run", "Print what would be run and pinged, and do neither."),
            Option("--version", "Print the version.", _put("show", "--version")),
            Option("--help", "Print this help. Short: -h.", _put("show", "--help")),
        ),
    ),
)

USAGE = "Usage: hcrun [OPTIONS] CHECK -- COMMAND [ARG...]"
_ALIASES = {"-q": "--quiet", "-h": "--help"}
_HELP = "see hcrun --help"


def parse(argv: list[str]) -> Job:
    """Return the Job that `argv` describes; raises UsageError.

    With --help or --version, `Job.show` is that flag and the rest of `argv` is ignored.
    """
    table = {option.flag: option for _, options in GROUPS for option in options}
    job = Job()
    words = list(argv)
    while words and words[0].startswith("-") and words[0] != "--" and not job.show:
        flag, equals, value = words.pop(0).partition("=")
        option = table.get(_ALIASES.get(flag, flag))
        if option is None:
            raise UsageError(f"unknown option {flag}", hint=_suggestion(flag, table))
        if not option.metavar and equals:
            raise UsageError(f"{flag} takes no value", hint=_HELP)
        if option.metavar and not equals:
            if not words:
                raise UsageError(f"{flag} needs a value: {flag} {option.metavar}", hint=_HELP)
            value = words.pop(0)
        try:
            option.apply(job, value)
        except ValueError as error:
            raise UsageError(f"invalid {flag} {value!r}: {error}") from None
    if not job.show:
        job.check, job.command = _check_and_command(words)
    return job


def _check_and_command(words: list[str]) -> tuple[str, list[str]]:
    if not words or words[0] == "--":
        raise UsageError(f"missing CHECK. {USAGE}")
    check, *command = words
    if command and command[0] == "--":
        command = command[1:]
    elif command and command[0].startswith("-"):
        flag = command[0].partition("=")[0]  # its value may be a secret
        raise UsageError(f"{flag} comes after CHECK", hint="put options before CHECK")
    if not command:
        raise UsageError(f"missing COMMAND. {USAGE}")
    return check, command


def _suggestion(flag: str, table: dict[str, Option]) -> str:
    import difflib  # only for a usage error

    matches = difflib.get_close_matches(flag, table, 1)
    return f"did you mean {matches[0]}?" if matches else _HELP
