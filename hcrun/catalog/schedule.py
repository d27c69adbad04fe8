"""When a check runs: every 30s | cron | OnCalendar.

A schedule keeps the dialect of what runs it: Debian's cron and systemd differ when the clocks
change and in what `13 * Fri` means, and the server knows both. `cronsim` and `oncalendar` are
also the server's parsers.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from itertools import count, pairwise, product

from cronsim import CronSim, CronSimError
from oncalendar import OnCalendarError, TzIterator

from hcrun.catalog.timezones import time_zone
from hcrun.formats.crontab import bad_schedule

LONGEST_EXPRESSION = 100  # characters; the server's limit
_DAY = 86400
_YEARS = set(range(2001, 2041))
_START = datetime(2001, 1, 1, tzinfo=UTC)


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
    """Raises ValueError that says what would be right."""
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(
            f"{expression!r} does not have the five fields of cron;"
            ' write it like "*/15 * * * *" (minute hour day month weekday)'
        )
    normal = " ".join(fields)
    if why := bad_schedule(normal):  # cron accepts less than the server does
        raise ValueError(f"{normal!r}: {why}; see crontab(5)")
    _check(Cron(normal), "see crontab(5)")
    return Cron(normal)


def calendar(expression: str) -> Calendar:
    """Raises ValueError that says what would be right."""
    words = expression.split()
    if len(words) == 5:  # the server would read it as cron
        raise ValueError(f"{expression!r} looks like cron; write cron = instead of calendar =")
    found = Calendar(" ".join(words))
    _check(found, "see systemd.time(7)")
    return found


def of_server(expression: str, zone: str) -> Cron | Calendar:
    """Returns a schedule of the server, which accepts more than cron does. Raises ValueError."""
    words = expression.split()
    found = (Cron if len(words) == 5 else Calendar)(" ".join(words))
    _moments(found, datetime.now(time_zone(zone or "UTC")))
    return found


def _check(schedule: Cron | Calendar, hint: str) -> None:
    """Raises ValueError unless the server accepts the schedule and it occurs again."""
    if (length := len(schedule.expression)) > LONGEST_EXPRESSION:
        raise ValueError(f"has {length} characters; the maximum is {LONGEST_EXPRESSION}")
    try:
        next(_moments(schedule, datetime.now(UTC)))
    except ValueError as error:
        raise ValueError(f"{error}; {hint}") from None
    except StopIteration:
        raise ValueError(f"{schedule.expression!r} never occurs again; {hint}") from None


@cache
def period(schedule: Schedule) -> int:
    """Returns the shortest gap between two runs in seconds, a year if there is only one run.

    Hours that are skipped or repeated when the clocks change do not count. Raises ValueError if it
    is not a schedule.
    """
    if isinstance(schedule, Every):
        return schedule.seconds
    days, seconds = _days_and_times(schedule)
    between_days = _DAY * _shortest_gap(days) - seconds[-1] + seconds[0]
    return min([between_days, *(later - earlier for earlier, later in pairwise(seconds))])


@lru_cache(maxsize=1024)
def occurrences(schedule: Schedule, first: date, days: int) -> float:
    """Returns how often it occurs in so many days, where the clocks do not change."""
    if isinstance(schedule, Every):
        return days * _DAY / schedule.seconds
    matching, seconds = _days_and_times(schedule)
    begin = first.toordinal()
    return len(seconds) * sum(map(matching.have, range(begin, begin + days)))


@dataclass(frozen=True)
class _Days:
    """The days of a schedule. Negative `days` count from the end of the month."""

    years: frozenset[int]
    months: frozenset[int]
    days: frozenset[int]
    weekdays: frozenset[int]
    either: bool  # the day or the weekday matches

    def have(self, ordinal: int) -> bool:
        day = date.fromordinal(ordinal)
        from_the_end = day.day - monthrange(day.year, day.month)[1] - 1
        by_number = day.day in self.days or from_the_end in self.days
        by_weekday = day.weekday() in self.weekdays
        if day.year not in self.years or day.month not in self.months:
            return False
        return by_number or by_weekday if self.either else by_number and by_weekday


def _days_and_times(schedule: Cron | Calendar) -> tuple[_Days, list[int]]:
    """Returns its days, and its seconds of a day in order. Raises ValueError."""
    moments = _moments(schedule, _START)
    runs = moments.iterator if isinstance(moments, TzIterator) else moments
    times = product(runs.hours, runs.minutes, runs.seconds)
    seconds = sorted(hour * 3600 + minute * 60 + second for hour, minute, second in times)
    if isinstance(runs, CronSim):  # which counts weekdays from Sunday
        weekdays = {(day - 1) % 7 for day in runs.weekdays if isinstance(day, int)}
        years, either = _YEARS, not runs.day_and
    else:
        weekdays, years, either = runs.weekdays, runs.years, False
    days, months = frozenset(runs.days), frozenset(runs.months)
    return _Days(frozenset(years), months, days, frozenset(weekdays), either), seconds


@lru_cache(maxsize=1024)
def _shortest_gap(days: _Days) -> int:
    """Returns the fewest days between two of them, 365 if there is only one."""
    # Weekdays repeat after 28 years. 12 years is the longest gap between two years in which a date
    # has the same weekday.
    first = date(max(_START.year, min(days.years)), 1, 1).toordinal()
    fewest = 0
    for earlier, later in pairwise(filter(days.have, range(first, first + 40 * 1461 // 4))):
        fewest = min(fewest or later, later - earlier)
        if fewest == 1:
            break
    return fewest or 365


def next_run(schedule: Schedule, zone: str, after: float) -> float:
    """Returns the first run after `after`, as `upcoming`; ValueError if there is none."""
    if (moment := next(upcoming(schedule, zone, after), None)) is not None:
        return moment
    raise ValueError(f"{getattr(schedule, 'expression', '')!r} never occurs again")


def upcoming(schedule: Schedule, zone: str, after: float) -> Iterator[float]:
    """Yields the runs after `after`, in seconds since the epoch.

    A fixed period is counted from the epoch, as timers with OnCalendar= do. Raises ValueError if it
    is not a schedule or a zone.
    """
    if isinstance(schedule, Every):
        yield from count((after // schedule.seconds + 1) * schedule.seconds, schedule.seconds)
    else:
        start = datetime.fromtimestamp(after, time_zone(zone or "UTC"))
        yield from (moment.timestamp() for moment in _moments(schedule, start))


def following(schedule: Schedule, zone: str, last: float) -> float:
    """Returns when the run after the one at `last` is due, as the server counts it."""
    if isinstance(schedule, Every):
        return last + schedule.seconds
    return next_run(schedule, zone, last)


def _moments(schedule: Cron | Calendar, start: datetime) -> CronSim | TzIterator:
    """Raises ValueError if it is not a schedule."""
    try:
        if isinstance(schedule, Cron):
            return CronSim(schedule.expression, start)
        before, _, last = schedule.expression.rpartition(" ")
        if before and last[0] not in "0123456789*":
            time_zone(last)
        return TzIterator(schedule.expression, start)
    except (CronSimError, OnCalendarError, ValueError) as error:
        raise ValueError(f"{schedule.expression!r} is not a schedule: {error}") from None
