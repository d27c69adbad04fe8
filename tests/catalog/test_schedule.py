"""Schedules: what is taken, how often it comes, and when next; beside counting it out."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcrun.catalog.schedule import Calendar, Cron, Every, Schedule, calendar, cron, next_run, period

DAY = 86400
RIGA = "Europe/Riga"  # clocks: +1 h on 2026-03-29 at 03:00, -1 h on 2026-10-25 at 04:00


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Every(30), 30),
        (Every(90 * DAY), 90 * DAY),
        (cron("* * * * *"), 60),
        (cron("*/15 * * * *"), 900),
        (cron("*/7 * * * *"), 240),  # from :56 to :00
        (cron("5,35 * * * *"), 1800),
        (cron("0 2 * * *"), DAY),
        (cron("0 0,23 * * *"), 3600),
        (cron("0 3 1 * *"), 28 * DAY),
        (cron("0 3 * * mon-fri"), DAY),
        (cron("0 3 * * 1"), 7 * DAY),
        (cron("0 3 13 * 5"), DAY),  # the 13th OR a Friday
        (cron("0 0 1 1 *"), 365 * DAY),
        (cron("0 0 29 2 *"), 1461 * DAY),
        (cron("59 23 31 12 *"), 365 * DAY),
        (cron("0,59 0,23 1,31 * *"), 60),  # from the 31st to the 1st
        (calendar("*:*:0/30"), 30),
        (calendar("*:0/5"), 300),
        (calendar("hourly"), 3600),
        (calendar("DAILY"), DAY),
        (calendar("weekly"), 7 * DAY),
        (calendar("yearly"), 365 * DAY),
        (calendar("Mon..Fri 03:15"), DAY),
        (calendar("Fri *-*-13"), 28 * DAY),  # the 13th AND a Friday: February and March
        (calendar("*-*~1 04:00"), 28 * DAY),
        (calendar("Mon 03:00 Europe/Riga"), 7 * DAY),
        (calendar("*-*-* 00,12:00 UTC"), DAY // 2),
    ],
)
def test_period(schedule: Schedule, expected: int) -> None:
    assert period(schedule) == expected


@pytest.mark.parametrize(
    ("parse", "expression", "message"),
    [
        (cron, "@daily", "'@daily' does not have the five fields of cron; write it like "),
        (cron, "0 * * * * *", "'0 * * * * *' does not have the five fields of cron; "),
        (cron, "61 * * * *", "'61 * * * *': bad minute: '61' is not within 0-59; see crontab(5)"),
        (cron, "0 0 L * *", "'0 0 L * *': bad day of month: 'L' is not within 1-31; see"),
        (cron, "0 0 31 2 *", "'0 0 31 2 *' is not a schedule: Bad day-of-month; see crontab(5)"),
        (cron, "0 0 * * " + "1," * 60 + "1", "has 129 characters; the maximum is 100"),
        (calendar, "*/5 * * * *", "looks like cron; write cron = instead of calendar ="),
        (calendar, "", "'' is not a schedule: Wrong number of fields; see systemd.time(7)"),
        (calendar, "Funday", "'Funday' is not a schedule: Bad day-of-week; see systemd.time(7)"),
        (calendar, "Mon 03:00 Europe", 'is not a schedule: "Europe" is not a time zone; write it'),
        (calendar, "Mon America/Argentina", '"America/Argentina" is not a time zone;'),
        (calendar, "Mon /etc/passwd", '"/etc/passwd" is not a time zone;'),
        (calendar, "Mon ../../etc/passwd", '"../../etc/passwd" is not a time zone;'),
        (calendar, "Mon 03:00 posixrules", '"posixrules" is not a time zone;'),
        (calendar, "Mon 03:00 right/UTC", '"right/UTC" is not a time zone;'),
        (calendar, "Mon 03:00 zone.tab", '"zone.tab" is not a time zone;'),
        (calendar, "Mon 03:00 a\0b", "is not a time zone;"),
        (calendar, "2020-01-01", "'2020-01-01' never occurs again; see systemd.time(7)"),
        (calendar, "Mon " + "1," * 60 + "1", "has 125 characters; the maximum is 100"),
    ],
)
def test_bad_schedules(parse: Callable[[str], Schedule], expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(expression)


def test_white_space_is_no_difference() -> None:
    assert cron("  */5 *\t* *  * ") == Cron("*/5 * * * *")
    assert calendar(" Mon   03:00 ") == Calendar("Mon 03:00")


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        (Every(30), "UTC", "2026-01-01 00:00:00", "2026-01-01 00:00:30"),
        (Every(30), "UTC", "2026-01-01 00:00:29.5", "2026-01-01 00:00:30"),
        (Every(3600), "", "2026-01-01 00:10", "2026-01-01 01:00"),
        (cron("0 2 * * *"), "UTC", "2026-01-01 02:00", "2026-01-02 02:00"),
        (cron("0 2 * * *"), "UTC", "2026-01-01 01:59:59.9", "2026-01-01 02:00"),
        (cron("0 2 * * *"), RIGA, "2025-12-31 23:59:59", "2026-01-01 00:00"),
        (cron("0 2 * * *"), RIGA, "2026-01-01 00:00", "2026-01-02 00:00"),
        # cron makes up for the hour that is skipped; systemd does not.
        (cron("30 3 * * *"), RIGA, "2026-03-28 23:00", "2026-03-29 01:00"),
        (calendar("03:30"), RIGA, "2026-03-28 23:00", "2026-03-30 00:30"),
        (calendar("Mon 03:00 Europe/Riga"), "UTC", "2026-01-01 00:00", "2026-01-05 01:00"),
        (calendar("*:*:0/30"), RIGA, "2026-01-01 00:00:10", "2026-01-01 00:00:30"),
    ],
)
def test_next_run(schedule: Schedule, zone: str, after: str, expected: str) -> None:
    assert next_run(schedule, zone, at(after)) == at(expected)


def test_no_next_run() -> None:
    with pytest.raises(ValueError, match=r"^'2030-01-01' never occurs again$"):
        next_run(Calendar("2030-01-01"), "UTC", at("2031-01-01"))


# Against counting it out.

MINUTES = st.sets(st.integers(0, 59), min_size=1, max_size=3)
HOURS = st.sets(st.integers(0, 23), min_size=1, max_size=3)
DATES = st.none() | st.sets(st.integers(1, 28), min_size=1, max_size=4)
MONTHS = st.none() | st.sets(st.integers(1, 12), min_size=1, max_size=4)
WEEKDAYS = st.none() | st.sets(st.integers(0, 6), min_size=1, max_size=3)  # 0: Sunday
START = datetime(2001, 1, 1)


def field(values: set[int] | None) -> str:
    return "*" if values is None else ",".join(map(str, sorted(values)))


class Pattern(NamedTuple):
    minutes: set[int]
    hours: set[int]
    dates: set[int] | None
    months: set[int] | None
    weekdays: set[int] | None

    def moments(self, *, either: bool) -> list[datetime]:
        """All moments after START until the pattern begins again."""
        both_given = self.dates is not None and self.weekdays is not None
        matching = any if either and both_given else all
        found = []
        for number in range(366 * (40 if self.dates and self.weekdays else 4)):
            day = START + timedelta(days=number)
            by_date = self.dates is None or day.day in self.dates
            by_weekday = self.weekdays is None or day.isoweekday() % 7 in self.weekdays
            by_month = self.months is None or day.month in self.months
            if by_month and matching((by_date, by_weekday)):
                times = product(sorted(self.hours), sorted(self.minutes))
                found += [day.replace(hour=hour, minute=minute) for hour, minute in times]
        return found


PATTERNS = st.builds(Pattern, MINUTES, HOURS, DATES, MONTHS, WEEKDAYS)


@settings(max_examples=60, deadline=None)
@given(PATTERNS, st.integers(0, 400 * DAY))
def test_cron_is_as_counted(pattern: Pattern, offset: int) -> None:
    check(cron(" ".join(map(field, pattern))), pattern.moments(either=True), offset)


@settings(max_examples=60, deadline=None)
@given(PATTERNS, st.integers(0, 400 * DAY))
def test_calendar_is_as_counted(pattern: Pattern, offset: int) -> None:
    names = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    words = ",".join(names[day] for day in sorted(pattern.weekdays or ()))
    minutes, hours, dates, months, _ = map(field, pattern)
    words += f" *-{months}-{dates} {hours}:{minutes}"
    moments = pattern.moments(either=False)
    if len(moments) > len(pattern.hours) * len(pattern.minutes) and len(words) <= 100:
        check(calendar(words), moments, offset)


def check(schedule: Schedule, moments: list[datetime], offset: int) -> None:
    gaps = {round((later - earlier).total_seconds()) for earlier, later in pairwise(moments)}
    assert period(schedule) == min(gaps)
    after = START + timedelta(seconds=offset)
    if later_ones := [moment for moment in moments if moment > after]:
        got = next_run(schedule, "UTC", after.replace(tzinfo=UTC).timestamp())
        assert datetime.fromtimestamp(got, UTC) == later_ones[0].replace(tzinfo=UTC)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@pytest.mark.parametrize(
    "expression",
    ["*:0/20", "03:30", "daily", "Mon..Fri 02:15:30", "*-*~1 04:00", "Sat *-*-1..7 18:00"],
)
@pytest.mark.parametrize("after", ["2026-03-29 00:10:00", "2026-10-25 00:10:00"])
def test_calendar_is_as_systemd_has_it(expression: str, after: str) -> None:
    """On the days when the clocks change, too."""
    done = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=12", f"--base-time={after} UTC", expression],
        env=os.environ | {"TZ": RIGA, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    stamps = re.findall(r"\(in UTC\): \w+ (\S+ \S+) UTC", done.stdout)
    assert len(stamps) == 12
    moment = at(after)
    for stamp in stamps:
        moment = next_run(calendar(expression), RIGA, moment)
        assert datetime.fromtimestamp(moment, UTC).isoformat(" ")[:19] == stamp
