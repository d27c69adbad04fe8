"""What this host runs by itself: the lines of its crontabs. Timers: see installed_timers."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hcrun import files
from hcrun.catalog.timezones import cron_zone
from hcrun.errors import UsageError
from hcrun.formats.crontab import Entry, entries, problems
from hcrun.formats.shell import parts
from hcrun.run.job import Job
from hcrun.run.options import parse
from hcrun.schedulers import users

CRON_PATH = "/usr/bin:/bin"  # what Debian's cron sets
_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Line:
    """One crontab line or timer."""

    where: str  # `/etc/cron.d/app line 3`, `app.timer`
    job: Job | None = None  # what hcrun makes of it; None: it runs something else
    wrong: str = ""  # why hcrun would not run it
    missing: str = ""  # the program that is not there
    timer: bool = False
    user: str = ""  # who runs it
    environ: Mapping[str, str] = field(default_factory=dict)  # what a crontab or a unit sets


@dataclass
class Crontabs:
    """What was found, and what could not be looked at."""

    lines: list[Line] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)  # path -> why cron ignores it
    unread: list[str] = field(default_factory=list)
    zone: str = ""  # of cron; "" when it cannot be known


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
    why = _ignored(path, system) or "; ".join(problems(text, system=system)[:1])
    if why:
        found.ignored[name] = why
    for entry in entries(text, system=system):
        user = entry.user or os.path.basename(path)
        if system and not why and users.unknown(user, root):
            why = found.ignored[name] = f"line {entry.line}: there is no user {user}"
        found.lines += _of_entry(entry, user, f"{name} line {entry.line}", root)


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


def _of_entry(entry: Entry, user: str, where: str, root: str) -> Iterator[Line]:
    """One for each hcrun in the command, or one for the command."""
    found = list(hcruns(entry.command))
    for words in found:
        job, wrong = job_of(words[1:])
        path = entry.environ.get("PATH", CRON_PATH)
        missing = "" if exists(words[0], path, root) else words[0]
        yield Line(where, job, wrong, missing, user=user, environ=entry.environ)
    if not found:
        yield Line(where)


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


def job_of(words: list[str]) -> tuple[Job | None, str]:
    try:
        job = parse(words)
    except UsageError as error:
        return None, str(error)
    return (None, "") if job.show else (job, "")


def exists(program: str, path: str, root: str) -> bool:
    places = [program] if "/" in program else [os.path.join(p, program) for p in path.split(":")]
    return any(os.access(os.path.join(root, p.lstrip("/")), os.X_OK) for p in places)


def absolute(path: str, root: str) -> str:
    """Returns the path as it is called below `root`."""
    return "/" + os.path.relpath(path, root)
