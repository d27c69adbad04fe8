"""Command line of `hcrun` -> Job. help.toml says what each option is for.

Parsed by hand: argparse costs 0.8 bare interpreter starts, click four, before the command starts.
"""

from __future__ import annotations

from hcrun.errors import UsageError
from hcrun.results import FAIL, LOG, SUCCESS
from hcrun.run.job import OVERLAP_MODES, Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


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


def _times_an_hour(text: str) -> int:
    number, slash, unit = text.partition("/")
    if (slash, unit) != ("/", "h"):
        raise ValueError("write it like 2/h")
    return _integer(1)(number)


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


# The option, with the name of its value if it takes one, and how that gets into the Job.
OPTIONS: dict[str, Callable[[Job, str], None]] = {
    "--timeout DUR": _set("timeout", _positive),
    "--kill-after DUR": _set("kill_after", _duration),
    "--idle-timeout DUR": _set("idle_timeout", _positive),
    "--min-runtime DUR": _set("min_runtime", _positive),
    "--expect REGEX": _append_regex("expect"),
    "--reject REGEX": _append_regex("reject"),
    "--on-exit CODES=RESULT": _on_exit,
    "--fail-after N": _set("fail_after", _integer(1)),
    "--recover-after N": _set("recover_after", _integer(1)),
    "--needs CHECK,...": _set("needs", _checks),
    "--remedy CMD": _set("remedy", str),
    "--remedy-after N": _set("remedy_after", _integer(1)),
    "--remedy-limit N/h": _set("remedy_limit", _times_an_hour),
    "--retries N": _set("retries", _integer(0)),
    "--retry-delay DUR": _set("retry_delay", _duration),
    "--overlap MODE": _set("overlap", _overlap_mode),
    "--splay DUR": _set("splay", _positive),
    "--quiet": _put("quiet", True),
    "--verbose": _put("verbose", True),
    "--tty": _put("tty", True),
    "--no-tty": _put("tty", False),
    "--no-output": _put("output", False),
    "--redact REGEX": _append_regex("redact"),
    "--create": _put("create", True),
    "--period DUR": _set("period", period),
    "--grace DUR": _set("grace", period),
    "--no-start": _put("start", False),
    "--deadline DUR": _set("deadline", _positive),
    "--dry-run": _put("dry_run", True),
    "--version": _put("show", "--version"),
    "--help": _put("show", "--help"),
}
USAGE = "Usage: hcrun [OPTIONS] CHECK -- COMMAND [ARG...]"
ALIASES = {"-q": "--quiet", "-v": "--verbose", "-V": "--version", "-h": "--help"}
_HELP = "see hcrun --help"


def parse(argv: list[str]) -> Job:
    """Return the Job that `argv` describes, as far as --help or --version. Raises UsageError."""
    table = {usage.partition(" ")[0]: usage for usage in OPTIONS}
    job = Job()
    words = list(argv)
    while words and words[0].startswith("-") and words[0] != "--" and not job.show:
        flag, equals, value = words.pop(0).partition("=")
        usage = table.get(ALIASES.get(flag, flag))
        if usage is None:
            raise UsageError(f"unknown option {flag}", hint=_suggestion(flag, table))
        if " " not in usage and equals:
            raise UsageError(f"{flag} takes no value", hint=_HELP)
        if " " in usage and not equals:
            if not words:
                raise UsageError(f"{flag} needs a value: {usage}", hint=_HELP)
            value = words.pop(0)
        try:
            OPTIONS[usage](job, value)
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


def _suggestion(flag: str, table: dict[str, str]) -> str:
    import difflib  # only for a usage error

    matches = difflib.get_close_matches(flag, table, 1)
    return f"did you mean {matches[0]}?" if matches else _HELP
