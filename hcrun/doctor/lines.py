"""What this host runs by itself: the lines of its crontabs, and its timers."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hcrun.crontab import Entry, entries, problems
from hcrun.errors import UsageError
from hcrun.job import Job
from hcrun.options import parse

CRON_PATH = "/usr/bin:/bin"  # what Debian's cron sets
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_UNITS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
_OPERATORS = set("();<>|&\n")
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
    dead: list[str] = field(default_factory=list)  # timers that nothing starts
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
    lexer = shlex.shlex(command, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:  # a quote that is not closed: the shell refuses it too
        return
    for number, word in enumerate(words):
        if os.path.basename(word) == "hcrun":
            rest = words[number:]
            end = next((i for i, w in enumerate(rest) if w and set(w) <= _OPERATORS), len(rest))
            if end > 1:  # not the word alone, as in `pgrep hcrun`
                yield rest[:end]


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
        stem, dot, _ = name.partition(".timer")
        if not dot or stem.endswith("@"):
            continue
        service = _service(name, units, host, root)
        argv = _exec_start(service, stem.partition("@")[2])
        ours = bool(argv) and os.path.basename(argv[0]) == "hcrun"
        if ours:
            job, wrong = _job(argv[1:])
            missing = "" if _exists(argv[0], "", root) else argv[0]
            line = Line(name, shlex.join(argv), job, wrong, missing=missing, timer=True)
            host.lines.append(line)
            if name not in wanted:
                host.dead.append(name)
        elif argv and name in wanted and units[name].startswith(os.path.join(root, _UNITS[0])):
            host.lines.append(Line(name, shlex.join(argv), timer=True))


def _units(root: str) -> dict[str, str]:
    """Path by name; what an administrator made comes before what a package has."""
    found: dict[str, str] = {}
    for directory in _UNITS:
        path = os.path.join(root, directory)
        try:
            names = os.listdir(path)
        except OSError:
            continue
        for name in names:
            found.setdefault(name, os.path.join(path, name))
    return found


def _wanted(root: str, units: dict[str, str]) -> set[str]:
    """What is started with the system: links in .wants directories, and what those want."""
    wanted: set[str] = set()
    for directory in _UNITS:
        for unit in (name for name in units if name.endswith((".wants", ".requires"))):
            try:
                wanted.update(os.listdir(os.path.join(root, directory, unit)))
            except OSError:
                continue
    for target in [name for name in wanted if name.endswith(".target") and name in units]:
        for line in _unit_lines([units[target]]):
            name, _, value = line.partition("=")
            if name.strip() in ("Wants", "Requires"):
                wanted.update(value.split())
    return wanted


def _service(timer: str, units: dict[str, str], host: Host, root: str) -> list[str]:
    """The lines of the service that a timer starts, with its drop-ins."""
    named = [line for line in _unit_lines([units[timer]]) if line.startswith("Unit=")]
    name = named[-1].partition("=")[2] if named else timer.replace(".timer", ".service")
    template = re.sub(r"@.*\.", "@.", name)
    paths = [units[n] for n in (name, template) if n in units][:1]
    for directory in dict.fromkeys((f"{template}.d", f"{name}.d")):
        for base in reversed(_UNITS):
            path = os.path.join(root, base, directory)
            if os.path.isdir(path):
                paths += sorted(os.path.join(path, n) for n in os.listdir(path))
    host.unread += [_shown(p, root) for p in paths if not os.access(p, os.R_OK)]
    return _unit_lines(paths)


def _unit_lines(paths: Iterable[str]) -> list[str]:
    lines: list[str] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read(_LARGEST)
        except OSError:
            continue
        lines += [line.strip() for line in text.replace("\\\n", " ").split("\n")]
    return lines


def _exec_start(lines: Iterable[str], instance: str) -> list[str]:
    """Its words; an empty ExecStart= takes back those before it."""
    words: list[str] = []
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and name.strip() == "ExecStart":
            text = value.strip().lstrip("-@:+!")
            for escape, meant in (("%i", instance), ("%I", instance), ("%%", "%"), ("$$", "$")):
                text = text.replace(escape, meant)
            try:
                words = shlex.split(text)
            except ValueError:
                words = text.split()
    return words


# Time


def _zone(root: str) -> str:
    """The zone of cron: TZ in its defaults, else that of the host."""
    for line in _unit_lines([os.path.join(root, "etc/default/cron")]):
        name, _, value = line.removeprefix("export ").partition("=")
        if name.strip() == "TZ":
            return value.strip().strip("\"'").removeprefix(":")
    try:
        link = os.readlink(os.path.join(root, "etc/localtime"))
        return link.partition("/zoneinfo/")[2]
    except OSError:
        pass
    names = _unit_lines([os.path.join(root, "etc/timezone")])
    return names[0] if names else ""


def _shown(path: str, root: str) -> str:
    return "/" + os.path.relpath(path, root)


def _text(path: str, shown: str, host: Host) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_LARGEST)
    except FileNotFoundError:
        return None
    except OSError:
        host.unread.append(shown)
        return None
