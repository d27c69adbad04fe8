"""Running processes, as far as this user may look into them: each as `pid 123 (sleep)`."""

import os
from _collections_abc import Callable

from hcrun.text import printable


def has_open_file(pid: int, path: str) -> bool:
    """Whether the process has the file open."""
    directory = f"/proc/{pid}/fd"
    try:
        links = [_link(f"{directory}/{fd}") for fd in os.listdir(directory)]
    except OSError:  # it has ended, or belongs to another user
        return False
    return os.path.realpath(path) in links


def with_open_file(path: str) -> list[str]:
    """The processes that have the file open."""
    return _processes(lambda pid: has_open_file(pid, path))


def with_variable(name: str, value: str) -> list[str]:
    """The processes whose environment had this variable when they started."""
    entry = os.fsencode(f"{name}={value}")

    def has_it(pid: int) -> bool:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return entry in file.read().split(b"\0")

    return _processes(has_it)


def _processes(wanted: Callable[[int], bool]) -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and wanted(int(name)):
                with open(f"/proc/{name}/comm", encoding="utf-8", errors="replace") as file:
                    found.append(f"pid {name} ({printable(file.read().rstrip())})")
        except OSError:  # it has just ended, or belongs to another user
            continue
    return found


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:  # it was closed just now
        return ""
