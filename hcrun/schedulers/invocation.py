"""How crontab lines and units call hcrun, and as which user."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from hcrun.catalog import Check
from hcrun.catalog.schedule import Every, period
from hcrun.run.job import LONGEST_BLAME, LONGEST_REMEDY, Job
from hcrun.run.options import parse

PROBE_USER = "hcrun"  # a probe needs only the network
_LONGEST_DELAY = 30  # seconds
_OFTEN = 60  # seconds; the hosted server may drop more than 5 pings a minute of one check


@dataclass
class Rendered:
    """Files by name, and notes on the checks that were left out."""

    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    zone: str = ""  # the time zone that the host must have, "" for any


def runnable(checks: Iterable[Check]) -> list[Check]:
    """Returns the checks with a command; the application pings the others."""
    return [check for check in checks if check.command]


def is_probe(check: Check) -> bool:
    """Returns whether the command is a probe, which can run in a sandbox."""
    return os.path.basename(check.command[0]).startswith("probe-")


def is_exact(check: Check) -> bool:
    """Returns whether it starts when its schedule says so, as without hcrun: a job, not a probe."""
    return not isinstance(check.schedule, Every) and not is_probe(check)


def user(check: Check) -> str:
    return check.user or (PROBE_USER if is_probe(check) else "root")


def search_path(hcrun: str) -> str:
    """Returns the PATH of the commands, with the directory of hcrun and its probes."""
    usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    directory = os.path.dirname(hcrun)
    return ":".join(usual if directory in usual else [directory, *usual])


def delay(check: Check) -> int:
    """Returns the longest delay of a start in seconds: half of what its time-out leaves."""
    if is_exact(check):
        return 0
    room = min(period(check.schedule), check.grace) - (check.timeout or 0)
    return max(0, min(_LONGEST_DELAY, room // 2))


def longest_run(check: Check) -> float | None:
    """Returns the seconds after which the command has ended or was killed, None for no limit."""
    if not check.command:
        return None
    job = _job(check)
    timeout = check.timeout or job.timeout
    if timeout is None:
        return None
    return (timeout + job.kill_after) * (job.retries + 1) + job.retry_delay * job.retries


def longest_stay(check: Check) -> float | None:
    """Returns the seconds after which hcrun has delivered the result, None for no limit."""
    run = longest_run(check)
    job = _job(check)
    asking = LONGEST_BLAME if check.needs else 0.0
    remedy = LONGEST_REMEDY + job.deadline if job.remedy else 0.0
    return None if run is None else (job.splay or 0) + run + asking + remedy + job.deadline


def command_line(check: Check, hcrun: str, more: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Returns the argv of hcrun. Flags in `more` yield to those in the catalogue."""
    flags = [("--timeout", duration(check.timeout))] if check.timeout else []
    if period(check.schedule) <= _OFTEN and not is_exact(check):
        flags.append(("--no-start", ""))
    if check.needs:
        flags.append(("--needs", ",".join(check.needs)))
    given = {option.partition("=")[0] for option in check.options}
    words = [hcrun]
    for flag, value in [*flags, *more]:
        if flag not in given:
            words += [flag, value] if value else [flag]
    return [*words, *check.options, check.slug, "--", *check.command]


def duration(seconds: int) -> str:
    """Returns a duration as hcrun reads it: 90s, 2m, 1h."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def even_periods(second: str, minute: str, hour: str, day: str, week: str) -> dict[int, str]:
    """Returns how often a schedule can run evenly, in seconds, and the form of each period."""
    forms = {1: (60, second), 60: (60, minute), 3600: (24, hour), 86400: (7, day)}
    found = {
        unit * number: form.format(number)
        for unit, (maximum, form) in forms.items()
        for number in range(1, maximum)
        if maximum % number == 0
    }
    return found | {7 * 86400: week}


def _job(check: Check) -> Job:
    return parse([*check.options, check.slug, "--", *check.command])
