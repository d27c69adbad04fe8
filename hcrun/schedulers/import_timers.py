"""Reads the job of a systemd timer.

What becomes of it runs without the unit, so whatever the unit had besides is noted.
"""

import re
import shlex
from collections.abc import Callable, Iterator

from hcrun import units
from hcrun.catalog import schedule
from hcrun.catalog.schedule import Calendar, Every, Schedule, period
from hcrun.formats.systemd_unit import (
    Command,
    Section,
    Unit,
    assignments,
    commands,
    last,
    split_words,
)
from hcrun.schedulers.import_jobs import ScheduledJob, public
from hcrun.schedulers.import_names import KEPT

_DAY = 86400
_TRUE = ("yes", "true", "on", "1")
_OFF = ("", "no", "false", "off", "0", "journal", "inherit")
# Specifiers of the system's manager (systemd.unit(5)). Those of a unit's name are replaced before.
_SPECIFIERS = {"%": "%", "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log"}
_SPECIFIERS |= {"E": "/etc", "T": "/tmp", "V": "/var/tmp"}  # noqa: S108 - only their names
_WHOLE = re.compile(r"\$(\w+)")
_INSIDE = re.compile(r"\$\$|\$\{(\w+)\}")
# What systemd.time(7) adds to the first letter of a unit.
_REST_OF_UNIT = re.compile(r"(?<=[smhdw])(?:econds?|ecs?|inutes?|in|ours?|rs?|ays?|eeks?)")


def read_timer(
    name: str, read: Callable[[str], Unit | None], zone: str = "", user: str = "root"
) -> tuple[ScheduledJob | None, list[str]]:
    """Returns the job of a timer, by default of `user`, and notes; `read` returns units by name."""
    try:
        job, notes = _read(name, read, zone, user)
    except ValueError as error:
        return None, [f"{name}: {error}: not imported"]
    return job, [f"{name}: {note}" for note in dict.fromkeys(notes)]


def _read(
    name: str, read: Callable[[str], Unit | None], zone: str, user: str
) -> tuple[ScheduledJob, list[str]]:
    if name.endswith("@.timer"):
        instance = name.replace("@.", "@NAME.")
        raise ValueError(f"a template: import an instance, as {instance}")
    timer = read(name) or {}
    notes: list[str] = []
    when = _schedule(timer.get("Timer", {}))
    service_name = last(timer.get("Timer", {}), "Unit") or name.removesuffix("timer") + "service"
    unit = read(service_name)
    if unit is None:
        raise ValueError(f"there is no {service_name} in the same directory")
    service = {
        key: [_with_specifiers(value, key, notes) for value in values]
        for key, values in unit.get("Service", {}).items()
    }
    environ = public(assignments(service), notes)
    kind = last(service, "Type") or "simple"
    if kind not in ("simple", "exec", "oneshot", "idle"):
        notes.append(f"Type={kind}: hcrun waits until the command itself has ended")
    keys = ["TimeoutStartSec", "TimeoutSec"] if kind == "oneshot" else ["RuntimeMaxSec"]
    limit = next(filter(None, (last(service, key) for key in keys)), "")
    if limit not in ("", "0", "infinity") and not _seconds(limit):
        notes.append(f"its time limit of {limit} is not kept")
    own_zone = isinstance(when, Calendar) and re.search(r" [A-Z][\w/+-]+$", when.expression)
    command = _command(service, environ, kind, notes)
    good = last(service, "SuccessExitStatus").split()
    if not all(map(str.isdigit, good)):
        notes.append(
            f"SuccessExitStatus={' '.join(good)} is not kept: write --on-exit with numbers"
        )
        good = []
    notes += _not_kept(timer, unit, when)
    if _is_set(service, "DynamicUser") and user == "root":
        user = ""
    return ScheduledJob(
        name,
        when,
        command,
        user=last(service, "User") or user,
        zone="" if own_zone or isinstance(when, Every) else zone,
        environ=environ,
        timeout=_seconds(limit),
        options=("--on-exit", f"{','.join(good)}=success") if good else (),
        name=name.removesuffix(".timer").rstrip("@"),
    ), notes


