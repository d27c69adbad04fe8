"""Timers of systemd that run hcrun, and those that an administrator made for something else."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from hcrun.schedulers.import_sources import last, unit, unit_words
from hcrun.schedulers.installed import Line, exists, job_of, shown, text_of

_UNITS = tuple(f"{above}/systemd/system" for above in ("etc", "run", "usr/lib", "lib"))


@dataclass
class Timers:
    """What was found, and what could not be looked at."""

    lines: list[Line] = field(default_factory=list)
    dead: dict[str, str] = field(default_factory=dict)  # timer that nothing starts -> to enable
    unread: list[str] = field(default_factory=list)


def look(root: str = "/") -> Timers:
    """Read all units below `root`."""
    found = Timers()
    units = _units(root)
    wanted = _wanted(root, units)
    for name in sorted(units):
        stem, timer, _ = name.partition(".timer")
        if not timer or stem.endswith("@"):
            continue
        service = _service(name, units, root, found)
        line = last(service, "ExecStart").lstrip("-@:+!")
        argv = [word.replace("%%", "%") for word in unit_words(line)]
        if argv and os.path.basename(argv[0]) == "hcrun":
            job, wrong = job_of(argv[1:])
            missing = "" if exists(argv[0], "", root) else argv[0]
            who = last(service, "User") or "root"
            found.lines.append(
                Line(name, job, wrong, missing, timer=True, user=who, environ=_environ(service))
            )
            if name not in wanted:
                found.dead[name] = next((t for t in units if name in _wants(t, units)), name)
        elif argv and name in wanted and units[name].startswith(os.path.join(root, _UNITS[0])):
            found.lines.append(Line(name, timer=True))
    return found


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
    section = unit(text_of(units[target])).get("Unit", {})
    return {one for line in section.get("Wants", []) for one in line.split()}


def _service(timer: str, units: dict[str, str], root: str, found: Timers) -> dict[str, list[str]]:
    """The [Service] that a timer starts, with its drop-ins; {} when it cannot be told."""
    named = unit(text_of(units[timer])).get("Timer", {}).get("Unit", [])
    name = named[-1] if named else timer.removesuffix("timer") + "service"
    instance = name.partition("@")[2].removesuffix(".service")
    template = re.sub(r"@.*\.", "@.", name)
    paths = [units[one] for one in (name, template) if one in units][:1]
    for directory in dict.fromkeys((f"{template}.d", f"{name}.d")):
        for above in reversed(_UNITS):
            path = os.path.join(root, above, directory)
            paths += [os.path.join(path, one) for one in sorted(_names(path))]
    found.unread += [shown(path, root) for path in paths if not os.access(path, os.R_OK)]
    text = "\n".join(map(text_of, paths)).replace("%i", instance).replace("%I", instance)
    return unit(text).get("Service", {})


def _environ(service: dict[str, list[str]]) -> dict[str, str]:
    settings = [word for line in service.get("Environment", []) for word in unit_words(line)]
    for made in last(service, "StateDirectory").split()[:1]:
        settings.insert(0, f"STATE_DIRECTORY=%S/{made.partition(':')[0]}")
    pairs = (word.replace("%S", "/var/lib").partition("=") for word in settings)
    return {name: value for name, _, value in pairs}


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
