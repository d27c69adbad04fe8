"""--dry-run: what would be run and pinged."""

from __future__ import annotations

from hcrun.job import Job
from hcrun.record import command_line
from hcrun.reporter import redactor
from hcrun.settings import Settings
from hcrun.target import Target, resolve


def describe(job: Job) -> int:
    """Print it, redacted; always 0."""
    settings = Settings.load()
    target = resolve(job.check, settings, job.create)
    hide = redactor(settings, target, job)
    lines = [f"would run: {command_line(job.command, hide)}"]
    if target.url:
        lines += [f"would ping: {_shown(target, action)}" for action in _actions(job)]
    else:
        lines.append(f"would ping nobody: {target.why or 'HEALTHCHECKS_ENABLED is false'}")
    lines += [f"problem: {problem}" for problem in settings.problems]
    lines.append(f"settings: {settings.path or 'the environment only'}")
    for line in lines:
        print(hide.text(line))
    return 0


def _actions(job: Job) -> list[tuple[str, str]]:
    start = [("/start", "at its start")] if job.sends_start else []
    held_back = [("/log", f"for the first {job.fail_after - 1} failures in a row")]
    return [
        *start,
        ("", "on success"),
        *(held_back if job.fail_after > 1 else []),
        ("/STATUS", "on failure"),
    ]


def _shown(target: Target, action: tuple[str, str]) -> str:
    """The secret part of the URL is not shown, the check's name is."""
    host = "/".join(target.url.split("/")[:3])
    rest = target.address(action[0]).removeprefix(target.url)
    return f"{host}/.../{target.label}{rest}  {action[1]}"
