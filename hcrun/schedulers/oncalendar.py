"""Schedules as OnCalendar= expressions of systemd (systemd.time(7))."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cronsim import CronSim

from hcrun.catalog.schedule import Cron
from hcrun.catalog.timezones import time_zone
from hcrun.schedulers.invocation import even_periods

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")  # as cron counts them
_ANY_DAY = datetime(2001, 1, 1, tzinfo=UTC)
_TWO_YEARS = 730  # days


# The expressions of the periods that divide a minute, an hour, a day or a week.
PERIODS = even_periods("*:*:0/{}", "*:0/{}", "0/{}:00", "*-*-* 00:00", "Mon *-*-* 00:00")


def of_cron(schedule: Cron) -> list[str]:
    """Returns one, or two for cron's day of month OR day of week, which systemd reads as AND."""
    fields = CronSim(schedule.expression, _ANY_DAY)
    months, days = _numbers(fields.months, 1, 12), _numbers(fields.days, 1, 31)
    time = f"{_numbers(fields.hours, 0, 23)}:{_numbers(fields.minutes, 0, 59)}"
    names = sorted({day % 7 for day in fields.weekdays if isinstance(day, int)})
    weekdays = "" if len(names) == 7 else ",".join(_WEEKDAYS[day] for day in names) + " "
    if fields.day_and:
        return [f"{weekdays}*-{months}-{days} {time}"]
    return [f"*-{months}-{days} {time}", f"{weekdays}*-{months}-* {time}"]


def _numbers(given: Iterable[int], low: int, high: int) -> str:
    """Returns `*`, `0/15`, `02` or `01,15`."""
    numbers = sorted({number for number in given if isinstance(number, int)})
    if numbers == list(range(low, high + 1)):
        return "*"
    step = numbers[1] - numbers[0] if len(numbers) > 2 else 0
    if step > 1 and numbers == list(range(numbers[0], high + 1, step)):
        return f"{numbers[0]}/{step}"
    return ",".join(f"{number:02}" for number in numbers)


def is_steady(zone: str) -> bool:
    """Returns whether the clocks never change there, so that cron and systemd do not differ."""
    noon = datetime.now(UTC)
    days = (noon + timedelta(days=day) for day in range(_TWO_YEARS))
    return len({day.astimezone(time_zone(zone)).utcoffset() for day in days}) == 1
