"""The crontabs and timers of this host: whether they run, ping a check, and at the right time."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache

from hcrun.api.client import RemoteCheck
from hcrun.catalog import Catalog
from hcrun.catalog.schedule import Cron, Schedule, next_run
from hcrun.catalog.timezones import same_zone, time_zone
from hcrun.doctor.checks import in_use
from hcrun.doctor.finding import Finding, error, note, ok, warning
from hcrun.doctor.settings import check_names
from hcrun.ping.target import is_uuid
from hcrun.schedulers import users
from hcrun.schedulers.installed import Crontabs, Line, Timers
from hcrun.settings import Settings
from hcrun.text import counted, listed

_MONTHS = 12
_MONTH = 30.5 * 86400  # seconds
_NEEDED = ("HCRUN_ENV_FILE", "HEALTHCHECKS_PING_URL", "HEALTHCHECKS_PING_KEY")
CanRead = Callable[[str, str], bool]  # of a user and a path


def evaluate(
    crontabs: Crontabs,
    timers: Timers,
    catalog: Catalog,
    checks: Sequence[RemoteCheck] | None,
    settings: Settings,
    can_read: CanRead,
) -> list[Finding]:
    """`checks` is None if the server has not shown its checks."""
    lines = crontabs.lines + timers.lines
    ours = [line for line in lines if line.job or line.wrong]
    return [
        *([ok(f"crontab lines and timers that run hcrun: {len(ours)}")] if ours else []),
        *evaluate_files(crontabs, timers, ours),
        *evaluate_lines(ours),
        *evaluate_environment([line for line in ours if not line.timer], settings, can_read),
        *evaluate_targets(ours, catalog, checks, check_names(settings)),
        *evaluate_idle(ours, catalog, checks),
        *evaluate_zone(crontabs.zone, ours, catalog),
        *evaluate_unwatched(lines),
    ]


def evaluate_files(crontabs: Crontabs, timers: Timers, ours: Sequence[Line]) -> Iterator[Finding]:
    for path, why in crontabs.ignored.items():
        affected = any(line.where.startswith(f"{path} line ") for line in ours)
        make = error if affected else warning
        yield make(f"cron ignores {path}: {why}", "none of its lines runs", "correct or delete it")
    for name, dead in _grouped((to_enable, timer) for timer, to_enable in timers.dead.items()):
        yield error(
            f"{counted(len(dead), 'timer')} not enabled: {listed(dead)}",
            "their jobs never run",
            f"systemctl enable --now {name}",
        )
    if unread := crontabs.unread + timers.unread:
        yield note(f"cannot read {listed(unread)}", "there may be jobs in it", "run this as root")


def evaluate_lines(ours: Sequence[Line]) -> Iterator[Finding]:
    for wrong, places in _grouped((line.wrong, line.where) for line in ours):
        fix = "correct the line; hcrun --help shows the options"
        yield error(f"{listed(places)}: {wrong}", "hcrun does not run the command", fix)
    for program, places in _grouped((line.missing, line.where) for line in ours):
        yield error(
            f"{listed(places)}: {program} does not exist",
            "nothing runs, and only the log of cron says so",
            "write its full path (command -v hcrun shows it), or set PATH above the line",
        )


def evaluate_environment(
    lines: Sequence[Line], settings: Settings, can_read: CanRead
) -> Iterator[Finding]:
    """Whether jobs of cron get these settings; `lines` are the crontab lines that run hcrun."""
    here = [name for name in _NEEDED if _only_in_environment(name, settings)]
    without = [
        line.where
        for line in lines
        if not all({name, f"{name}_FILE", "HCRUN_ENV_FILE"} & set(line.environ) for name in here)
    ]
    if without:
        yield warning(
            f"only this shell has {listed(here)}, not {listed(without)}",
            "cron starts jobs with an empty environment: they ping nothing, or another server",
            "write them to /etc/hcrun/hcrun.env",
        )
    names = sorted({line.user for line in lines if line.user})
    for path in _shared_files(settings):
        locked_out = [name for name in names if not can_read(name, path)]
        if locked_out:
            group = locked_out[0] if len(locked_out) == 1 else "GROUP-OF-THEM-ALL"
            yield warning(
                f"{listed(locked_out)} cannot read {path}",
                "their jobs send no pings",
                f"chgrp {group} {path} && chmod 0640 {path}",
            )


def _only_in_environment(name: str, settings: Settings) -> bool:
    names = {name, f"{name}_FILE"}
    return any(settings.environ.get(one) for one in names) and not names & set(settings.from_file)


def _shared_files(settings: Settings) -> Iterator[str]:
    """The env file of all users, and the ping key that it names; not a user's own."""
    if settings.path.startswith("/etc/") or settings.environ.get("HCRUN_ENV_FILE"):
        yield settings.path
        if key := settings.from_file.get("HEALTHCHECKS_PING_KEY_FILE", "").strip():
            yield key


