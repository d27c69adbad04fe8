"""Crontabs and systemd's timers -> the jobs in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace

from hcrun.catalog import schedule
from hcrun.catalog.schedule import Calendar, Every, Schedule
from hcrun.formats.crontab import NICKNAMES, Entry
from hcrun.schedulers.import_jobs import Found, secret

_SLEEP = re.compile(r"sleep\s+(\d{1,2})\s*(?:;|&&)\s*(.*)", re.DOTALL)
WHOSE = "whose jobs these are is not known: give --user"
_NO = ("", "no", "false", "off", "0")
_OWN = ("HCRUN_", "HEALTHCHECKS_", "HC_CHECK_")
# systemd.time(7); `m` is a minute, and none is a second.
_SPANS = {
    "ms msec": 0.001,
    "s sec second seconds": 1,
    "m min minute minutes": 60,
    "h hr hour hours": 3600,
    "d day days": 86400,
    "w week weeks": 604800,
}


def from_crontab(
    entries: Iterable[Entry], user: str = "", zone: str = ""
) -> tuple[list[Found], list[str]]:
    """The jobs, of `user` where their lines name none; and notes on those that are left out."""
    found: list[Found] = []
    notes: list[str] = []
    for entry in _half_minutes(list(entries)):
        where = f"line {entry.line}"
        words = NICKNAMES.get(entry.schedule, entry.schedule)
        if not words:
            notes.append(f"{where}: {entry.schedule} is no schedule; it is left out")
            continue
        if "CRON_TZ" in entry.environ:
            notes.append(f"{where}: Debian's cron takes no notice of CRON_TZ")
        try:
            when: Schedule = Every(int(words)) if words.isdigit() else schedule.cron(words)
        except ValueError as error:
            notes.append(f"{where}: {error}; it is left out")
            continue
        if not (entry.user or user or found):
            notes.append(f"{WHOSE}, or --system")
        comment = entry.schedule if entry.schedule in NICKNAMES else ""
        found.append(
            Found(
                where,
                when,
                entry.command,
                entry.user or user,
                "" if isinstance(when, Every) else zone,
                _public(entry.environ, notes),
                entry.input,
                comment=comment,
            )
        )
    return found, notes


def _public(environ: dict[str, str], notes: list[str]) -> dict[str, str]:
    """Without what is hcrun's own or looks secret: all may read the catalogue."""
    left = {}
    for name, value in environ.items():
        if name.startswith(_OWN):
            note = f"{name} is left out: put it into /etc/hcrun/hcrun.env"
        elif secret(f"{name}={value}"):
            note = f"{name} is left out, as it looks secret: let the command read it from a file"
        else:
            left[name] = value
            continue
        if note not in notes:
            notes.append(note)
    return left


def _half_minutes(entries: list[Entry]) -> list[Entry]:
    """Lines that differ in a `sleep 30;` only are one job, every 30 s: that is its schedule."""
    same: dict[tuple[str, str], dict[int, Entry]] = {}
    for entry in entries:
        if entry.schedule == "* * * * *":
            slept = _SLEEP.fullmatch(entry.command)
            delay, command = (int(slept[1]), slept[2]) if slept else (0, entry.command)
            same.setdefault((entry.user, command), {})[delay] = entry
    for delays in same.values():
        step = 60 // len(delays)
        if len(delays) > 1 and sorted(delays) == list(range(0, 60, step)):
            first = delays.pop(0)
            others = {entry.line for entry in delays.values()}
            entries = [
                replace(entry, schedule=str(step)) if entry.line == first.line else entry
                for entry in entries
                if entry.line not in others
            ]
    return entries


def from_timer(
    name: str, read: Callable[[str], str | None], zone: str = "", user: str = "root"
) -> tuple[list[Found], list[str]]:
    """The job of the timer `name`, as `backup.timer`, and notes.

    `read` gives the text of a unit, drop-ins at its end; None where there is none. `user` runs
    what names no other.
    """
    notes: list[str] = []
    timer = unit(read(name) or "").get("Timer", {})
    when = _when(timer, notes)
    own = name.removesuffix("timer") + "service"
    service = _service(last(timer, "Unit") or own, read, notes)
    found = [_job(name, when, service, zone, user, notes)] if when and service else []
    return found, [f"{name}: {note}" for note in notes]


