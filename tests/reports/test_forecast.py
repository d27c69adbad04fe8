"""Forecasts from a journal: full in so many days, slower than usual, or nothing."""

import random
import re
from pathlib import Path

import pytest

from hcrun.journal.discard import forget
from hcrun.journal.samples import SLOTS, runs_since, sample
from hcrun.reports.forecast import forecasts
from hcrun.reports.statistics import DAY
from tests.support.journals import Past

NOW = 1_800_000_000.0


def add_month(past: Past, check: str, line: str, days: int = 30, every: float = 8) -> None:
    """Runs every so many hours until NOW; `line` is formatted with the day's number."""
    for number in range(int(days * 24 / every)):
        day = number * every / 24
        ended = NOW - days * DAY + (number + 1) * every * 3600
        past.run(check, ended - 1, output=line.format(day=day, size=day * 1e9))


def texts(past: Past, *checks: str) -> list[tuple[str, str]]:
    """The checks and the forecasts, without the range of the time."""
    found = [each for each in forecasts(past.journal, NOW, checks) if each.score is None]
    return [(each.check, re.sub(r"\(\d+ to \d+\)", "(# to #)", each.text)) for each in found]


def test_full_in_so_many_days(tmp_path: Path) -> None:
    past = Past(tmp_path)
    add_month(past, "s3", "MINIO OK - up | usage={day:.2f}%;80;90;0;53 latency=0.01s;;;0\n")
    add_month(past, "disk", "DISK OK | /={size:.0f}B;;;0;31000000000 inodes=5;;;0;100\n")
    add_month(past, "plain", "all | well\n")
    assert texts(past) == [
        ("disk", "disk / full in 32 hours (# to #), 30.0 GB a month"),
        ("s3", "minio usage full in 23 days (# to #), 30% a month"),
    ]
    assert texts(past, "s3") == [("s3", "minio usage full in 23 days (# to #), 30% a month")]
    assert texts(past, "none") == []
    first = forecasts(past.journal, NOW)[0]
    assert first.seconds_left == pytest.approx(1.33 * DAY, rel=0.1)


def test_outputs_of_the_last_days_are_enough(tmp_path: Path) -> None:
    """A full journal has deleted older ones."""
    past = Past(tmp_path)
    add_month(past, "s3", "MINIO OK - up | usage={day:.2f}%;80;90;0;53\n", every=1)
    old = "SELECT id FROM runs WHERE started < ?"
    past.journal.change(f"DELETE FROM outputs WHERE id IN ({old})", (NOW - 9 * DAY,))  # noqa: S608
    assert texts(past) == [("s3", "minio usage full in 23 days (# to #), 30% a month")]


@pytest.mark.parametrize(
    ("maximum", "expected"),
    [(25, [("s3", "minio usage full, 30% a month")]), (100, [])],
    ids=["full already", "full too far away"],
)
def test_other_maxima(tmp_path: Path, maximum: int, expected: list[tuple[str, str]]) -> None:
    past = Past(tmp_path)
    add_month(past, "s3", f"MINIO OK - up | usage={{day:.2f}}%;80;90;0;{maximum}\n")
    assert texts(past) == expected


def test_only_what_the_last_run_printed(tmp_path: Path) -> None:
    """The last run does not print it, or prints no maximum."""
    past = Past(tmp_path)
    for check, output in (("s3", "MINIO CRITICAL - down\n"), ("disk", "MINIO OK | usage=30%\n")):
        add_month(past, check, "MINIO OK - up | usage={day:.2f}%;80;90;0;53\n")
        past.run(check, NOW - 1, output=output)
    assert texts(past) == []


def test_what_was_just_freed_counts(tmp_path: Path) -> None:
    """At 14 of 53, one a day: 39 days; not 23, as it was the day before."""
    past = Past(tmp_path)
    line = "MINIO OK - up | usage={day:.2f}%;80;90;0;53\n"
    add_month(past, "s3", line)
    for hours in (3, 2, 1):
        past.run("s3", NOW - hours * 3600, output=line.format(day=14))
    assert texts(past) == [("s3", "minio usage full in 39 days (# to #), 30% a month")]


