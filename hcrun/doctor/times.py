"""When the jobs of this host start: each once, and when the server expects them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import merge
from itertools import islice, pairwise, takewhile

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import Catalog
from hcrun.catalog.schedule import Calendar, Cron, Every, Schedule, of_server, upcoming
from hcrun.catalog.timezones import same_zone, time_zone
from hcrun.doctor.finding import Finding, any_of, finding
from hcrun.ping.target import resolve
from hcrun.schedulers import oncalendar
from hcrun.schedulers.installed import Line
from hcrun.settings import Settings

_HORIZON = 400 * 86400.0  # seconds
_MOST = 2000  # starts that are compared
_NO_PINGS = Settings({"HEALTHCHECKS_ENABLED": "false"}, {})
Expected = tuple[Schedule, str, int]  # with its time zone and grace


def evaluate(
    lines: Sequence[Line], zone: str, catalog: Catalog, checks: Sequence[RemoteCheck]
) -> Iterator[Finding]:
    """`lines` are those that run; `zone` is that of cron."""
    by_check: dict[str, list[Line]] = {}
    for line in lines:
        if line.job:
            by_check.setdefault(line.job.check, []).append(line)
    labels = {check: resolve(check, _NO_PINGS).label for check in by_check}  # no secrets
    pairs = {labels[check]: _twice(own) for check, own in by_check.items()}
    twice = [f"{label} ({' and '.join(pair)})" for label, pair in pairs.items() if pair]
    yield from any_of("twice", twice)
    try:
        time_zone(zone)
    except ValueError:
        if any(not line.timer for line in lines):
            yield finding("no-zone", named=f": {zone!r} does not exist" if zone else "")
        zone = ""
    differing = []
    expected = _expected(catalog, checks)
    for check, own in by_check.items():
        times = tuple(dict.fromkeys(when for line in own for when in line.times))
        if check in expected and all(line.times for line in own):
            schedule, theirs, _ = expected[check]
            if _differs(times, zone or theirs, expected[check]):
                here = ", ".join(map(_text, times)) + ("" if own[0].timer else f" {zone}")
                differing.append(f"{labels[check]} ({here}, not {_text(schedule)} {theirs})")
    yield from any_of("other-times", differing)


def _twice(lines: Sequence[Line]) -> list[str]:
    """Two that collide. Those of one job may be half a minute apart, or for other days."""
    seen: dict[tuple[float, float], Line] = {}
    for line in lines if len(lines) > 1 else ():
        for at in ((line.delay, start) for start in _starts(line.times, "UTC", _now())):
            other = seen.setdefault(at, line)
            if other is not line:
                return [other.where, line.where]
        if _what(line) != _what(lines[0]):
            return [lines[0].where, line.where]
    return []


def _what(line: Line) -> object:
    return line.source, line.user, line.job and line.job.command


def _expected(catalog: Catalog, checks: Sequence[RemoteCheck]) -> Mapping[str, Expected]:
    """What the server expects; what it will, for the checks that it does not have yet."""
    found: dict[str, Expected] = {c.slug: (c.schedule, c.zone, c.grace) for c in catalog.checks}
    for check in checks:
        try:
            when = of_server(check.schedule, check.zone) if check.schedule else None
        except ValueError:
            continue
        if when or check.timeout:
            expected = when or Every(check.timeout or 0), check.zone, check.grace
            found |= {check.slug: expected, check.uuid: expected}
    return found


def _text(when: Schedule) -> str:
    return f"every {when.seconds} s" if isinstance(when, Every) else when.expression


def _differs(times: tuple[Schedule, ...], zone: str, expected: Expected) -> bool:
    schedule, wanted, grace = expected
    if isinstance(schedule, Every):
        pauses = [later - earlier for earlier, later in pairwise(_starts(times, zone, _now()))]
        longest = max([60, *pauses])
        is_rare = longest > schedule.seconds + grace
        return bool(pauses) and (is_rare or schedule.seconds >= 2 * longest)
    moments = oncalendar.of_cron(schedule) if isinstance(schedule, Cron) else [schedule.expression]
    rendered = {Calendar(f"{moment} {wanted}".rstrip()) for moment in moments}
    is_same = times == (schedule,) and same_zone(zone, wanted)
    if is_same or set(times) == rendered or any(isinstance(when, Every) for when in times):
        return False
    here, there = _starts(times, zone, _now()), _starts((schedule,), wanted, _now())
    return bool(here and there) and here != there


def _now() -> float:
    """The same for a while, for the cache."""
    return time.time() // 3600 * 3600


@lru_cache(maxsize=256)
def _starts(times: tuple[Schedule, ...], zone: str, now: float) -> tuple[float, ...]:
    """The next starts, each once; none if a schedule cannot be read."""
    each = merge(*(upcoming(when, zone, now) for when in times))
    try:
        near = takewhile(lambda start: start < now + _HORIZON, each)
        return tuple(dict.fromkeys(islice(near, _MOST)))
    except ValueError:
        return ()