def _service(
    name: str, read: Callable[[str], str | None], notes: list[str]
) -> dict[str, list[str]]:
    """Its [Service], with the instance of a template filled in; {} when it runs nothing."""
    instance = name.removesuffix(".service").partition("@")[2]
    text = read(name)
    if text is None:
        notes.append(f"there is no {name} beside it; it is left out")
        return {}
    service = unit(text.replace("%i", instance).replace("%I", instance)).get("Service", {})
    if not service.get("ExecStart"):
        notes.append(f"{name} has no ExecStart; it is left out")
        return {}
    return service


def _job(
    name: str,
    when: Schedule,
    service: dict[str, list[str]],
    zone: str,
    user: str,
    notes: list[str],
) -> Found:
    starts = service["ExecStart"]
    line = " && ".join(shlex.join(unit_words(start.lstrip("@-:+!"))) for start in starts)
    directory = last(service, "WorkingDirectory").removeprefix("-")
    if directory not in ("", "~"):  # home is where cron starts
        line = f"cd {shlex.quote(directory)} && {line}"
    for key in (
        "EnvironmentFile",
        "LoadCredential",
        "ExecStartPre",
        "ExecStartPost",
        "DynamicUser",
    ):
        if last(service, key).lower() not in _NO:
            notes.append(f"{key} of the service is not taken over")
    if filled := re.search(r"(?<!\$)\$(?:\w+|\{\w+\})", "\n".join(starts)):
        notes.append(f"systemd fills in {filled[0]}; write out what it stands for")
    if re.search(r"(?<!%)(?:%%)*%[A-Za-z]", line):
        notes.append("there is a specifier such as %n in it; write out what it stands for")
    dynamic = last(service, "DynamicUser").lower() not in _NO
    settings = [word for each in service.get("Environment", []) for word in unit_words(each)]
    has_zone = isinstance(when, Calendar) and re.search(r" [A-Z][\w/+-]+$", when.expression)
    return Found(
        name,
        when,
        line.replace("%%", "%"),
        last(service, "User") or ("" if dynamic else user),
        "" if has_zone or isinstance(when, Every) else zone,
        _public(dict(word.split("=", 1) for word in settings if "=" in word), notes),
        timeout=_span(last(service, "TimeoutStartSec")),
        name=name.removesuffix(".timer").rstrip("@"),
    )


def _when(timer: dict[str, list[str]], notes: list[str]) -> Schedule | None:
    calendars = timer.get("OnCalendar", [])
    if len(calendars) > 1:
        notes.append("it has several OnCalendar=, and only the first is taken over")
    if calendars:
        try:
            return schedule.calendar(calendars[0])
        except ValueError as error:
            notes.append(f"{error}; it is left out")
            return None
    every = _span(last(timer, "OnUnitActiveSec") or last(timer, "OnUnitInactiveSec"))
    if not every:
        notes.append("it has neither OnCalendar nor OnUnitActiveSec; it is left out")
        return None
    return Every(every)


def last(section: dict[str, list[str]], key: str) -> str:
    return section.get(key, [""])[-1] if section.get(key) else ""


def unit_words(line: str) -> list[str]:
    """As systemd splits them, or nearly so."""
    try:
        return [word.replace("$$", "$") for word in shlex.split(line)]
    except ValueError:
        return line.split()


def _span(text: str) -> int:
    """`1h 30min` -> 5400; 0 for what is no time, or none at all (infinity)."""
    total = 0.0
    for number, name in re.findall(r"([\d.]+)\s*([a-z]*)", text):
        length = next((each for words, each in _SPANS.items() if (name or "s") in words.split()), 0)
        try:
            total += float(number) * length
        except ValueError:
            return 0
    return round(total)


def unit(text: str) -> dict[str, dict[str, list[str]]]:
    """Section -> key -> its values; an empty one takes back those before it."""
    found: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for raw in re.sub(r"\\\n", " ", text).split("\n"):
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = found.setdefault(line[1:-1], {})
        elif line and line[0] not in "#;" and "=" in line:
            key, _, value = line.partition("=")
            values = section.setdefault(key.strip(), [])
            if value.strip():
                values.append(value.strip())
            else:
                values.clear()
    return found
