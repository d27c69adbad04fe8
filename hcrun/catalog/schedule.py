"""When a check runs: every 30s | cron | OnCalendar.

A schedule keeps the dialect of what runs it: Debian's cron and systemd differ at daylight-saving
changes and in what `13 * Fri` means, and the server knows both. `cronsim` and `oncalendar` are
the server's own validators.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import pairwise, product
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from oncalendar import BaseIterator, OnCalendarError, TzIterator

from hcrun.formats.crontab import bad_schedule

LONGEST_EXPRESSION = 100  # characters; the server's limit
_DAY = 86400
_START = datetime(2001, 1, 1)  # without a zone: the clocks' changes are no gaps


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
        raise ValueError(f"has {length} characters; the maximum is {LONGEST_EXPRESSION}")


def _comes(schedule: Cron | Calendar, hint: str) -> None:
    """Whether the server's own parser takes it, and there is a next time."""
    try:
        next(_moments(schedule, datetime.now(UTC)))
    except (CronSimError, OnCalendarError) as error:
        raise ValueError(f"{schedule.expression!r} is not a schedule: {error}; {hint}") from None
    except StopIteration:
        raise ValueError(f"{schedule.expression!r} never occurs again; {hint}") from None


def period(schedule: Schedule) -> int:
    """The shortest gap between two runs, in seconds; a year where there is only one.

    As a calendar has it: an hour that the clocks skip or repeat is not looked at.
    """
    if isinstance(schedule, Every):
        return schedule.seconds
    if isinstance(schedule, Cron):
        fields = CronSim(schedule.expression, _START)
        seconds = _seconds(fields.hours, fields.minutes, {0})
        days = _days_of_cron(" ".join(schedule.expression.split()[2:]))
    else:
        parts = _calendar_parts(schedule.expression)
        seconds = _seconds(parts.hours, parts.minutes, parts.seconds)
        sets = (parts.years, parts.months, parts.days, parts.weekdays)
        days = _days_of_calendar(*map(frozenset, sets))
    between_days = _DAY * days - seconds[-1] + seconds[0]
    within_one = (later - earlier for earlier, later in pairwise(seconds))
    return min(between_days, min(within_one, default=between_days))


def _seconds(hours: Iterable[int], minutes: Iterable[int], seconds: Iterable[int]) -> list[int]:
    """Of a day."""
    return sorted(h * 3600 + m * 60 + s for h, m, s in product(hours, minutes, seconds))


def _calendar_parts(expression: str) -> BaseIterator:
    """The zone at its end is another iterator's business."""
    try:
        return BaseIterator(expression, _START)
    except OnCalendarError:
        return BaseIterator(" ".join(expression.split()[:-1]), _START)


@lru_cache(maxsize=1024)
def _days_of_cron(fields: str) -> int:
    """The fewest days from one on which it runs to the next; `fields`: the last three."""
    parts = CronSim(f"0 0 {fields}", _START)
    weekdays = {day % 7 for day in parts.weekdays if isinstance(day, int)}  # 0: Sunday
    together = all if parts.day_and else any
    return _fewest(
        number
        for number, date in enumerate(_dates(_START.year))
        if date.month in parts.months
        and together((date.day in parts.days, date.isoweekday() % 7 in weekdays))
    )


@lru_cache(maxsize=1024)
def _days_of_calendar(
    years: frozenset[int], months: frozenset[int], days: frozenset[int], weekdays: frozenset[int]
) -> int:
    """The same; `days` below 0 count from the month's end; `weekdays` begin with Monday, 0."""
    return _fewest(
        number
        for number, date in enumerate(_dates(max(_START.year, min(years))))
        if date.month in months
        and date.weekday() in weekdays
        and (date.day in days or date.day - monthrange(date.year, date.month)[1] - 1 in days)
        and date.year in years
    )


def _fewest(numbers: Iterable[int]) -> int:
    fewest = 0
    for earlier, later in pairwise(numbers):
        fewest = min(fewest or later, later - earlier)
        if fewest == 1:
            break
    return fewest or 365


@lru_cache(maxsize=4)
def _dates(year: int) -> list[date]:
    """All of 28 years: then the weekdays of all dates come again."""
    first = date(year, 1, 1).toordinal()
    return [date.fromordinal(number) for number in range(first, first + 28 * 1461 // 4)]


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
        raise ValueError(f"{schedule.expression!r} never occurs again") from None


def _moments(schedule: Cron | Calendar, start: datetime) -> Iterator[datetime]:
    if isinstance(schedule, Cron):
        return CronSim(schedule.expression, start)
    return TzIterator(schedule.expression, start)
