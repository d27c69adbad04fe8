"""Availability from flips and runs, maintenance, SLOs, periods, and late runs."""

import time
from collections import Counter
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcrun.api.models import Flip
from hcrun.catalog import Slo
from hcrun.catalog.schedule import Calendar, Cron, Every, Schedule, occurrences
from hcrun.errors import UsageError
from hcrun.journal.queries import Change, LastRun, RunCounts
from hcrun.reports import period
from hcrun.reports.availability import (
    Availability,
    Span,
    availability,
    clipped,
    history,
    merged,
    most_in_a_day,
    outages,
)
from hcrun.reports.lateness import LateRun, Timing, late_runs, run_history
from hcrun.reports.period import Period
from hcrun.reports.slo import SloResult, error_budget, evaluate_slo

NOW = 1_000_000.0


def flips(*changes: tuple[float, int]) -> list[Flip]:
    return [Flip(at, bool(up)) for at, up in changes]


def states(spans: list[Span]) -> str:
    """When each state began, as `100 up, 500 down`; the spans must be contiguous until NOW."""
    assert all(span.end == later.begin for span, later in pairwise(spans))
    assert not spans or spans[-1].end == NOW
    return ", ".join(f"{span.begin:g} {span.state}" for span in spans)


# what happened

PAUSED = "100 up, 500 maintenance, 700 unknown, 750 up"


@pytest.mark.parametrize(
    ("changes", "status", "windows", "expected"),
    [
        ([], "new", [], ""),
        ([], "down", [], ""),
        ([], "paused", [], ""),
        # No change for as long as changes are kept.
        ([], "up", [], "-inf up"),
        ([], "grace", [], "-inf up"),
        # An outage.
        ([(100, 1), (500, 0), (600, 1)], "up", [], "100 up, 500 down, 600 up"),
        # The order in time counts, not the server's.
        ([(500, 0), (100, 1)], "down", [], "100 up, 500 down"),
        # Within a second the server's order counts: newest first.
        ([(500, 1), (500, 0), (100, 1)], "up", [], "100 up"),
        ([(500, 0), (500, 1), (100, 0)], "down", [], "100 down"),
        # Down, then down again: one time down.
        ([(100, 0), (500, 0)], "down", [], "100 down"),
        # Paused now, by anybody.
        ([(100, 1), (500, 0)], "paused", [], "100 up, 500 maintenance"),
        ([(100, 0), (500, 0)], "paused", [], "100 down, 500 maintenance"),
        # Resumed, not pinged since.
        ([(100, 1), (500, 0), (600, 0)], "new", [], "100 up, 500 down, 600 unknown"),
        # A pause and a resume that are recorded here, then a ping.
        ([(100, 1), (500, 0), (700, 0), (750, 1)], "up", [(500, 700)], PAUSED),
        # The server's clock is some seconds off.
        (
            [(100, 1), (499, 0), (703, 0), (750, 1)],
            "up",
            [(500, 700)],
            "100 up, 499 unknown, 500 maintenance, 700 unknown, 750 up",
        ),
        # It was down already when somebody paused it.
        (
            [(100, 1), (300, 0), (500, 0), (700, 0), (750, 1)],
            "up",
            [(500, 700)],
            "100 up, 300 down, 500 maintenance, 700 unknown, 750 up",
        ),
        # Maintenance without a pause is excluded as well.
        (
            [(100, 1)],
            "up",
            [(300, 400), (200, 250), (240, 260)],
            "100 up, 200 maintenance, 260 up, 300 maintenance, 400 up",
        ),
        # It continues after now.
        ([(100, 1)], "up", [(500, 2 * NOW)], "100 up, 500 maintenance"),
        # Changes after now are from another clock.
        ([(100, 1), (NOW + 5, 0)], "up", [], "100 up"),
    ],
)
def test_history(
    changes: list[tuple[float, int]], status: str, windows: list[tuple[float, float]], expected: str
) -> None:
    assert states(history(flips(*changes), status, NOW, windows)) == expected


times = st.floats(0, NOW, allow_nan=False)
any_flips = st.lists(st.builds(Flip, times, st.booleans()), max_size=12)
any_windows = st.lists(st.tuples(times, times), max_size=4)
any_status = st.sampled_from(["up", "grace", "down", "paused", "new"])


