"""The state that a probe keeps until its next run, such as the counters of a service.

There is one JSON file for each probe, target and check, because what one check has seen and not
reported must not be lost for another. A probe that is run by hand has a file of its own.
"""

import json
import os
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hcrun.errors import HcrunError, JournalError
from hcrun.files import write
from hcrun.paths import directory_of
from hcrun.settings import Settings
from probes.framework.verdict import INFINITY, Reading, Status, state_reading

LONGEST = 180  # characters of a target in a file's name, which has 255 at most

# What was counted stays for this many seconds: hcrun may run a probe again at once (--retries),
# or report only the third failure in a row (--fail-after).
WINDOW = 600.0
APART = WINDOW / 60  # seconds, at least, between two samples that are kept

Counters = dict[str, float]

_RESTARTS = "restarts"  # a counter of our own


@dataclass(frozen=True)
class Since:
    """The growth of each counter in WINDOW, or since the last run if that is longer ago.

    It is None for a counter that is seen for the first time.
    """

    growth: Mapping[str, float | None]
    seconds: float = 0.0  # in which it grew
    problem: str = ""  # why the counters could not be stored
    restarts: int = 0  # of the server, as far as they were seen


@dataclass(frozen=True)
class Sample:
    at: float  # seconds since the epoch
    totals: Counters  # the growth of each counter since it was seen first


def directory(settings: Settings) -> str:
    """Where the files are, beside the journal. Raises JournalError if there is no place."""
    return os.path.join(directory_of(settings), "probes")


def unkept(problem: str, what: str) -> Reading:
    """The reading for a state that could not be kept, if a threshold needs it."""
    hint = "make it writable for this user, or set STATE_DIRECTORY"
    return state_reading("state", Status.UNKNOWN, f"cannot keep {what}: {problem}", hint)


def growth_of(
    settings: Settings,
    probe: str,
    target: str,
    life: str,
    counters: Mapping[str, float],
    uptime: float | None = None,
) -> Since:
    """Compare counters with those of earlier runs, and store them for the next.

    `life` identifies the process of the server, such as its run id. Counters of a process that is
    younger than the last run, and counters that fell, started again at 0. A process that is older
    is another server behind the same address, whose counters say nothing about the first.
    """
    try:
        path = path_of(settings, probe, target)
        old_life, old, samples = _stored(load(path))
    except JournalError as error:
        return Since(dict.fromkeys(counters), problem=str(error))
    now = time.time()
    is_other = old_life not in ("", life)
    passed = now - samples[-1].at if samples else INFINITY
    is_restarted = is_other and (uptime is None or uptime - 1 <= passed)  # in whole seconds
    before = samples[-1].totals if samples else {}
    totals = {_RESTARTS: before.get(_RESTARTS, 0.0) + is_restarted}
    for name, value in counters.items():
        grown = value - old.get(name, value)
        if is_restarted or grown < 0:
            grown = value
        if is_other and not is_restarted:
            grown = 0.0
        totals[name] = before.get(name, 0.0) + grown
    samples = [sample for sample in samples if sample.at <= now]  # the clock may be set back
    recent = [sample for sample in samples if sample.at > now - WINDOW]
    samples = samples[-len(recent) - 1 :]  # and one that is older
    growth = {name: _growth(name, total, samples) for name, total in totals.items()}
    restarts = int(growth.pop(_RESTARTS) or 0)
    seconds = now - samples[0].at if samples else 0.0
    if len(samples) > 1 and samples[-1].at - samples[-2].at < APART:
        samples.pop()
    samples.append(Sample(now, totals))
    saved = [[sample.at, sample.totals] for sample in samples]
    problem = save(path, {"life": life, "counters": dict(counters), "samples": saved})
    return Since(growth, seconds, problem, restarts)


def _growth(name: str, total: float, samples: list[Sample]) -> float | None:
    """The growth since the first of the samples that knows the counter; None if none does."""
    known = (sample.totals[name] for sample in samples if name in sample.totals)
    return next((total - before for before in known), None)


def exchange(
    settings: Settings,
    probe: str,
    target: str,
    update: Callable[[Mapping[str, float]], Mapping[str, float]],
) -> str:
    """Call `update` with the numbers of the last run, {} for none, and store its result.

    Returns the reason why the state could not be read or stored, or "".
    """
    try:
        path = path_of(settings, probe, target)
        before = _stored(load(path))[1]
    except JournalError as error:
        update({})
        return str(error)
    return save(path, {"life": "", "counters": dict(update(before))})


def path_of(settings: Settings, probe: str, target: str) -> str:
    """The file of one probe and target, for the check that hcrun runs."""
    name = quote(target, safe="")
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]}-{zlib.crc32(target.encode()):08x}"
    if check := settings.environ.get("HCRUN_CHECK"):  # may be a ping URL, which is a secret
        name += f"-{zlib.crc32(check.encode(errors='surrogateescape')):08x}"
    return os.path.join(directory(settings), f"{probe}-{name}.json")


def load(path: str) -> Any:
    """The saved state; None if there is none or if it is not JSON. Raises JournalError."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise JournalError(str(error.strerror), where=path) from None


def _stored(state: Any) -> tuple[str, Counters, list[Sample]]:
    """The process, the counters and the samples of earlier runs; all or nothing."""
    try:
        samples = [Sample(float(at), _numbers(totals)) for at, totals in state.get("samples", ())]
        return str(state["life"]), _numbers(state["counters"]), samples
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", {}, []


def _numbers(values: Mapping[str, Any]) -> Counters:
    return {str(name): float(value) for name, value in values.items()}


def save(path: str, state: Mapping[str, object]) -> str:
    """Replace the file; only this user may read it. Returns why it could not, or ""."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write(path, json.dumps(state), 0o600)
    except HcrunError as error:
        return f"{path}: {error.what}"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""
