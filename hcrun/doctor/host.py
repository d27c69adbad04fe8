"""This host's crontabs and timers against the checks: who runs what, who runs nothing, and when."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hcrun.api.client import RemoteCheck
from hcrun.catalog import Catalog
from hcrun.catalog.schedule import Cron, Schedule, next_run
from hcrun.catalog.timezones import same_zone
from hcrun.doctor import reach
from hcrun.doctor.checks import in_use
from hcrun.doctor.finding import Finding, error, note, ok, warning
from hcrun.doctor.reach import MayRead
from hcrun.doctor.settings import check_names
from hcrun.ping.target import is_uuid
from hcrun.schedulers.installed import Crontabs, Line
from hcrun.schedulers.installed_timers import Timers
from hcrun.settings import Settings
from hcrun.text import counted, listed

_MONTHS = 12
_MONTH = 30.5 * 86400  # seconds


def evaluate(
    crontabs: Crontabs,
    timers: Timers,
    catalog: Catalog,
    checks: Sequence[RemoteCheck] | None,
    settings: Settings,
    may_read: MayRead,
) -> list[Finding]:
    """`checks`: None where the server did not say."""
    lines = crontabs.lines + timers.lines
    ours = [line for line in lines if line.job or line.wrong]
    found = [ok(f"{counted(len(ours), 'line')} and timers with hcrun")] if ours else []
    found += evaluate_files(crontabs, timers, ours)
    found += evaluate_lines(ours)
    found += reach.evaluate([line for line in ours if not line.timer], settings, may_read)
    found += evaluate_targets(ours, catalog, checks, check_names(settings))
    found += evaluate_idle(ours, catalog, checks)
    found += evaluate_zone(crontabs.zone, ours, catalog)
    found += evaluate_unwatched(lines)
    return found


def evaluate_files(crontabs: Crontabs, timers: Timers, ours: Sequence[Line]) -> Iterator[Finding]:
    for path, why in crontabs.ignored.items():
        affected = any(line.where.startswith(f"{path} line ") for line in ours)
        make = error if affected else warning
        yield make(f"cron ignores {path}: {why}", "none of its lines is run", "mend or delete it")
    for name, dead in _grouped((to_enable, timer) for timer, to_enable in timers.dead.items()):
        yield error(
            f"{counted(len(dead), 'timer')} not enabled: {listed(dead)}",
            "what they are for never runs",
            f"systemctl enable --now {name}",
        )
    if unread := crontabs.unread + timers.unread:
        yield note(f"may not be read: {listed(unread)}", "jobs may be there", "look again as root")


def evaluate_lines(ours: Sequence[Line]) -> Iterator[Finding]:
    for wrong, places in _grouped((line.wrong, line.where) for line in ours):
        yield error(
            f"{listed(places)}: {wrong}", "hcrun does not run it", "correct it; hcrun --help"
        )
    for program, places in _grouped((line.missing, line.where) for line in ours):
        yield error(
            f"{listed(places)}: there is no {program}",
            "nothing is run, and only cron's log says so",
            "write its whole path, or set PATH above it; command -v hcrun says where it is",
        )


def evaluate_targets(
    ours: Sequence[Line],
    catalog: Catalog,
    checks: Sequence[RemoteCheck] | None,
    named: Collection[str],
) -> Iterator[Finding]:
    """Lines whose check is nowhere, and checks that two schedulers run."""
    if checks is not None:
        known = {check.slug for check in checks} | {check.uuid for check in checks} | set(named)
        known |= {check.slug for check in catalog.checks}  # their room says if they are missing
        lost = [
            (line.job.check, line.where)
            for line in ours
            # A UUID may be of another project, and a read-only key shows none.
            if line.job
            and not (line.job.create or "://" in line.job.check or _is_known(line.job.check, known))
        ]
        for name, places in _grouped(lost):
            yield error(
                f"{listed(places)}: the server has no check {name}",
                "its pings answer 404, and nobody is alerted",
                f"add {name} to the catalogue and hcctl sync, or hcrun --create",
            )
    timed = {line.job.check: line.where for line in ours if line.timer and line.job}
    lines = {line.job.check for line in ours if line.job and not line.timer}
    twice = [check for check in timed if check in lines]
    if twice:
        yield error(
            f"{counted(len(twice), 'check')} run by a crontab line and by a timer: {listed(twice)}",
            "they run twice, perhaps at the same time",
            "hcctl install crontab --uninstall, or systemctl disable --now"
            f" {listed((timed[check] for check in twice), 1)}",
        )


def _is_known(name: str, known: Collection[str]) -> bool:
    name = name.lower().rstrip("/")
    return name in known or is_uuid(name)


def _grouped(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, list[str]]]:
    """The second ones by the first, where there is one."""
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        if key:
            groups.setdefault(key, []).append(value)
    return groups.items()


def evaluate_idle(
    ours: Sequence[Line], catalog: Catalog, checks: Sequence[RemoteCheck] | None
) -> Iterator[Finding]:
    """Checks with a command that nothing here runs, and nobody else does."""
    if not in_use(catalog, checks or []):
        return
    run = {line.job.check for line in ours if line.job}
    elsewhere = {check.slug for check in checks or [] if check.status in ("up", "grace")}
    idle = [c.slug for c in catalog.checks if c.command and c.slug not in run | elsewhere]
    if idle:
        yield warning(
            f"{counted(len(idle), 'check')} that no line and no timer here runs: {listed(idle)}",
            "whether another host runs them is not known"
            if checks is None
            else "no other host seems to run them, either",
            "hcctl install crontab, or hcctl install systemd",
        )


def evaluate_zone(zone: str, ours: Sequence[Line], catalog: Catalog) -> Iterator[Finding]:
    """Cron has one zone, and checks have others: only what falls on other moments matters."""
    run = {line.job.check for line in ours if line.job and not line.timer}
    timed = [c for c in catalog.checks if isinstance(c.schedule, Cron) and c.slug in run]
    if not timed:
        return
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield note(
            f"the time zone of cron cannot be known{f': {zone!r}' if zone else ''}",
            "checks may expect their jobs at other times",
            "timedatectl set-timezone Europe/Riga",
        )
        return
    others = [check for check in timed if _differs(check.schedule, check.zone, zone)]
    if others:
        zones = listed(sorted({check.zone for check in others}))
        yield error(
            f"cron runs in {zone}, and expects in {zones}: {listed(c.slug for c in others)}",
            "these run hours before or after their checks expect them",
            f"set zone = {zone!r} in the catalogue and hcctl sync, or timedatectl set-timezone",
        )
    else:
        yield ok(f"cron's time zone, {zone}, is that of its checks")


@lru_cache(maxsize=1024)
def _differs(schedule: Schedule, one: str, other: str) -> bool:
    """Whether it falls on other moments in the two zones, in any month of a year."""
    if same_zone(one, other):
        return False
    now = time.time()
    moments = [now + month * _MONTH for month in range(_MONTHS)]
    return any(next_run(schedule, one, at) != next_run(schedule, other, at) for at in moments)


def evaluate_unwatched(lines: Sequence[Line]) -> Iterator[Finding]:
    """Jobs without hcrun; those that come with packages are beside the point, so it is a note."""
    plain = [line.where for line in lines if not (line.job or line.wrong)]
    if plain:
        yield note(
            f"{counted(len(plain), 'line')} and timers that nobody watches: {listed(plain)}",
            "when they fail or do not run, nobody knows",
            "hcctl import crontab FILE proposes checks for them",
        )
