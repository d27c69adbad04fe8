"""Parses `day`, `week`, `month` or `FROM..TO`, in this host's time zone.

A day is a calendar day, so it may have 23 or 25 hours. A week begins on Monday.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hcrun.catalog.timezones import host_zone
from hcrun.errors import UsageError

_DAY = timedelta(days=1)
_NAME = re.compile("[A-Za-z_/-]+")  # of a zone; a name with a digit may be a rule: CET-1CEST


@dataclass(frozen=True)
class Period:
    """Whole days, including `last`."""

    first: date
    last: date

    @property
    def begin(self) -> float:
        """Seconds since the epoch."""
        return midnight(self.first)

    @property
    def end(self) -> float:
        """Seconds since the epoch."""
        return midnight(self.last + _DAY)

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first}..{self.last}"

    def each(self) -> Iterator[date]:
        for n in range(self.days):
            yield self.first + n * _DAY

    @classmethod
    def until(cls, last: date, days: int) -> "Period":
        """So many days, up to and including `last`."""
        return cls(last - (days - 1) * _DAY, last)


def read(text: str, today: date) -> tuple[Period, Period]:
    """The last full day, week or month, or the given dates, and the period before it.

    Raises UsageError.
    """
    if text == "day":
        return Period.until(today - _DAY, 1), Period.until(today - 2 * _DAY, 1)
    if text == "week":
        sunday = today - (today.weekday() + 1) * _DAY
        return Period.until(sunday, 7), Period.until(sunday - timedelta(days=7), 7)
    if text == "month":
        return _month_before(today), _month_before(_month_before(today).first)
    period = _range(text)
    if period.first > today:
        raise UsageError(f"{period.first} is in the future", hint=f"today is {today}")
    period = Period(period.first, min(period.last, today))  # the future has no figures
    return period, Period.until(period.first - _DAY, period.days)


def _month_before(day: date) -> Period:
    last = day.replace(day=1) - _DAY
    return Period(last.replace(day=1), last)


def _range(text: str) -> Period:
    first, dots, last = text.partition("..")
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d(\.\.\d{4}-\d\d-\d\d)?", text):
            raise ValueError
        period = Period(date.fromisoformat(first), date.fromisoformat(last if dots else first))
    except ValueError:
        raise UsageError(
            f"{text!r} is not a period",
            hint="use day, week, month, a date, or two dates like 2026-11-01..2026-11-15",
        ) from None
    if period.last < period.first:
        raise UsageError(f"{last} is before {first}", hint="put the earlier date first")
    if period.days > 366:
        raise UsageError(f"{text} is longer than a year", hint="runs are kept for 90 days")
    if period.first.year < 2000:
        raise UsageError(f"{first} is too long ago", hint="runs are kept for 90 days")
    return period


def midnight(day: date) -> float:
    """When the day begins in this host's time zone, in seconds since the epoch."""
    return datetime(day.year, day.month, day.day).timestamp()


def zone() -> str:
    """The name of this host's time zone, like `Europe/Berlin` if it is known."""
    given = os.environ.get("TZ", "").removeprefix(":")
    if given and not given.startswith("/"):
        try:
            ZoneInfo(given)
        except (KeyError, ValueError, OSError):
            if _NAME.fullmatch(given):  # the C library falls back to UTC
                return f"UTC, because there is no time zone {given}"
        return given
    return host_zone() or datetime.now().astimezone().tzname() or "local time"
