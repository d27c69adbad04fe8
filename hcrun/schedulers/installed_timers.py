"""The timers of this host that run hcrun, and others that an administrator created."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from hcrun.formats.systemd_unit import Section, assignments, last, split_words
from hcrun.schedulers.installed import Line, absolute, line_of
from hcrun.schedulers.unit_files import UnitFiles, list_directory

_DIRECTORIES = tuple(f"{above}/systemd/system" for above in ("etc", "run", "usr/lib", "lib"))


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
    units = UnitFiles(os.path.join(root, directory) for directory in _DIRECTORIES)
    by_administrator = os.path.join(root, _DIRECTORIES[0])
    enabled = _enabled(units)
    for name in sorted(units.paths):
        stem, timer, _ = name.partition(".timer")
        if not timer or stem.endswith("@"):
            continue
        service = _service(name, units)
        start = last(service, "ExecStart").lstrip("-@:+!")
        argv = [word.replace("%%", "%") for word in split_words(start)]
        if argv and os.path.basename(argv[0]) == "hcrun":
            user = last(service, "User") or "root"
            line = Line(name, timer=True, user=user, environ=_environ(service))
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
    unit = (units.read(target) if target.endswith(".target") else None) or {}
    lines = unit.get("Unit", {}).get("Wants", [])
    return {name for line in lines for name in line.split()}


def _service(timer: str, units: UnitFiles) -> Section:
    """Returns the [Service] that a timer starts, {} if there is none."""
    own = timer.removesuffix("timer") + "service"
    name = last((units.read(timer) or {}).get("Timer", {}), "Unit") or own
    return (units.read(name) or {}).get("Service", {})


def _environ(service: Section) -> Mapping[str, str]:
    environ = assignments(service)
    for directory in last(service, "StateDirectory").split()[:1]:
        environ.setdefault("STATE_DIRECTORY", f"%S/{directory.partition(':')[0]}")
    return {name: value.replace("%S", "/var/lib") for name, value in environ.items()}
