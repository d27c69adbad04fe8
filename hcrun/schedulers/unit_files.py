"""Reads systemd unit files together with their drop-ins (systemd.unit(5))."""

import os
import re
from collections.abc import Iterable

from hcrun import files
from hcrun.formats import systemd_unit
from hcrun.formats.systemd_unit import Section, Unit


class UnitFiles:
    """The unit files in some directories, of which the first takes precedence."""

    def __init__(self, directories: Iterable[str]) -> None:
        self.directories = tuple(directories)
        self.paths: dict[str, str] = {}  # the file in force, by name
        self.unreadable: dict[str, None] = {}  # paths, in the order in which they were met
        for directory in self.directories:
            for name in list_directory(directory):
                self.paths.setdefault(name, os.path.join(directory, name))

    def read(self, name: str) -> Unit | None:
        """Returns the unit, for an instance that of its template; None if there is no file."""
        template = re.sub(r"@[^@]*\.", "@.", name)
        path = self.paths.get(name) or self.paths.get(template)
        if not path:
            return None
        drop_ins: dict[str, str] = {}  # a file of an instance replaces one of the same name
        for directory in [f"{unit}.d" for unit in (name, template)]:
            for above in self.directories:
                place = os.path.join(above, directory)
                for file in list_directory(place):
                    if file.endswith(".conf"):
                        drop_ins.setdefault(file, os.path.join(place, file))
        texts = map(self._text, [path, *(drop_ins[file] for file in sorted(drop_ins))])
        known = _specifiers(name)
        text = re.sub("%(.)", lambda found: known.get(found[1], found[0]), "\n".join(texts))
        return systemd_unit.parse(text)

    def section(self, name: str, section: str) -> Section:
        """Returns a section of a unit, {} if there is none."""
        return (self.read(name) or {}).get(section, {})

    def _text(self, path: str) -> str:
        try:
            return files.read_regular(path) or ""
        except OSError:
            self.unreadable[path] = None
            return ""


def _specifiers(name: str) -> dict[str, str]:
    """Returns those that the name of a unit gives (systemd.unit(5)); `a@b-c.timer` is a@b/c."""
    full, _, _ = name.rpartition(".")
    prefix, _, instance = full.partition("@")
    path = re.sub(r"\\x(..)", lambda code: chr(int(code[1], 16)), instance.replace("-", "/"))
    last = prefix.rpartition("-")[2]
    known = {"n": name, "N": full, "p": prefix, "j": last, "i": instance, "I": path}
    return {letter: value.replace("\\", "\\\\") for letter, value in known.items()}


def list_directory(path: str) -> list[str]:
    """Returns the names in a directory, none if it cannot be read."""
    try:
        return os.listdir(path)
    except OSError:
        return []
