"""The state that a probe keeps until its next run, such as the counters of a service.

There is one JSON file for each probe and target. A file that cannot be used is reported and is not
a failure: the service may be fine.
"""

import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hcrun.errors import JournalError
from hcrun.paths import directory_of
from hcrun.settings import Settings

LONGEST = 180  # characters of a target in a file's name, which has 255 at most


@dataclass(frozen=True)
class Since:
    """The growth of each counter since the last run, None if the last run is unknown."""

    growth: Mapping[str, float | None]
    problem: str = ""  # why the counters could not be stored


def directory(settings: Settings) -> str:
    """Where the files are, beside the journal. Raises JournalError if there is no place."""
    return os.path.join(directory_of(settings), "probes")


def since_last_run(
    settings: Settings, probe: str, target: str, life: str, counters: Mapping[str, float]
) -> Since:
    """Compare counters with those of the last run, and store them for the next.

    `life` identifies the process of the server, such as its run id or start time. Counters of
    another process, and counters that fell, started again at 0.
    """
    try:
        path = path_of(settings, probe, target)
    except JournalError as error:
        return Since(dict.fromkeys(counters), str(error))
    try:
        before = _counters(load(path))
        save(path, {"life": life, "counters": dict(counters)})
    except OSError as error:
        return Since(dict.fromkeys(counters), f"{path}: {error.strerror}")
    growth: dict[str, float | None] = dict.fromkeys(counters)
    if before is not None:
        old_life, old = before
        for name, value in counters.items():
            if old_life != life or value < old.get(name, 0):
                growth[name] = value
            elif name in old:
                growth[name] = value - old[name]
    return Since(growth)


def exchange(
    settings: Settings,
    probe: str,
    target: str,
    update: Callable[[Mapping[str, float]], Mapping[str, float]],
) -> str:
    """Call `update` with the numbers of the last run, {} for none, and store its result.

    Returns the reason why the state could not be read or stored, or "".
    """
    path = path_of(settings, probe, target)
    before: Mapping[str, float] = {}
    problem = ""
    try:
        before = (_counters(load(path)) or ("", before))[1]
    except OSError as error:
        problem = f"{path}: {error.strerror}"
    after = update(before)
    try:
        save(path, {"life": "", "counters": dict(after)})
    except OSError as error:
        problem = f"{path}: {error.strerror}"
    return problem


def path_of(settings: Settings, probe: str, target: str) -> str:
    """The file of one probe and target."""
    name = quote(target, safe="")
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]}-{zlib.crc32(target.encode()):08x}"
    return os.path.join(directory(settings), f"{probe}-{name}.json")


def load(path: str) -> Any:
    """The saved state; None if there is none or if it is not JSON. Raises OSError."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None


def _counters(state: Any) -> tuple[str, dict[str, float]] | None:
    """The process and the counters of the last run; None if the state is missing or invalid."""
    try:
        counters = {str(name): float(value) for name, value in state["counters"].items()}
        return str(state["life"]), counters
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def save(path: str, state: Mapping[str, object]) -> None:
    """Replace the file as a whole; only this user may read it. Raises OSError."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    draft = f"{path}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.replace(draft, path)
    except OSError:
        os.unlink(draft)
        raise
