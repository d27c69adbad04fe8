"""What crontab lines and units have in common: how hcrun is called, and by whom."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from hcrun.catalog import Check
from hcrun.catalog.schedule import period
from hcrun.run.job import Job
from hcrun.run.options import parse

PROBE_USER = "hcrun"  # a probe needs no more than the network
_LONGEST_DELAY = 30  # seconds
_OFTEN = 60  # seconds; the hosted server may drop more than 5 pings a minute of one check


@dataclass
class Rendered:
    """Files by name, and for people what could not be rendered as it stands."""

    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    zone: str = ""  # that the host has to have for these files, "" for any


def runnable(checks: Iterable[Check]) -> list[Check]:
    """Those that are run; the others are pinged by the application itself."""
    return [check for check in checks if check.command]


def is_probe(check: Check) -> bool:
    """Whether a sandbox is no harm to it."""
    return os.path.basename(check.command[0]).startswith("probe-")


def user(check: Check) -> str:
    return check.user or (PROBE_USER if is_probe(check) else "root")


def search_path(hcrun: str) -> str:
    """PATH for the commands: the probes are beside hcrun. No shell expands it."""
    usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    directory = os.path.dirname(hcrun)
    return ":".join([directory] * (directory not in usual) + usual)


def delay(check: Check) -> int:
    """How late a run may start, in seconds, so that not all of a minute start at once.

    Half of what the longest run leaves of the period and of the grace, which covers both.
    """
    room = min(period(check.schedule), check.grace) - (check.timeout or 0)
    return max(0, min(_LONGEST_DELAY, room // 2))


def longest_run(check: Check) -> float | None:
    """Seconds until its command has ended, or has been killed; None for no limit."""
    job = _job(check)
    timeout = check.timeout or job.timeout
    if timeout is None:
        return None
    return (timeout + job.kill_after) * (job.retries + 1) + job.retry_delay * job.retries


def longest_stay(check: Check) -> float | None:
    """Seconds until hcrun itself has left: the result is delivered after the run."""
    run = longest_run(check)
    job = _job(check)
    return None if run is None else (job.splay or 0) + run + job.deadline


def command_line(check: Check, hcrun: str, more: Iterable[tuple[str, str]] = ()) -> list[str]:
    """hcrun's argv, with the flags in `more` (and their values) unless the catalogue has them."""
    flags = [("--timeout", duration(check.timeout))] if check.timeout else []
    if period(check.schedule) <= _OFTEN:
        flags.append(("--no-start", ""))
    given = {option.partition("=")[0] for option in check.options}
    words = [hcrun]
    for flag, value in [*flags, *more]:
        if flag not in given:
            words += [flag, value] if value else [flag]
    return [*words, *check.options, check.slug, "--", *check.command]


def duration(seconds: int) -> str:
    """As people write it for hcrun: 90s, 2m, 1h."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _job(check: Check) -> Job:
    return parse([*check.options, check.slug, "--", *check.command])