def _with_specifiers(value: str, key: str, notes: list[str]) -> str:
    def known(specifier: re.Match[str]) -> str:
        if specifier[1] not in _SPECIFIERS and key in KEPT["Service"]:
            notes.append(f"{key}= has the specifier {specifier[0]}: write its value instead")
        return _SPECIFIERS.get(specifier[1], specifier[0])

    return re.sub("%([%A-Za-z])", known, value)


def _command(service: Section, environ: dict[str, str], kind: str, notes: list[str]) -> str:
    """Returns all commands as one line for a shell. Raises ValueError."""
    found = [command for line in service.get("ExecStart", []) for command in commands(line)]
    if not found:
        raise ValueError("its service has no ExecStart=")
    if len(found) > 1 and kind != "oneshot":
        raise ValueError("systemd refuses several commands unless Type=oneshot")
    lines = []
    for number, command in enumerate(found, 1):
        line = shlex.join(_words(command, environ, notes))
        if "-" in command.prefixes:
            notes.append(f"`-`: systemd ignored a failure of {command.words[0]}")
            line = f"{{ {line} || true; }}" if number < len(found) else line
        if set(command.prefixes) & set("+!"):
            notes.append(
                f"`{command.prefixes}`: it ran with root's privileges, whatever User= says"
            )
        lines.append(line)
    directory = last(service, "WorkingDirectory").removeprefix("-")
    if directory not in ("", "~"):  # cron starts in the home directory, too
        lines.insert(0, f"cd {shlex.quote(directory)}")
    return " && ".join(lines)


def _words(command: Command, environ: dict[str, str], notes: list[str]) -> Iterator[str]:
    """Yields the words with the values of variables, as systemd replaces them."""
    program, *words = command.words
    if "@" in command.prefixes and words:
        notes.append(f"`@`: the program was called {words.pop(0)}")
    yield program.replace("$$", "$")

    def value(variable: re.Match[str]) -> str:
        if variable[0] == "$$":
            return "$"
        if variable[1] not in environ:
            notes.append(f"systemd replaces {variable[0]}: write its value instead")
        return environ.get(variable[1], variable[0])

    for word in words:
        whole = _WHOLE.fullmatch(word)
        if ":" in command.prefixes:
            yield word
        elif whole and whole[1] in environ:
            yield from split_words(environ[whole[1]])
        elif whole:
            yield value(whole)
        else:
            yield _INSIDE.sub(value, word)


def _not_kept(timer: Unit, unit: Unit, when: Schedule) -> Iterator[str]:
    """Yields one note with everything that has no counterpart in the catalogue."""
    lost: list[str] = []
    if _is_set(timer.get("Timer", {}), "Persistent") and period(when) < _DAY:
        lost.append("Persistent=")
    for section in [*timer, *unit]:
        for key, values in [*timer.get(section, {}).items(), *unit.get(section, {}).items()]:
            if values and key not in KEPT.get(section, ()) and values[-1] not in _OFF:
                lost.append(f"{key}={values[-1] if section in ('Timer', 'Unit') else ''}")
    if len(timer.get("Timer", {}).get("OnCalendar", [])) > 1:
        lost.append("all OnCalendar= but the first")
    if lost:
        yield f"not kept: {', '.join(dict.fromkeys(lost))}"


def _is_set(section: Section, key: str) -> bool:
    return last(section, key).lower() in _TRUE


def _schedule(timer: Section) -> Schedule:
    """Raises ValueError."""
    calendars = timer.get("OnCalendar", [])
    if calendars:
        return schedule.calendar(calendars[0])
    every = _seconds(last(timer, "OnUnitActiveSec") or last(timer, "OnUnitInactiveSec"))
    if not every:
        raise ValueError("there is neither OnCalendar= nor OnUnitActiveSec=")
    return Every(every)


def _seconds(text: str) -> int:
    """Returns the seconds of a time span (`1h 30min`), 0 for infinity and for anything else."""
    if re.search("[My]", text):  # months and years
        return 0
    plain = _REST_OF_UNIT.sub("", "".join(text.split()))
    try:
        return round(units.seconds(f"{plain}s" if plain[-1:].isdigit() else plain))
    except ValueError:
        return 0
