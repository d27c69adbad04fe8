"""What this host runs by itself: the lines of its crontabs, and its timers."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from hcrun.crontab import Entry, entries, problems
from hcrun.errors import UsageError
from hcrun.existing import unit
from hcrun.job import Job
from hcrun.options import parse
from hcrun.shell import parts

CRON_PATH = "/usr/bin:/bin"  # what Debian's cron sets
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_UNITS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
_LARGEST = 1_000_000  # bytes of a file


@dataclass(frozen=True)
class Line:
    """One crontab line or timer."""

    where: str  # `/etc/cron.d/app line 3`, `app.timer`
    command: str
    job: Job | None = None  # what hcrun makes of it; None: it runs something else
    wrong: str = ""  # why hcrun would not run it
    schedule: str = ""  # of a crontab line
    missing: str = ""  # the program that is not there
    timer: bool = False


@dataclass
class Host:
    """What was found, and what could not be looked at."""

    lines: list[Line] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)  # crontab -> why cron ignores it
    dead: dict[str, str] = field(default_factory=dict)  # timer that nothing starts -> to enable
    unread: list[str] = field(default_factory=list)
    zone: str = ""  # of cron; "" when it cannot be known


def look(root: str = "/") -> Host:
    """Read crontabs, units and the zone below `root`."""
    host = Host(zone=_zone(root))
    for path in _crontabs(root, host):
        _read_crontab(path, root, host)
    _read_timers(root, host)
    return host


# Crontabs


def _crontabs(root: str, host: Host) -> Iterator[str]:
    yield os.path.join(root, "etc/crontab")
    for directory in ("etc/cron.d", "var/spool/cron/crontabs"):
        path = os.path.join(root, directory)
        try:
            names = sorted(os.listdir(path))
        except FileNotFoundError:
            continue
        except OSError:
            host.unread.append(_shown(path, root))
            continue
        yield from (os.path.join(path, name) for name in names if not name.startswith("."))


def _read_crontab(path: str, root: str, host: Host) -> None:
    system = "/spool/" not in path
    shown = _shown(path, root)
    text = _text(path, shown, host)
    if text is None:
        return
    why = _ignored(path, system) or "; ".join(problems(text, system=system)[:1])
    if why:
        host.ignored[shown] = why
    for entry in entries(text, system=system):
        where = f"{shown} line {entry.line}"
        host.lines += _of_entry(entry, where, root)


def _ignored(path: str, system: bool) -> str:
    """Why cron does not even read it (Debian's cron 3.0)."""
    if not system:
        return ""
    status = os.stat(path)
    if "/cron.d/" in path and not _NAME.fullmatch(os.path.basename(path)):
        return "its name has other characters than letters, digits, - and _"
    if status.st_uid != 0:
        return "it does not belong to root"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others than root can write it"
    return ""


def _of_entry(entry: Entry, where: str, root: str) -> Iterator[Line]:
    """One for each hcrun in the command, or one for the command."""
    found = list(hcruns(entry.command))
    for words in found:
        job, wrong = _job(words[1:])
        path = entry.environ.get("PATH", CRON_PATH)
        missing = "" if _exists(words[0], path, root) else words[0]
        yield Line(where, entry.command, job, wrong, entry.schedule, missing)
    if not found:
        yield Line(where, entry.command, schedule=entry.schedule)


def hcruns(command: str) -> Iterator[list[str]]:
    """The words of each `hcrun ...` in a shell command."""
    for _, part in parts(command):
        try:
            words = shlex.split(part)
        except ValueError:  # a quote that is not closed: the shell refuses it too
            continue
        at = next((i for i, word in enumerate(words) if os.path.basename(word) == "hcrun"), -1)
        if 0 <= at < len(words) - 1:  # not the word alone, as in `pgrep hcrun`
            yield words[at:]


def _job(words: list[str]) -> tuple[Job | None, str]:
    try:
        job = parse(words)
    except UsageError as error:
        return None, str(error)
    return (None, "") if job.show else (job, "")


def _exists(program: str, path: str, root: str) -> bool:
    places = [program] if "/" in program else [os.path.join(p, program) for p in path.split(":")]
    return any(os.access(os.path.join(root, p.lstrip("/")), os.X_OK) for p in places)


# Timers


def _read_timers(root: str, host: Host) -> None:
    units = _units(root)
    wanted = _wanted(root, units)
    for name in sorted(units):
        stem, timer, _ = name.partition(".timer")
        if not timer or stem.endswith("@"):
            continue
        argv = _argv(name, units, root, host)
        if argv and os.path.basename(argv[0]) == "hcrun":
            job, wrong = _job(argv[1:])
            missing = "" if _exists(argv[0], "", root) else argv[0]
            line = Line(name, shlex.join(argv), job, wrong, missing=missing, timer=True)
            host.lines.append(line)
            if name not in wanted:
                host.dead[name] = next((t for t in units if name in _wants(t, units)), name)
        elif argv and name in wanted and units[name].startswith(os.path.join(root, _UNITS[0])):
            host.lines.append(Line(name, shlex.join(argv), timer=True))


def _units(root: str) -> dict[str, str]:
    """Path by name; what an administrator made comes before what a package has."""
    found: dict[str, str] = {}
    for directory in _UNITS:
        path = os.path.join(root, directory)
        for name in _names(path):
            found.setdefault(name, os.path.join(path, name))
    return found


def _wanted(root: str, units: dict[str, str]) -> set[str]:
    """What is started with the system: links in .wants directories, and what those want."""
    wanted: set[str] = set()
    for directory in _UNITS:
        for name in units:
            if name.endswith((".wants", ".requires")):
                wanted.update(_names(os.path.join(root, directory, name)))
    return wanted.union(*(_wants(name, units) for name in wanted))


def _wants(target: str, units: dict[str, str]) -> set[str]:
    """What a target says that it wants."""
    if not target.endswith(".target") or target not in units:
        return set()
    section = unit(_unit_text(units[target])).get("Unit", {})
    return {one for line in section.get("Wants", []) for one in line.split()}


def _argv(timer: str, units: dict[str, str], root: str, host: Host) -> list[str]:
    """What the service of a timer runs, with its drop-ins; [] when it cannot be told."""
    named = unit(_unit_text(units[timer])).get("Timer", {}).get("Unit", [])
    name = named[-1] if named else timer.removesuffix("timer") + "service"
    instance = name.partition("@")[2].removesuffix(".service")
    template = re.sub(r"@.*\.", "@.", name)
    paths = [units[one] for one in (name, template) if one in units][:1]
    for directory in dict.fromkeys((f"{template}.d", f"{name}.d")):
        for above in reversed(_UNITS):
            path = os.path.join(root, above, directory)
            paths += [os.path.join(path, one) for one in sorted(_names(path))]
    host.unread += [_shown(path, root) for path in paths if not os.access(path, os.R_OK)]
    text = "\n".join(map(_unit_text, paths)).replace("%i", instance).replace("%I", instance)
    line = unit(text).get("Service", {}).get("ExecStart", [""])[-1].lstrip("-@:+!")
    try:
        return [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(line)]
    except ValueError:
        return line.split()


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _unit_text(path: str) -> str:
    try:
        return _read(path) or ""
    except OSError:
        return ""


def _read(path: str) -> str | None:
    """A file's text; None for what is none: a pipe would keep us waiting, /dev/zero busy."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        return None
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read(_LARGEST)


# Time


def _zone(root: str) -> str:
    """The zone of cron: TZ in its defaults, else that of the host."""
    for line in _unit_text(os.path.join(root, "etc/default/cron")).split("\n"):
        name, _, value = line.removeprefix("export ").partition("=")
        if name.strip() == "TZ":
            return value.strip().strip("\"'").removeprefix(":")
    try:
        link = os.readlink(os.path.join(root, "etc/localtime"))
        return link.partition("/zoneinfo/")[2]
    except OSError:
        pass
    return _unit_text(os.path.join(root, "etc/timezone")).strip()


def _shown(path: str, root: str) -> str:
    return "/" + os.path.relpath(path, root)


def _text(path: str, shown: str, host: Host) -> str | None:
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except OSError:
        host.unread.append(shown)
        return None
