"""What is in the small pictures: a bar for each day, a line of durations, an error budget. Pure.

Shapes differ as well as colours: down time is at the foot of its bar, unknown days are short bars,
days of maintenance half bars.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from hcrun.reports.availability import Availability
from hcrun.reports.render import phrases
from hcrun.reports.report import Day
from hcrun.reports.slo import ErrorBudget
from hcrun.units import span

_HEIGHT = 32.0
_STEP, _BAR = 8.0, 6.0  # from bar to bar; the width of a bar
_WIDTH = 160.0  # of the lines
_MINIMUM = 8.0  # height of the down part of a bar: a short outage must be visible


class Picture(NamedTuple):
    """An SVG of 32 units in height."""

    width: float
    about: str  # in words, for screen readers
    paths: list[tuple[str, str]]  # class, path
    days: Sequence[tuple[float, str]] = ()  # x and title of days that have one


def bars(days: Sequence[Day], slug: str) -> Picture:
    """A bar for each day, oldest first."""
    shapes: dict[str, list[str]] = {"up": [], "unknown": [], "maintenance": [], "down": []}
    titles: list[tuple[float, str]] = []
    for n, day in enumerate(days):
        x = n * _STEP
        for kind, top, height in _parts(day.times):
            shapes[kind].append(f"M{x:g} {top:g}h{_BAR:g}v{height:g}h-{_BAR:g}z")
        if day.times.down or day.times.maintenance:
            titles.append((x, f"{day.date}: {_states(day.times)}"))
    paths = [(kind, "".join(d)) for kind, d in shapes.items() if d]
    return Picture(len(days) * _STEP, _summary(days, slug), paths, titles)


def _parts(times: Availability) -> list[tuple[str, float, float]]:
    """Kind, top and height of each part of a bar."""
    if times.down:
        foot = max(_MINIMUM, _HEIGHT * times.down / times.known)
        top = [("up", 0.0, _HEIGHT - foot - 1)] if foot < _HEIGHT - 2 else []
        return [*top, ("down", _HEIGHT - foot, foot)]
    if times.up:
        return [("up", 0.0, _HEIGHT)]
    if times.maintenance:
        return [("maintenance", _HEIGHT / 2, _HEIGHT / 2)]
    return [("unknown", _HEIGHT * 3 / 4, _HEIGHT / 4)]


def _states(times: Availability) -> str:
    parts = [f"{phrases.percent(times.ratio)} up"] if times.known else []
    seconds = {"down": times.down, "maintenance": times.maintenance, "unknown": times.unknown}
    parts += [f"{span(value)} {state}" for state, value in seconds.items() if value]
    return ", ".join(parts)


def _summary(days: Sequence[Day], slug: str) -> str:
    down = [day for day in days if day.times.down]
    unknown = sum(not day.times.known and not day.times.maintenance for day in days)
    up = sum(day.times.known > 0 and not day.times.down for day in days)
    text = f"{slug}, {len(days)} days: {up} up, {len(down)} with an outage, {unknown} unknown"
    if down:
        listed = ", ".join(f"{day.date} {span(day.times.down)}" for day in down[-5:])
        text += f"; down {listed}" if len(down) <= 5 else f"; down most recently {listed}"
    return text


def durations(days: Sequence[Day], slug: str) -> Picture | None:
    """The mean duration of each day's runs; days without runs are gaps. None without a line."""
    means = [day.runs.mean for day in days]
    known = [mean for mean in means if mean is not None]
    if len(known) < 2:
        return None
    top = max(known) or 1.0
    step = _WIDTH / (len(means) - 1)
    points = [
        None if mean is None else (n * step, 2 + (_HEIGHT - 4) * (1 - mean / top))
        for n, mean in enumerate(means)
    ]
    figures = f"{span(min(known))} to {span(top)}, last {span(known[-1])}"
    about = f"{slug}, mean duration by day: {figures}"
    return Picture(_WIDTH, about, [("line", _path(points))])


def burn_down(days: Sequence[Day], budget: ErrorBudget, slug: str) -> Picture | None:
    """The error budget left after each day; at the base line it is spent. None without data."""
    spent = budget.spent
    if spent is None or not days:
        return None
    if budget.slo.kind == "availability":
        bad = [day.times.down for day in days]
    else:
        bad = [float(day.runs.bad) for day in days]
    allowed = budget.allowed or math.inf
    after = [1.0, *(max(-1.0, 1 - used / allowed) for used in accumulate(bad))]
    bottom = min(0.0, *after)
    step = _WIDTH / (len(after) - 1)

    def y(value: float) -> float:
        return 2 + (_HEIGHT - 4) * (1 - value) / (1 - bottom)

    line = _path([(n * step, y(value)) for n, value in enumerate(after)])
    kind = "spent" if spent > 1 else "left"
    about = f"{slug}, error budget of {len(days)} days: {phrases.left(budget)}"
    area, base = f"{line}V{y(0):.1f}H0z", f"M0 {y(0):.1f}H{_WIDTH:g}"
    return Picture(_WIDTH, about, [(f"area {kind}", area), ("base", base), (f"line {kind}", line)])


def _path(points: Iterable[tuple[float, float] | None]) -> str:
    """A line through the points; a dot for a point between gaps."""
    path, pen_down = "", False
    for point in points:
        if point:
            x, y = point
            path += f"L{x:.1f} {y:.1f}" if pen_down else f"M{x:.1f} {y:.1f}h0"
        pen_down = point is not None
    return path
