"""Trend and forecast: pure figures, by tables and by what must always hold."""

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcrun.reports.statistics import DAY, MAX_POINTS, Point, percentile, project, slope, thin


def line(days: int, start: float, per_day: float, a_day: int = 4) -> list[Point]:
    """Points on a straight line."""
    return [(at * DAY / a_day, start + per_day * at / a_day) for at in range(days * a_day + 1)]


def noisy(points: list[Point], by: float) -> list[Point]:
    chance = random.Random(7)
    return [(at, value + chance.uniform(-by, by)) for at, value in points]


def test_projection_of_a_line() -> None:
    projection = project(line(30, 54.0, 1.0), 107.0)
    assert projection is not None
    assert projection.left == pytest.approx(23 * DAY)
    assert projection.pace * DAY == pytest.approx(1.0)
    assert projection.span == 30 * DAY


@pytest.mark.parametrize(
    ("points", "limit", "days"),
    [
        (line(30, 50, 1), 100, 20),
        (noisy(line(30, 50, 1), 2), 100, 20),
        (line(30, 90, -2), 0, 15),  # falls to its floor
        (line(30, 50, 2), 100, 0),  # crossed on the way
        (line(3, 50, 1), 62, 9),
        (line(30, 50, 1)[:-1] + [(30 * DAY, 1e9)], 100, 20),  # one wild value is nothing
        (line(26, 50, 1) + [(at, value - 30) for at, value in line(30, 50, 1)[105:]], 100, 50),
    ],
)
def test_projection(points: list[Point], limit: float, days: float) -> None:
    projection = project(points, limit)
    assert projection is not None
    assert projection.left / DAY == pytest.approx(days, abs=2)


@pytest.mark.parametrize(
    ("points", "limit"),
    [
        ([], 100.0),
        (line(30, 50, 1)[:11], 100),  # too few
        (line(2, 50, 1, a_day=24), 100),  # too short
        (line(30, 50, 0), 100),  # flat
        (noisy(line(30, 50, 0), 20), 100),  # noise
        (line(30, 50, -1), 100),  # goes away from it
        (line(30, 150, 1), 100),  # above for as long as is projection, and no lower
        (line(3, 50, 1), 80),  # further away than three days can tell
        ([(at * DAY / 4, 50 + at % 28) for at in range(112)], 100),  # emptied each week
        ([(at * DAY, 50.0 + 20 * (at > 15)) for at in range(30)], 100),  # one step
    ],
)
def test_no_projection(points: list[Point], limit: float) -> None:
    assert project(points, limit) is None


def test_slope_is_the_median_of_pairs() -> None:
    """A fifth of the points is far off, and it does not matter."""
    points = line(10, 0, 3)
    wild = [(at, value if number % 5 else 1000.0) for number, (at, value) in enumerate(points)]
    assert slope(wild) * DAY == pytest.approx(3.0)


@given(st.floats(-1e6, 1e6), st.floats(0.01, 1e3), st.floats(1, 1e3))
def test_a_line_reaches_what_it_reaches(start: float, per_day: float, days: float) -> None:
    points = line(30, start, per_day)
    projection = project(points, points[-1][1] + per_day * days)
    if days > 6 * 30 + 1:
        assert projection is None
    if days < 6 * 30 - 1:
        assert projection is not None
        assert projection.left == pytest.approx(days * DAY, rel=1e-3)


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(-1e12, 1e12)), max_size=40), st.floats())
def test_any_series_is_survived(points: list[Point], limit: float) -> None:
    projection = project(sorted(points), limit)
    assert projection is None or projection.left >= 0


def test_same_moment_twice() -> None:
    points = [(at * DAY, float(at)) for at in range(20) for _ in range(2)]
    assert slope(points) * DAY == pytest.approx(1.0)


@given(st.integers(0, 1000))
def test_thin(count: int) -> None:
    points = [(float(at), 0.0) for at in range(count)]
    kept = thin(points)
    assert len(kept) == min(count, MAX_POINTS)
    assert list(kept) == sorted(set(kept))
    assert [*kept[:1], *kept[-1:]] == points[:1] + points[-1:]


MONTH = [1.0, 1.1, 0.9, 1.2, 0.8] * 6  # median 1, MAD 0.1, sigma 0.148


def test_growth_that_tripled_is_seen_in_a_week() -> None:
    points = noisy(line(20, 10, 1), 0.3) + [
        (at + 20 * DAY, value) for at, value in noisy(line(7, 30, 3), 0.3)
    ]
    projection = project(points, 100)
    assert projection is not None
    assert projection.left / DAY == pytest.approx((100 - 51) / 3, rel=0.15)


def test_error_of_the_forecasts() -> None:
    """Lines and lines that become faster, with noise: the time left is right within a tenth."""
    chance, errors = random.Random(7), []
    for _ in range(100):
        pace, noise = chance.uniform(0.2, 3), chance.uniform(0, 3)
        factor, faster = chance.choice((1, 2, 3)), chance.randint(4, 9)
        points = noisy(line(30 - faster, 10, pace, 2), noise)
        level = 10 + pace * (30 - faster)
        after = noisy(line(faster, level, pace * factor, 2)[1:], noise)
        points += [(at + (30 - faster) * DAY, value) for at, value in after]
        truth = chance.uniform(3, 30)
        limit = level + pace * factor * (faster + truth)
        if projection := project(points, limit):
            errors.append(abs(projection.left / DAY - truth) / truth)
    errors.sort()
    print(f"{len(errors)} forecasts; error: median {median(errors):.2f}, 90% {errors[-10]:.2f}")
    assert len(errors) > 80
    assert median(errors) < 0.2


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1.0), (50, 2.0), (51, 3.0), (75, 3.0), (95, 4.0), (100, 4.0)]
)
def test_percentile_is_a_value_that_occurred(percent: float, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == expected


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(0, 100))
def test_a_percentile_bounds_that_many_percent(values: list[float], percent: int) -> None:
    values.sort()
    found = percentile(values, percent)
    assert found is not None
    assert 100 * sum(value <= found for value in values) >= percent * len(values)


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 95) is None
