"""When a check runs: every 30s | cron | OnCalendar.

A schedule keeps the dialect of what runs it: Debian's cron and systemd differ at daylight-saving
changes and in what `13 * Fri` means, and the server knows both. `cronsim` and `oncalendar` are
the server's own validators.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice, pairwise, product
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from oncalendar import SPECIALS, BaseIterator, OnCalendarError, TzIterator

from hcrun.crontab import bad_schedule

LONGEST_EXPRESSION = 100  # characters; the server's limit
_DAY = 86400
_ANY_MONDAY = datetime(2001, 1, 1)  # without a zone: the clocks' changes are no gaps
_ENOUGH_DAYS = 500  # by then a pattern of days has shown its shortest gap


@dataclass(frozen=True)
class Every:
    """A fixed period."""

    seconds: int


@dataclass(frozen=True)
class Cron:
    """Five fields, as Debian's cron reads them."""

    expression: str


@dataclass(frozen=True)
class Calendar:
    """A systemd OnCalendar= expression (systemd.time(7))."""

    expression: str


Schedule = Every | Cron | Calendar


def cron(expression: str) -> Cron:
    """Raises ValueError, whose message says what would be right."""
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(
            f"{expression!r} does not have the five fields of cron;"
            ' write it like "*/15 * * * *" (minute hour day month weekday)'
        )
    found = Cron(" ".join(fields))
    _limit(found)
    if why := bad_schedule(found.expression):  # cron itself knows less than the server does
        raise ValueError(f"{found.expression!r}: {why}; see crontab(5)")
    _comes(found, "see crontab(5)")
    return found


def calendar(expression: str) -> Calendar:
    """Raises ValueError, whose message says what would be right."""
    words = expression.split()
    if len(words) == 5:  # the server would read it as cron
        raise ValueError(f"{expression!r} looks like cron; write cron = instead of calendar =")
    found = Calendar(" ".join(words))
    _limit(found)
    _comes(found, "see systemd.time(7)")
    return found


def _limit(schedule: Cron | Calendar) -> None:
    if (length := len(schedule.expression)) > LONGEST_EXPRESSION:
        raise ValueError(f"has {length} characters; the server takes {LONGEST_EXPRESSION}")


def _comes(schedule: Cron | Calendar, hint: str) -> None:
    """Whether the server's own parser takes it, and there is a next time."""
    try:
        next(_moments(schedule, datetime.now(UTC)))
    except (CronSimError, OnCalendarError) as error:
        raise ValueError(f"{schedule.expression!r} is no schedule: {error}; {hint}") from None
    except StopIteration:
        raise ValueError(f"{schedule.expression!r} never comes again; {hint}") from None


def period(schedule: Schedule) -> int:
    """The shortest gap between two runs, in seconds; how far off the only run is if there is one.

    As a calendar has it: an hour that the clocks skip or repeat is not looked at.
    """
    if isinstance(schedule, Every):
        return schedule.seconds
    seconds, days = _of_a_day(schedule)
    across = _DAY * _days_between(days) - seconds[-1] + seconds[0]
    inside = (later - earlier for earlier, later in pairwise(seconds))
    return min(across, min(inside, default=across))


def _of_a_day(schedule: Cron | Calendar) -> tuple[list[int], Cron | Calendar]:
    """At which seconds of a day it runs, and the same days at midnight."""
    if isinstance(schedule, Cron):
        fields = CronSim(schedule.expression, _ANY_MONDAY)
        days: Cron | Calendar = Cron(" ".join(["0", "0", *schedule.expression.split()[2:]]))
        return _seconds(fields.hours, fields.minutes, {0}), days
    expression = _special(_without_zone(schedule.expression))
    words = expression.split()
    parts = BaseIterator(expression, _ANY_MONDAY)
    days = Calendar(" ".join(word for word in words if ":" not in word) or "*-*-*")
    return _seconds(parts.hours, parts.minutes, parts.seconds), days


def _seconds(hours: Iterable[int], minutes: Iterable[int], seconds: Iterable[int]) -> list[int]:
    return sorted(h * 3600 + m * 60 + s for h, m, s in product(hours, minutes, seconds))


def _special(expression: str) -> str:
    """`hourly` and its like, written out."""
    return SPECIALS.get(expression.lower(), expression)


def _without_zone(expression: str) -> str:
    """What TzIterator looks at, less the zone at its end."""
    words = expression.split()
    try:
        BaseIterator(expression, _ANY_MONDAY)
    except OnCalendarError:
        return " ".join(words[:-1])
    return expression


@lru_cache(maxsize=1024)
def _days_between(days: Cron | Calendar) -> int:
    """The fewest days between two runs, each at midnight."""
    moments = (
        CronSim(days.expression, _ANY_MONDAY)
        if isinstance(days, Cron)
        else BaseIterator(days.expression, _ANY_MONDAY)
    )
    fewest = 0
    for earlier, later in pairwise(islice(moments, _ENOUGH_DAYS)):
        gap = (later - earlier).days
        fewest = min(fewest or gap, gap)
        if fewest == 1:
            break
    return fewest or 365  # a single date


def next_run(schedule: Schedule, zone: str, after: float) -> float:
    """The first run after `after`, both in seconds since the epoch.

    A fixed period is counted from the epoch, as timers on their marks do. Raises ValueError when
    there is none.
    """
    if isinstance(schedule, Every):
        return (after // schedule.seconds + 1) * schedule.seconds
    start = datetime.fromtimestamp(after, ZoneInfo(zone or "UTC"))
    try:
        return next(_moments(schedule, start)).timestamp()
    except StopIteration:
        raise ValueError(f"{schedule.expression!r} never comes again") from None


def _moments(schedule: Cron | Calendar, start: datetime) -> Iterator[datetime]:
    if isinstance(schedule, Cron):
        return CronSim(schedule.expression, start)
    return TzIterator(schedule.expression, start)