def can_read(root: str, name: str, path: str) -> bool:
    """Asks the kernel; evaluate_files reports a user who does not exist."""
    user = users.find(name, root)
    return user is None or users.can_access(user, path, os.R_OK)


def evaluate_targets(
    ours: Sequence[Line],
    catalog: Catalog,
    checks: Sequence[RemoteCheck] | None,
    named: Collection[str],
) -> Iterator[Finding]:
    """Lines whose check does not exist, and checks that two schedulers run."""
    jobs = [(line.job, line) for line in ours if line.job]
    if checks is not None:
        known = {check.slug for check in checks} | {check.uuid for check in checks} | set(named)
        known |= {check.slug for check in catalog.checks}  # evaluate_catalog reports those
        unknown = [
            (job.check, line.where)
            for job, line in jobs
            # A UUID may belong to another project, and a read-only key shows none.
            if not (job.create or "://" in job.check or _is_known(job.check, known))
        ]
        for name, places in _grouped(unknown):
            yield error(
                f"{listed(places)}: the server has no check named {name}",
                "its pings answer 404, and nobody is alerted",
                f"add {name} to the catalogue and run hcctl sync, or use hcrun --create",
            )
    timed = {job.check: line.where for job, line in jobs if line.timer}
    by_cron = {job.check for job, line in jobs if not line.timer}
    if twice := [check for check in timed if check in by_cron]:
        yield error(
            f"{counted(len(twice), 'check')} run by a crontab line and by a timer: {listed(twice)}",
            "the jobs run twice, perhaps at the same time",
            "hcctl install crontab --uninstall, or systemctl disable --now"
            f" {listed((timed[check] for check in twice), 1)}",
        )


def _is_known(name: str, known: Collection[str]) -> bool:
    name = name.lower().rstrip("/")
    return name in known or is_uuid(name)


def _grouped(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, list[str]]]:
    """The second of each pair by the first, unless that is ""."""
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        if key:
            groups.setdefault(key, []).append(value)
    return groups.items()


def evaluate_idle(
    ours: Sequence[Line], catalog: Catalog, checks: Sequence[RemoteCheck] | None
) -> Iterator[Finding]:
    """Checks with a command that neither this host nor, it seems, another one runs."""
    if not in_use(catalog, checks or []):
        return
    run = {line.job.check for line in ours if line.job}
    run |= {check.slug for check in checks or [] if check.status in ("up", "grace")}
    if idle := [c.slug for c in catalog.checks if c.command and c.slug not in run]:
        why = "no other host seems to run them"
        if checks is None:
            why = "doctor cannot tell whether another host runs them"
        yield warning(
            f"{counted(len(idle), 'check')} that no crontab line or timer runs: {listed(idle)}",
            why,
            "hcctl install crontab, or hcctl install systemd",
        )


def evaluate_zone(zone: str, ours: Sequence[Line], catalog: Catalog) -> Iterator[Finding]:
    """Cron has one time zone, and each check its own: only different moments matter."""
    run = {line.job.check for line in ours if line.job and not line.timer}
    timed = [c for c in catalog.checks if isinstance(c.schedule, Cron) and c.slug in run]
    if not timed:
        return
    try:
        time_zone(zone)
    except ValueError:
        yield note(
            f"cannot determine the time zone of cron{f': {zone!r} does not exist' if zone else ''}",
            "jobs may run at other times than their checks expect",
            "timedatectl set-timezone Europe/Riga",
        )
        return
    others = [check for check in timed if _differs(check.schedule, check.zone, zone)]
    if others:
        zones = listed(sorted({check.zone for check in others}))
        slugs = listed(check.slug for check in others)
        yield error(
            f"cron runs in {zone}, but these checks expect {zones}: {slugs}",
            "their jobs run hours before or after their checks expect them",
            f"set zone = {zone!r} in the catalogue and run hcctl sync, or timedatectl set-timezone",
        )
    else:
        yield ok(f"the time zone of cron, {zone}, is that of its checks")


@lru_cache(maxsize=1024)
def _differs(schedule: Schedule, zone: str, other: str) -> bool:
    """Whether the schedule means other moments in the two zones, in any month of a year."""
    if same_zone(zone, other):
        return False
    now = time.time()
    moments = [now + month * _MONTH for month in range(_MONTHS)]
    return any(next_run(schedule, zone, at) != next_run(schedule, other, at) for at in moments)


def evaluate_unwatched(lines: Sequence[Line]) -> Iterator[Finding]:
    """Jobs without hcrun. A note, because packages bring some."""
    if plain := [line.where for line in lines if not (line.job or line.wrong)]:
        yield note(
            f"crontab lines and timers without hcrun: {listed(plain)}",
            "nobody is alerted when they fail or do not run",
            "hcctl import crontab FILE proposes checks for them",
        )
