"""The catalogue as systemd units: a timer and a drop-in for each check.

hcrun-probe@SLUG runs in a sandbox, hcrun-job@SLUG does not. `hcrun.target` starts all timers.
"""

import math

from hcrun.catalog import Catalog, Check
from hcrun.catalog.schedule import Calendar, Every, period
from hcrun.formats import systemd_unit
from hcrun.formats.systemd_unit import exec_line, value
from hcrun.schedulers import invocation, oncalendar, systemd_templates
from hcrun.schedulers.invocation import PROBE_USER, Rendered
from hcrun.text import one_line

TARGET = "hcrun.target"
DROP_IN = "job.conf"
_DAY = 86400
_SPARE = 30  # seconds in which hcrun can end by itself before systemd ends it


def render(catalog: Catalog, hcrun: str) -> Rendered:
    """Returns `hcrun.target`, `hcrun-probe@redis.timer`, ..."""
    rendered = Rendered(systemd_templates.render(hcrun, invocation.search_path(hcrun)))
    timers = []
    for check in invocation.runnable(catalog.checks):
        try:
            when = _when(check)
        except ValueError as error:
            rendered.notes.append(f"{check.slug} is left out: {error}")
            continue
        unit = f"hcrun-{'probe' if invocation.is_probe(check) else 'job'}@{check.slug}"
        if check.mailto:
            rendered.notes.append(f"{check.slug}: systemd mails no output, so mailto has no effect")
        timers.append(f"{unit}.timer")
        rendered.files[timers[-1]] = _timer(check, when)
        rendered.files[f"{unit}.service.d/{DROP_IN}"] = _drop_in(check, hcrun)
    head = ["Description=Timers of hcrun", *(f"Wants={timer}" for timer in timers)]
    target = {"Unit": head, "Install": ["WantedBy=timers.target"]}
    rendered.files[TARGET] = systemd_unit.render(target)
    return rendered


def _when(check: Check) -> list[str]:
    """Returns the schedule lines of the timer. Raises ValueError if systemd cannot run it."""
    schedule, zone = check.schedule, check.zone or "UTC"
    if isinstance(schedule, Every):
        if marks := oncalendar.PERIODS.get(schedule.seconds):
            return [f"OnCalendar={marks}"]
        # The period does not divide an hour, a day or a week, so it runs from start to start.
        return ["OnActiveSec=0", f"OnUnitActiveSec={schedule.seconds}"]
    if isinstance(schedule, Calendar):
        return [f"OnCalendar={schedule.expression} {check.zone}".rstrip()]
    moments = oncalendar.of_cron(schedule)
    if not oncalendar.is_steady(zone):
        raise ValueError(
            f"systemd does not run {schedule.expression!r} like cron when the clocks of {zone}"
            " change, so the server would send an alert; write calendar ="
            f" {' and '.join(map(repr, moments))}"
        )
    return [f"OnCalendar={moment} {zone}" for moment in moments]


def _timer(check: Check, when: list[str]) -> str:
    lines = [*when, "AccuracySec=1s"]
    # A timer that runs from start to start would add the delay each time.
    spread = invocation.delay(check) if when[0].startswith("OnCalendar=") else 0
    if spread:
        lines += [f"RandomizedDelaySec={spread}", "FixedRandomDelay=yes"]
    if period(check.schedule) >= _DAY:
        lines.append("Persistent=yes")
    head = [f"Description=Timer of {_title(check)}", f"PartOf={TARGET}"]
    return systemd_unit.render({"Unit": head, "Timer": lines})


def _drop_in(check: Check, hcrun: str) -> str:
    lines = ["ExecStart=", f"ExecStart={exec_line(invocation.command_line(check, hcrun))}"]
    if stay := invocation.longest_stay(check):
        lines.append(f"TimeoutStartSec={math.ceil(stay) + _SPARE}")
    who = invocation.user(check)
    if who != (PROBE_USER if invocation.is_probe(check) else "root"):
        lines.append(f"User={who}")
        if invocation.is_probe(check):
            # Its journal, as the sandbox hides its home. Each user has one, because hcrun refuses a
            # journal of another owner.
            name = "hcrun" if who == "root" else f"hcrun-{who}"
            lines += ["StateDirectory=", f"StateDirectory={name}"]
            lines.append(f"Environment=STATE_DIRECTORY=%S/{name}")
    return systemd_unit.render({"Unit": [f"Description={_title(check)}"], "Service": lines})


def _title(check: Check) -> str:
    return value(one_line(check.name)) or check.slug
