"""The crontab lines and timers of this host."""

import os
import re
import shlex
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from hcrun import files
from hcrun.catalog.schedule import Calendar, Cron, Every, Schedule
from hcrun.catalog.timezones import cron_zone
from hcrun.errors import UsageError
from hcrun.formats.crontab import NICKNAMES, entries, problems
from hcrun.formats.shell import parts
from hcrun.formats.systemd_unit import Section, assignments, commands, last
from hcrun.run.job import Job
from hcrun.run.options import parse
from hcrun.schedulers import users
from hcrun.schedulers.unit_files import UnitFiles, list_directory
from hcrun.units import seconds

CRON_PATH = "/usr/bin:/bin"  # what Debian's cron sets
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_ASSIGNMENT = re.compile(r"(\w+)=['\"]?([^\s'\"]*)", re.ASCII)
# What may stand before hcrun, so that its environment is still known.
_BEFORE = re.compile(
    r"\s*(?:sleep (?P<asleep>\d+(?:\.\d+)?)\s*(?:;|&&)\s*)?(?:cd [^;&]+(?:;|&&)\s*)?"
    r"(?P<own>(?:\w+=\S* )*)\S*hcrun ",
    re.ASCII,
)
_ELSEWHERE = {"EnvironmentFile", "PassEnvironment", "LoadCredentialEncrypted", "DynamicUser"}
_CREDENTIALS = tuple(f"/{above}/credstore" for above in ("etc", "run", "usr/lib"))
UNIT_DIRECTORIES = tuple(f"{above}/systemd/system" for above in ("etc", "run", "usr/lib", "lib"))


@dataclass(frozen=True)
class Line:
    """One crontab line or timer."""

    where: str  # `/etc/cron.d/app line 3`, `app.timer`
    job: Job | None = None  # None: it runs something else
    wrong: str = ""  # why hcrun refuses to run it
    missing: str = ""  # the program that does not exist
    timer: bool = False
    user: str = ""  # who runs it
    environ: Mapping[str, str] = field(default_factory=dict)  # what a crontab or a unit sets
    times: tuple[Schedule, ...] = ()  # when it starts; none: that is not known
    delay: float = 0.0  # seconds that it sleeps first
    knowable: bool = True  # False: its environment also comes from elsewhere
    credentials: bool = False  # its settings are in files that systemd reads as root

    @property
    def source(self) -> str:
        """The crontab or the timer."""
        return self.where.partition(" line ")[0]


@dataclass
class Crontabs:
    """The lines that were found, and the files that could not be read."""

    lines: list[Line] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)  # path -> why cron ignores it
    unread: list[str] = field(default_factory=list)
    zone: str = ""  # of cron; "" if it is not known


def read_crontabs(root: str = "/") -> Crontabs:
    """Reads all crontabs below `root`."""
    found = Crontabs(zone=cron_zone(root))
    for path in _paths(root, found):
        _read(path, root, found)
    return found


def _paths(root: str, found: Crontabs) -> Iterator[str]:
    yield os.path.join(root, "etc/crontab")
    for directory in ("etc/cron.d", "var/spool/cron/crontabs"):
        path = os.path.join(root, directory)
        try:
            names = sorted(os.listdir(path))
        except FileNotFoundError:
            continue
        except OSError:
            found.unread.append(absolute(path, root))
            continue
        yield from (os.path.join(path, name) for name in names if not name.startswith("."))


def _read(path: str, root: str, found: Crontabs) -> None:
    system = "/spool/" not in path
    name = absolute(path, root)
    try:
        text = files.read_regular(path)
    except FileNotFoundError:
        return
    except OSError:
        found.unread.append(name)
        return
    if text is None:
        return
    why = (why_ignored(path) if system else "") or "; ".join(problems(text, system=system)[:1])
    if why:
        found.ignored[name] = why
    for entry in entries(text, system=system):
        user = entry.user or os.path.basename(path)
        if system and not why and users.unknown(user, root):
            why = found.ignored[name] = f"line {entry.line}: there is no user {user}"
        when = NICKNAMES.get(entry.schedule, entry.schedule)
        before = _BEFORE.match(entry.command)
        line = Line(
            f"{name} line {entry.line}",
            user=user,
            environ=entry.environ | dict(_ASSIGNMENT.findall(before["own"] if before else "")),
            times=(Cron(when),) if when else (),
            delay=float((before and before["asleep"]) or 0),
            knowable=bool(before),
        )
        ours = [line_of(line, words, root) for words in hcruns(entry.command)]
        found.lines += ours or [Line(line.where)]


def why_ignored(path: str) -> str:
    """Returns why cron does not read this system crontab (Debian's cron 3.0), "" if it does."""
    status = os.stat(path)
    if "/cron.d/" in path and not _NAME.fullmatch(os.path.basename(path)):
        return "its name has characters other than letters, digits, - and _"
    if status.st_uid != 0:
        return "it does not belong to root"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "users other than root can write it"
    return ""


