"""--dry-run: what would be run and pinged."""

from __future__ import annotations

from hcrun.journal.delivery import redactor, retry_policy
from hcrun.journal.run import command_line
from hcrun.ping.target import Target, resolve
from hcrun.results import LOG
from hcrun.run.job import Job
from hcrun.settings import Settings


def describe(job: Job) -> int:
    """Print it, redacted; always 0."""
    settings = Settings.load()
    retry_policy(settings)  # for its problems
    target = resolve(job.check, settings, job.create)
    hide = redactor(settings, target, job.redact)
    lines = [f"would run: {command_line(job.command, hide)}"]
    if target.url:
        lines += [f"would ping: {_shown(target, *ping)}" for ping in _pings(job)]
    else:
        lines.append(f"would ping nobody: {target.why or 'HEALTHCHECKS_ENABLED is false'}")
    lines.append(f"settings: {settings.path or 'from the environment only'}")
    lines += [f"problem: {problem}" for problem in settings.problems]
    for line in lines:
        print(hide.text(line))
    return 0


def _pings(job: Job) -> list[tuple[str, str]]:
    """Actions, and when they are sent."""
    found = [("/start", "at its start")] if job.sends_start else []
    found.append(("", "on success"))
    if LOG in job.on_exit.values():
        found.append(("/log", "on an exit status that --on-exit says to log"))
    if job.fail_after > 1:
        first = "failure" if job.fail_after == 2 else f"{job.fail_after - 1} failures"
        found.append(("/log", f"on the first {first} in a row"))
    return [*found, ("/STATUS", "on failure")]


def _shown(target: Target, action: str, when: str) -> str:
    """The secret part of the URL is not shown, the check's name is."""
    server = "/".join(target.url.split("/")[:3])
    rest = target.address(action).removeprefix(target.url)
    return f"{server}/.../{target.label}{rest}  {when}"