@given(any_flips, any_status, any_windows, times, times)
def test_all_time_is_accounted_for_and_nothing_twice(
    changes: list[Flip], status: str, windows: list[tuple[float, float]], a: float, b: float
) -> None:
    spans = history(changes, status, NOW, windows)
    assert all(span.begin < span.end <= NOW for span in spans)
    assert all(first.end <= second.begin for first, second in pairwise(spans))
    begin, end = min(a, b), max(a, b)
    found = availability(spans, begin, end)
    total = found.up + found.down + found.maintenance + found.unknown
    assert total == pytest.approx(end - begin)
    assert found.ratio is None or 0 <= found.ratio <= 1
    down = sum(outage.seconds for outage in outages(spans, begin, end))
    assert down == pytest.approx(found.down)


@given(any_flips, any_status, any_windows)
def test_maintenance_never_makes_it_worse(
    changes: list[Flip], status: str, windows: list[tuple[float, float]]
) -> None:
    without = availability(history(changes, status, NOW), 0, NOW)
    found = availability(history(changes, status, NOW, windows), 0, NOW)
    assert found.down <= without.down + 1e-6
    assert found.up <= without.up + 1e-6


@given(any_windows)
def test_merged_windows_are_apart(windows: list[tuple[float, float]]) -> None:
    kept = merged(windows)
    assert all(begin < end for begin, end in kept)
    assert all(first[1] < second[0] for first, second in pairwise(kept))


def test_what_is_before_the_first_change_is_unknown() -> None:
    spans = history(flips((100, 1)), "up", NOW)
    assert availability(spans, 0, 400) == Availability(up=300, unknown=100)
    assert availability([], 0, 400) == Availability(unknown=400)
    assert availability([], 0, 400).ratio is None
    assert clipped(spans, 0, 50) == []


def test_outages_are_cut_at_both_ends() -> None:
    spans = history(flips((100, 1), (200, 0), (300, 1), (400, 0)), "down", NOW)
    assert outages(spans, 250, 500) == [Span(250, 300, "down"), Span(400, 500, "down")]
    assert outages(spans, 0, 250) == [Span(200, 250, "down")]
    assert outages(spans, 0, 200) == []


@pytest.mark.parametrize(
    ("begins", "maximum"),
    [([], 0), ([5], 1), ([0, 86400], 2), ([0, 86401], 1), ([0, 90000, 90001, 90002, 180000], 3)],
)
def test_the_most_outages_within_a_day(begins: list[float], maximum: int) -> None:
    assert most_in_a_day([Span(at, at + 1, "down") for at in begins]) == maximum


# budgets

UP = Slo("availability", 99.9)


@pytest.mark.parametrize(
    ("slo", "bad", "total", "met"),
    [
        (UP, 0, 1000, True),
        (UP, 1, 1000, True),
        (UP, 2, 1000, False),
        (Slo("success", 95), 2, 100, True),
        (Slo("success", 100), 0, 100, True),
        (Slo("success", 100), 1, 100, False),
        (UP, 0, 0, None),
    ],
)
def test_an_slo_is_met_or_missed(slo: Slo, bad: float, total: float, met: bool | None) -> None:
    assert SloResult(slo, bad, total).met is met


DAY, MONTH = 86400.0, 30 * 86400.0
HOURLY = Cron("0 * * * *")
NOTHING = RunCounts()


def runs(good: int, bad: int) -> RunCounts:
    return RunCounts(Counter(success=good, fail=bad))