def test_slower_than_usual(tmp_path: Path) -> None:
    past, chance = Past(tmp_path), random.Random(7)
    for check, last in (("slow", 9.0), ("usual", 1.22), ("failed", 99.0)):
        for number in range(100):
            ended = NOW - (100 - number) * 6 * 3600
            past.run(check, ended - 2, 1 + chance.uniform(-0.2, 0.2))
        result = "fail" if check == "failed" else "success"
        past.run(check, NOW - last, last, result)
    (slow,) = forecasts(past.journal, NOW)
    assert (slow.check, slow.subject, slow.seconds_left) == ("slow", "duration", None)
    assert slow.score is not None
    words = r"duration 9 s, never above 1\.2\d? s at this hour in 25 days"
    assert re.fullmatch(words, slow.text), slow.text


def steady(past: Past, check: str) -> None:
    for hour in range(100):
        past.run(check, NOW - 1 - (101 - hour) * 3600)
    past.run(check, NOW - 90, 90.0)


@pytest.mark.parametrize("state", ["nonsense", "7", "[1]", '{"a": 1}'])
def test_damaged_states_are_made_anew(tmp_path: Path, state: str) -> None:
    past = Past(tmp_path)
    steady(past, "job")
    (first,) = forecasts(past.journal, NOW)
    past.journal.change("UPDATE detectors SET state = ? WHERE check_id = 0", (state,))
    assert forecasts(past.journal, NOW) == [first]


def test_states_that_cannot_be_stored(tmp_path: Path) -> None:
    """As on a full disk; `hcctl status` is needed most then."""
    past = Past(tmp_path)
    steady(past, "job")
    past.journal.change("CREATE VIEW detectors AS SELECT 0 check_id, '' subject, '[1, 0]' state")
    (found,) = forecasts(past.journal, NOW)
    assert found.subject == "duration"


def test_a_new_check_inherits_no_state(tmp_path: Path) -> None:
    past = Past(tmp_path)
    steady(past, "old")
    assert forecasts(past.journal, NOW) != []
    forget(past.journal, "old")
    past.run("new", NOW - 1, 1.0)
    assert past.journal.query("SELECT id FROM checks") == [(1,)]  # the row of the old one
    assert forecasts(past.journal, NOW) == []


def test_sample_is_small_and_has_the_latest(tmp_path: Path) -> None:
    past = Past(tmp_path)
    runs = [past.run("often", NOW - 1 - 40 * DAY + at * DAY / 10) for at in range(401)]
    (found,) = sample(past.journal, runs_since(past.journal, NOW), NOW).values()
    assert len(found) in (SLOTS + 2, SLOTS + 3)
    assert [run.ended for run in found[-3:]] == [run.ended for run in runs[-3:]]
    assert [run.ended for run in found] == sorted(run.ended for run in found)
    assert found[0].ended >= NOW - 30 * DAY


def test_two_checks_of_one_name_are_one(tmp_path: Path) -> None:
    """As they are everywhere: the name is what people look at."""
    past = Past(tmp_path)
    for at in range(10):
        past.run("job", NOW - 1 - at * DAY)
    past.journal.change("INSERT INTO checks (name, identity) VALUES ('job', 1)")
    past.journal.change("UPDATE runs SET check_id = 2 WHERE id % 2 = 0")
    (found,) = sample(past.journal, runs_since(past.journal, NOW), NOW).values()
    assert [run.ended for run in found] == [NOW - at * DAY for at in reversed(range(10))]


def test_nothing_at_all(tmp_path: Path) -> None:
    past = Past(tmp_path)
    assert texts(past) == []
    past.run("job", NOW, 0.0)
    assert texts(past) == []
