"""`day`, `week`, `month` or `FROM..TO` -> from when to when, in this host's time zone.

A day is a calendar day, so it may have 23 or 25 hours; a week begins on Monday.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hcrun.catalog.timezones import host_zone
from hcrun.errors import UsageError

_DAY = timedelta(days=1)
_NAME = re.compile("[A-Za-z_/-]+")  # of a zone; with a digit it may as well be a rule: CET-1CEST


@dataclass(frozen=True)
class Period:
    """Whole days; `last` is one of them."""

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
    def until(cls, last: date, days: int) -> Period:
        """So many days, of which `last` is the last."""
        return cls(last - (days - 1) * _DAY, last)


def read(text: str, today: date) -> tuple[Period, Period]:
    """The last full day, week or month, or the one that is named, and the one before it.

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
        raise UsageError(f"{period.first} has not come yet", hint=f"today is {today}")
    period = Period(period.first, min(period.last, today))  # those to come have no figures
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
            f"{text!r} is no time",
            hint="give day, week, month, a date, or two like 2026-11-01..2026-11-15",
        ) from None
    if period.last < period.first:
        raise UsageError(f"{last} is before {first}", hint="give the earlier one first")
    if period.days > 366:
        raise UsageError(f"{text} is longer than a year", hint="runs are kept for 90 days")
    if period.first.year < 2000:
        raise UsageError(f"{first} is too long ago", hint="runs are kept for 90 days")
    return period


def midnight(day: date) -> float:
    """When the day begins here, in seconds since the epoch."""
    return datetime(day.year, day.month, day.day).timestamp()


def day_of(at: float) -> date:
    """The day here, of seconds since the epoch."""
    return datetime.fromtimestamp(at).date()


def zone() -> str:
    """What this host's time zone is called, as `Europe/Berlin` where that is known."""
    given = os.environ.get("TZ", "").removeprefix(":")
    if given and not given.startswith("/"):
        try:
            ZoneInfo(given)
        except (KeyError, ValueError, OSError):
            if _NAME.fullmatch(given):  # which the C library takes for UTC
                return f"UTC, as there is no time zone {given}"
        return given
    return host_zone() or datetime.now().astimezone().tzname() or "local time"