@pytest.mark.parametrize(
    ("slo", "times", "counts", "allowed", "left", "ratio"),
    [
        # 99.9 % of 30 days are all but 43.2 minutes, however little of them is known.
        (UP, Availability(up=MONTH - 432, down=432), NOTHING, 2592, 2160, 1 - 1 / 6),
        (UP, Availability(up=DAY, down=432, unknown=29 * DAY), NOTHING, 2592, 2160, 1 - 1 / 6),
        (UP, Availability(down=DAY, unknown=29 * DAY), NOTHING, 2592, 0, 0),
        (UP, Availability(down=MONTH), NOTHING, 2592, 0, 0),
        (UP, Availability(unknown=MONTH), NOTHING, 2592, None, None),
        (UP, Availability(maintenance=MONTH), NOTHING, 2592, None, None),
        (Slo("availability", 100), Availability(up=MONTH), NOTHING, 0, 0, 1),
        (Slo("availability", 100), Availability(up=MONTH - 1, down=1), NOTHING, 0, 0, 0),
        # 720 runs are planned, of which 36 may fail.
        (Slo("success", 95), Availability(), runs(9, 1), 36, 35, 35 / 36),
        (Slo("success", 95), Availability(), runs(0, 40), 36, 0, 0),
        (Slo("success", 95), Availability(), runs(1400, 40), 72, 32, 32 / 72),
        (Slo("success", 95), Availability(), NOTHING, 36, None, None),
    ],
)
def test_an_error_budget_is_of_the_whole_30_days(
    slo: Slo,
    times: Availability,
    counts: RunCounts,
    allowed: float,
    left: float | None,
    ratio: float | None,
) -> None:
    begin = 1793577600.0  # 2026-11-02
    found = error_budget(slo, times, counts, HOURLY, begin, begin + 29 * DAY)
    assert (found.allowed, found.left, found.left_ratio) == pytest.approx((allowed, left, ratio))
    unknown = times.unknown if slo.kind == "availability" else 29 * DAY
    assert found.unknown == unknown


def test_a_burn_rate_is_of_the_period() -> None:
    budget = error_budget(UP, Availability(up=MONTH), NOTHING, None, 0.0, None)
    minute_a_day = SloResult(UP, 86.4, DAY)
    assert budget.burn_rate(minute_a_day, DAY) == pytest.approx(1)
    assert budget.burn_rate(minute_a_day, 7 * DAY) == pytest.approx(1 / 7)
    assert budget.burn_rate(SloResult(UP, 0, 0), DAY) is None


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Every(30), 86400),
        (HOURLY, 720),
        (Cron("0 9 * * 1-5"), 22),
        (Cron("*/5 9-16 * * 1-5"), 22 * 96),
        (Cron("0 3 1 * *"), 1),
        (Cron("0 0 15 * 5"), 5),  # the 15th, and each Friday
        (Calendar("*-*~1 04:00"), 1),
        (Calendar("Mon *-*-* 00/12:00"), 10),
    ],
)
def test_how_many_runs_30_days_have(schedule: Schedule, expected: float) -> None:
    assert occurrences(schedule, date(2026, 11, 2), 30) == expected


def test_budget_is_of_time_or_of_runs() -> None:
    times = Availability(up=90, down=10, maintenance=50, unknown=7)
    runs = RunCounts()
    runs.results.update(success=8, fail=1, held=1, log=5, skip=3)
    assert evaluate_slo(UP, times, runs) == SloResult(UP, 10, 100)
    success = Slo("success", 95)
    assert evaluate_slo(success, times, runs) == SloResult(success, 2, 10)
    assert SloResult(success, 2, 10).ratio == 0.8


# periods

TODAY = date(2026, 11, 22)  # a Sunday


def day(n: int, month: int = 11) -> date:
    return date(2026, month, n)


@pytest.mark.parametrize(
    ("text", "expected", "before"),
    [
        ("day", (day(21), day(21)), (day(20), day(20))),
        ("week", (day(9), day(15)), (day(2), day(8))),
        ("month", (day(1, 10), day(31, 10)), (day(1, 9), day(30, 9))),
        ("2026-11-10..2026-11-12", (day(10), day(12)), (day(7), day(9))),
        ("2026-11-10", (day(10), day(10)), (day(9), day(9))),
        ("2026-11-22", (day(22), day(22)), (day(21), day(21))),
        ("2026-11-21..2026-12-31", (day(21), day(22)), (day(19), day(20))),
    ],
)
def test_period(text: str, expected: tuple[date, date], before: tuple[date, date]) -> None:
    assert period.read(text, TODAY) == (Period(*expected), Period(*before))
    assert period.read("week", day(23))[0] == Period(day(16), day(22))  # on Monday


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("year", "'year' is not a period; use day, week, month, a date, or two dates like"),
        ("", "'' is not a period; "),
        ("2026-02-30", "'2026-02-30' is not a period; "),
        ("20261101", "'20261101' is not a period; "),
        ("2026-W47", "'2026-W47' is not a period; "),
        ("2026-11-01..", "'2026-11-01..' is not a period; "),
        ("2026-11-05..2026-11-01", "2026-11-01 is before 2026-11-05; put the earlier date first"),
        ("2026-11-23", "2026-11-23 is in the future; today is 2026-11-22"),
        ("2025-01-01..2026-11-01", "2025-01-01..2026-11-01 is longer than a year; "),
        ("0001-01-01", "0001-01-01 is too long ago; "),
        ("2026-11-01..9999-12-31", "2026-11-01..9999-12-31 is longer than a year; "),
    ],
)
def test_an_invalid_period(text: str, error: str) -> None:
    with pytest.raises(UsageError) as raised:
        period.read(text, TODAY)
    assert str(raised.value).startswith(error)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.sampled_from(["day", "week", "month"]))
