"""--dry-run: prints what would be run and pinged."""

from hcrun.journal.delivery import redactor, retry_policy
from hcrun.journal.run import command_line
from hcrun.journal.second import URL, SecondSettings, second_target
from hcrun.ping.target import Target, resolve
from hcrun.results import LOG
from hcrun.run import not_started
from hcrun.run.job import Job
from hcrun.settings import Settings
from hcrun.text import counted


def describe(job: Job) -> int:
    """Print the command, the pings and the settings, redacted; always returns 0."""
    settings = Settings.load()
    retry_policy(settings)  # reads the settings that may have problems
    target = resolve(job.check, settings, job.create)
    second = None
    if settings.get(URL) and settings.enabled():
        second = second_target(job.check, SecondSettings(settings), job.create)
        target.secrets += second.secrets
    hide = redactor(settings, target, job.redact)
    lines = [f"would run: {command_line(job.command, hide)}"]
    if target.url:
        lines += [f"would ping: {_address(target, action)}  {when}" for action, when in _pings(job)]
    else:
        lines.append(f"would not ping: {target.why or 'HEALTHCHECKS_ENABLED is false'}")
    if second:
        where = _address(second, "") if second.url else f"not pinged: {second.why}"
        lines.append(f"second server: {where}")
    if job.remedy:
        after = counted(job.remedy_after, "failure")
        command = command_line(["sh", "-c", job.remedy], hide)
        lines.append(
            f"remedy: {command}  after {after} in a row, {job.remedy_limit} an hour at most"
        )
    lines.append(f"settings: {settings.path or 'from the environment only'}")
    problems = [*settings.problems, not_started.foresee(job.command)]
    lines += [f"problem: {problem}" for problem in problems if problem]
    for line in lines:
        print(hide.text(line))
    return 0


def _pings(job: Job) -> list[tuple[str, str]]:
    """Actions, and when they are sent."""
    pings = [("/start", "at the start")] if job.sends_start else []
    pings.append(("", "on success"))
    if LOG in job.on_exit.values():
        pings.append(("/log", "on an exit status with --on-exit log"))
    if job.fail_after > 1:
        failures = "failure" if job.fail_after == 2 else f"{job.fail_after - 1} failures"
        pings.append(("/log", f"on the first {failures} in a row"))
    if job.needs:
        pings.append(("/log", f"on failure while {' or '.join(job.needs)} is failing"))
    if job.recover_after > 1:
        pings.append(("/log", f"after a failure, on success, until {job.recover_after} in a row"))
    return [*pings, ("/STATUS", "on failure")]


def _address(target: Target, action: str) -> str:
    """The ping's URL with the check's name in place of the secret part."""
    server = "/".join(target.url.split("/")[:3])
    rest = target.address(action).removeprefix(target.url)
    return f"{server}/.../{target.label}{rest}"
