"""Reads the jobs in crontabs and systemd timers."""

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace

from hcrun import units
from hcrun.catalog import schedule
from hcrun.catalog.schedule import Calendar, Every, Schedule
from hcrun.formats.crontab import NICKNAMES, Entry
from hcrun.formats.systemd_unit import Section, Unit, assignments, last, split_words
from hcrun.schedulers.import_jobs import ScheduledJob, looks_secret

_SLEEP = re.compile(r"sleep\s+(\d{1,2})\s*(?:;|&&)\s*(.*)", re.DOTALL)
_FALSE = ("", "no", "false", "off", "0")
_OWN = ("HCRUN_", "HEALTHCHECKS_", "HC_CHECK_")
_NOT_IMPORTED = (
    "EnvironmentFile",
    "LoadCredential",
    "ExecStartPre",
    "ExecStartPost",
    "DynamicUser",
)
# What systemd.time(7) adds to the first letter of a unit.
_REST_OF_UNIT = re.compile(r"(?<=[smhdw])(?:econds?|ecs?|inutes?|in|ours?|rs?|ays?|eeks?)")


def read_crontab(
    entries: Iterable[Entry], user: str = "", zone: str = ""
) -> tuple[list[ScheduledJob], list[str]]:
    """Returns the jobs, by default of `user`, and notes on what cannot be kept."""
    jobs: list[ScheduledJob] = []
    notes: list[str] = []
    for entry in _merge_half_minutes(list(entries)):
        where = f"line {entry.line}"
        expression = NICKNAMES.get(entry.schedule, entry.schedule)
        if "CRON_TZ" in entry.environ:
            notes.append(f"{where}: Debian's cron ignores CRON_TZ")
        try:
            if not expression:
                raise ValueError(f"{entry.schedule} is not a schedule")
            every = Every(int(expression)) if expression.isdigit() else None
            when = every or schedule.cron(expression)
        except ValueError as error:
            notes.append(f"{where}: {error}: not imported")
            continue
        jobs.append(
            ScheduledJob(
                where,
                when,
                entry.command,
                user=entry.user or user,
                zone="" if every else zone,
                environ=_public(entry.environ, notes),
                stdin=entry.input,
            )
        )
    return jobs, notes


def _public(environ: dict[str, str], notes: list[str]) -> dict[str, str]:
    """Returns the variables that may stand in the catalogue, which everyone can read."""
    public = {}
    for name, value in environ.items():
        if name.startswith(_OWN):
            note = f"{name} is not imported: set it in /etc/hcrun/hcrun.env"
        elif looks_secret(f"{name}={value}"):
            note = f"{name} looks secret and is not imported: let the command read it from a file"
        else:
            public[name] = value
            continue
        if note not in notes:
            notes.append(note)
    return public


def _merge_half_minutes(entries: list[Entry]) -> list[Entry]:
    """Makes one entry of lines that differ only in `sleep 30;`; its schedule is in seconds."""
    same: dict[tuple[str, str], dict[int, Entry]] = {}
    for entry in entries:
        if entry.schedule == "* * * * *":
            slept = _SLEEP.fullmatch(entry.command)
            delay, command = (int(slept[1]), slept[2]) if slept else (0, entry.command)
            same.setdefault((entry.user, command), {})[delay] = entry
    merged = {entry.line: entry for entry in entries}
    for delays in same.values():
        step = 60 // len(delays)
        if len(delays) > 1 and sorted(delays) == list(range(0, 60, step)):
            for entry in delays.values():
                del merged[entry.line]
            merged[delays[0].line] = replace(delays[0], schedule=str(step))
    return [merged[line] for line in sorted(merged)]


def read_timer(
    name: str, read: Callable[[str], Unit | None], zone: str = "", user: str = "root"
) -> tuple[ScheduledJob | None, list[str]]:
    """Returns the job of a timer, by default of `user`, and notes; `read` returns units by name."""
    notes: list[str] = []
    try:
        timer = (read(name) or {}).get("Timer", {})
        when = _schedule(timer, notes)
        service_name = last(timer, "Unit") or name.removesuffix("timer") + "service"
        unit = read(service_name)
        if unit is None:
            raise ValueError(f"there is no {service_name} in the same directory")
        service = unit.get("Service", {})
        if not service.get("ExecStart"):
            raise ValueError(f"{service_name} has no ExecStart=")
    except ValueError as error:
        return None, [*(f"{name}: {note}" for note in notes), f"{name}: {error}: not imported"]
    own_zone = isinstance(when, Calendar) and re.search(r" [A-Z][\w/+-]+$", when.expression)
    if _is_set(service, "DynamicUser") and user == "root":
        user = ""
    job = ScheduledJob(
        name,
        when,
        _command(service, notes),
        user=last(service, "User") or user,
        zone="" if own_zone or isinstance(when, Every) else zone,
        environ=_public(assignments(service), notes),
        timeout=_seconds(last(service, "TimeoutStartSec")),
        name=name.removesuffix(".timer").rstrip("@"),
    )
    return job, [f"{name}: {note}" for note in notes]


def _command(service: Section, notes: list[str]) -> str:
    """Returns all ExecStart= as one line for a shell."""
    starts = service["ExecStart"]
    line = " && ".join(shlex.join(split_words(start.lstrip("@-:+!"))) for start in starts)
    directory = last(service, "WorkingDirectory").removeprefix("-")
    if directory not in ("", "~"):  # cron starts in the home directory, too
        line = f"cd {shlex.quote(directory)} && {line}"
    notes += [f"{key}= is not imported" for key in _NOT_IMPORTED if _is_set(service, key)]
    if variable := re.search(r"(?<!\$)\$(?:\w+|\{\w+\})", "\n".join(starts)):
        notes.append(f"systemd replaces {variable[0]}: write its value instead")
    if re.search(r"(?<!%)(?:%%)*%[A-Za-z]", line):
        notes.append("the command has a specifier such as %n: write its value instead")
    return line.replace("%%", "%")


def _is_set(service: Section, key: str) -> bool:
    return last(service, key).lower() not in _FALSE


def _schedule(timer: Section, notes: list[str]) -> Schedule:
    """Raises ValueError."""
    calendars = timer.get("OnCalendar", [])
    if len(calendars) > 1:
        notes.append("only the first of several OnCalendar= is imported")
    if calendars:
        return schedule.calendar(calendars[0])
    every = _seconds(last(timer, "OnUnitActiveSec") or last(timer, "OnUnitInactiveSec"))
    if not every:
        raise ValueError("there is neither OnCalendar= nor OnUnitActiveSec=")
    return Every(every)


def _seconds(text: str) -> int:
    """Returns the seconds of a time span (`1h 30min`), 0 for infinity and for anything else."""
    plain = _REST_OF_UNIT.sub("", "".join(text.split()))
    try:
        return round(units.seconds(f"{plain}s" if plain[-1:].isdigit() else plain))
    except ValueError:
        return 0