def line_of(line: Line, argv: list[str], root: str) -> Line:
    """Returns the line with what hcrun makes of `argv`."""
    path = "" if line.timer else line.environ.get("PATH", CRON_PATH)
    places = [""] if "/" in argv[0] else path.split(":")
    found = (os.path.join(root, place.lstrip("/"), argv[0].lstrip("/")) for place in places)
    missing = "" if any(os.access(program, os.X_OK) for program in found) else argv[0]
    try:
        job = parse(argv[1:])
    except UsageError as error:
        return replace(line, wrong=str(error), missing=missing)
    return replace(line, job=None if job.show else job, missing=missing)


def hcruns(command: str) -> Iterator[list[str]]:
    """Yields the words of each `hcrun ...` in a shell command."""
    for _, part in parts(command):
        try:
            words = shlex.split(part)
        except ValueError:  # an unclosed quote, which the shell refuses, too
            continue
        at = next((i for i, word in enumerate(words) if os.path.basename(word) == "hcrun"), -1)
        if 0 <= at < len(words) - 1:  # not the word alone, as in `pgrep hcrun`
            yield words[at:]


def absolute(path: str, root: str) -> str:
    """Returns the path as it is called below `root`."""
    return "/" + os.path.relpath(path, root)


@dataclass
class Timers:
    """The timers that were found, and the files that could not be read."""

    lines: list[Line] = field(default_factory=list)
    # A timer that nothing starts -> the unit that has to be enabled for it.
    dead: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


def read_timers(root: str = "/") -> Timers:
    """Reads all timers below `root`."""
    timers = Timers()
    units = UnitFiles(os.path.join(root, directory) for directory in UNIT_DIRECTORIES)
    by_administrator = os.path.join(root, UNIT_DIRECTORIES[0])
    enabled = _enabled(units)
    for name in sorted(units.paths):
        stem, timer, _ = name.partition(".timer")
        if not timer or stem.endswith("@"):
            continue
        default = name.removesuffix("timer") + "service"
        started = last(units.section(name, "Timer"), "Unit") or default
        service = units.section(started, "Service")
        starts = commands(last(service, "ExecStart"))
        words = starts[0].words if starts else []
        argv = [word.replace("$$", "$").replace("%%", "%") for word in words]
        if argv and os.path.basename(argv[0]) == "hcrun":
            user = last(service, "User") or "root"
            line = Line(
                name,
                timer=True,
                user=user,
                environ=_environ(service, root),
                times=tuple(_times(units.section(name, "Timer"))),
                credentials="LoadCredential" in service,
                knowable=not _ELSEWHERE & service.keys(),
            )
            timers.lines.append(line_of(line, argv, root))
            if name not in enabled:
                wanting = (unit for unit in units.paths if name in _wants(unit, units))
                timers.dead[name] = next(wanting, name)
        elif argv and name in enabled and units.paths[name].startswith(by_administrator):
            timers.lines.append(Line(name, timer=True))
    timers.unread = [absolute(path, root) for path in units.unreadable]
    return timers


def _enabled(units: UnitFiles) -> set[str]:
    """Returns what is linked in .wants directories, and what those units want."""
    enabled: set[str] = set()
    for directory in units.directories:
        for name in units.paths:
            if name.endswith((".wants", ".requires")):
                enabled.update(list_directory(os.path.join(directory, name)))
    return enabled.union(*(_wants(name, units) for name in enabled))


def _wants(target: str, units: UnitFiles) -> set[str]:
    """Returns the units in the Wants= of a target."""
    lines = units.section(target, "Unit").get("Wants", []) if target.endswith(".target") else []
    return {name for line in lines for name in line.split()}


def _times(timer: Section) -> Iterator[Schedule]:
    yield from map(Calendar, timer.get("OnCalendar", []))
    with suppress(ValueError):  # systemd knows more units than hcrun
        if period := int(seconds(last(timer, "OnUnitActiveSec"))):
            yield Every(period)


def _environ(service: Section, root: str) -> Mapping[str, str]:
    environ = assignments(service)
    for directory in last(service, "StateDirectory").split()[:1]:
        environ.setdefault("STATE_DIRECTORY", f"%S/{directory.partition(':')[0]}")
    for value in service.get("LoadCredential", []):
        name, _, given = value.partition(":")
        for place in [given] if given else [f"{above}/{name}" for above in _CREDENTIALS]:
            path = os.path.join(root, place.lstrip("/"))
            environ = {k: path if v == f"%d/{name}" else v for k, v in environ.items()}
            if os.path.isfile(path):
                environ.setdefault(f"{name.upper()}_FILE", path)
    return {name: value.replace("%S", "/var/lib") for name, value in environ.items()}