def test_the_period_before_ends_where_it_begins(today: date, text: str) -> None:
    now, before = period.read(text, today)
    assert now.last < today
    assert before.end == now.begin
    assert list(now.each())[-1] == now.last


def test_days_are_those_of_the_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        hours = [
            (Period(day, day).end - Period(day, day).begin) / 3600
            for day in (date(2026, 3, 29), date(2026, 10, 24), date(2026, 10, 25))
        ]
        assert hours == [23, 24, 25]
        assert Period(date(2026, 10, 25), date(2026, 10, 25)).begin == 1792879200  # 22:00 UTC
        assert period.zone() == "Europe/Berlin"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("Etc/GMT+5", "Etc/GMT+5"),
        ("CET-1CEST", "CET-1CEST"),
        ("Europe/Berln", "UTC, because there is no time zone Europe/Berln"),
        ("Europe", "UTC, because there is no time zone Europe"),
    ],
)
def test_an_unknown_zone(given: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", given)
    assert period.zone() == words


# what runs show

MINUTE = Timing(Every(60), "", 60)
changes_of_a_day = st.lists(
    st.tuples(st.floats(0, 86400), st.floats(0, 600), st.booleans()), max_size=20
)


@given(changes_of_a_day)
def test_runs_show_one_state_at_a_time(runs: list[tuple[float, float, bool]]) -> None:
    changes, before = [], None
    for started, took, good in sorted(runs):
        changes.append(Change(before, started, started + took, good))
        before = started
    last = LastRun(before, before, 0.0, "success", "") if before is not None else None
    late = late_runs(changes, last, MINUTE, 90000)
    spans = run_history(changes, late, MINUTE.grace, 90000)
    assert all(first.end <= second.begin for first, second in pairwise(spans))
    assert all(span.end <= 90000 for span in spans)
    assert all(missed.seconds(90000) > MINUTE.grace for missed in late)


@pytest.mark.parametrize(
    ("starts", "now", "late"),
    [
        ([], 1000, []),
        ([0, 60, 120], 180, []),
        ([0, 60], 180, []),  # within its grace
        ([0, 60], 181, [(120, None)]),
        ([0, 120, 180], 200, []),
        ([0, 121, 180], 200, [(60, 121)]),
        ([0, 500], 700, [(60, 500), (560, None)]),
    ],
)
def test_what_comes_late(
    starts: list[float], now: float, late: list[tuple[float, float | None]]
) -> None:
    changes = [Change(before, at, at, True) for before, at in pairwise([None, *starts]) if at]
    last = LastRun(starts[-1], starts[-1], 0.0, "success", "") if starts else None
    found = late_runs(changes, last, MINUTE, now)
    assert [(missed.due, missed.came) for missed in found] == late


def test_a_schedule_with_gaps_of_its_own() -> None:
    """On working days at nine: Monday is not late after Friday."""
    plan = Timing(Cron("0 9 * * 1-5"), "UTC", 3600)
    friday, monday = 1795165200.0, 1795424400.0  # 2026-11-20 09:00, 2026-11-23 09:00
    change = Change(friday, monday + 60, monday + 90, True)
    last = LastRun(monday + 60, monday + 90, 30.0, "success", "")
    assert late_runs([change], last, plan, monday + 3600) == []
    tuesday = [Change(friday, monday + 86400, monday + 86400, True)]
    assert late_runs(tuesday, None, plan, monday) == [LateRun(monday, monday + 86400)]
