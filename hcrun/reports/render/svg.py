"""Small pictures in SVG: bars of days, a line of durations, a budget that burns down. Pure.

Shape tells as much as colour does: what is down stands at the foot of its bar, what nobody knows
is a short bar, maintenance half of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

from hcrun.reports.availability import Availability
from hcrun.reports.render import phrases
from hcrun.reports.render.markup import Markup, tag, together
from hcrun.reports.report import Day
from hcrun.reports.slo import Budget
from hcrun.units import span

_HEIGHT = 32.0
_STEP, _BAR = 8.0, 6.0  # from bar to bar; how wide one is
_WIDTH = 160.0  # of the lines
_LEAST = 8.0  # of a bar's part that is down, however short that was: it must be seen


def bars(days: Sequence[Day], slug: str) -> Markup:
    """A bar a day, oldest first."""
    shapes: dict[str, list[str]] = {"up": [], "unknown": [], "maintenance": [], "down": []}
    titles: list[Markup] = []
    for n, day in enumerate(days):
        x = n * _STEP
        for kind, top, height in _parts(day.times):
            shapes[kind].append(f"M{x:g} {top:g}h{_BAR:g}v{height:g}h-{_BAR:g}z")
        if day.times.down or day.times.maintenance:
            words_ = tag("title", f"{day.date}: {_told(day.times)}")
            titles.append(
                tag("rect", words_, x=x, y=0, width=_STEP, height=_HEIGHT, class_="hover")
            )
    paths = [tag("path", class_=kind, d="".join(d)) for kind, d in shapes.items() if d]
    return _svg(len(days) * _STEP, _summary(days, slug), *paths, *titles)


def _parts(times: Availability) -> list[tuple[str, float, float]]:
    """Kind, top and height of what a bar is made of."""
    if not times.known:
        kind = "maintenance" if times.maintenance else "unknown"
        height = _HEIGHT / (2 if times.maintenance else 4)
        return [(kind, _HEIGHT - height, height)]
    if not times.down:
        return [("up", 0.0, _HEIGHT)]
    foot = max(_LEAST, _HEIGHT * times.down / times.known)
    top = [("up", 0.0, _HEIGHT - foot - 1)] if foot < _HEIGHT - 2 else []
    return [*top, ("down", _HEIGHT - foot, foot)]


def _told(times: Availability) -> str:
    told = [f"{phrases.percent(times.ratio)} up"] if times.known else []
    told += [f"{span(times.down)} down"] if times.down else []
    told += [f"{span(times.maintenance)} maintenance"] if times.maintenance else []
    told += [f"{span(times.unknown)} not known"] if times.unknown else []
    return ", ".join(told) or "nothing known"


def _summary(days: Sequence[Day], slug: str) -> str:
    """The picture in words, for those who do not see it."""
    down = [day for day in days if day.times.down]
    unknown = sum(not day.times.known and not day.times.maintenance for day in days)
    up = sum(day.times.known > 0 and not day.times.down for day in days)
    told = f"{slug}, {len(days)} days: {up} up, {len(down)} with an outage, {unknown} not known"
    if down:
        listed = ", ".join(f"{day.date} {span(day.times.down)}" for day in down[-5:])
        told += f"; down {'' if len(down) <= 5 else 'lately '}{listed}"
    return told


def durations(days: Sequence[Day], slug: str) -> Markup | None:
    """The mean duration of each day's runs; days without one are gaps."""
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
    about = (
        f"{slug}, mean duration a day: {span(min(known))} to {span(top)}, last {span(known[-1])}"
    )
    return _svg(_WIDTH, about, tag("path", class_="line", d=_path(points)))


def burn_down(days: Sequence[Day], budget: Budget, slug: str) -> Markup | None:
    """What was left of the budget after each day; the base line is where it is spent."""
    left = budget.left
    if left is None or not days:
        return None
    if budget.slo.kind == "availability":
        bad = [day.times.down for day in days]
    else:
        bad = [float(day.runs.bad) for day in days]
    allowed = budget.allowed or math.inf
    after = [1.0, *(max(-1.0, 1 - spent / allowed) for spent in accumulate(bad))]
    bottom = min(0.0, *after)
    step = _WIDTH / (len(after) - 1)

    def y(value: float) -> float:
        return 2 + (_HEIGHT - 4) * (1 - value) / (1 - bottom)

    points = [(n * step, y(value)) for n, value in enumerate(after)]
    zero = tag("path", class_="base", d=f"M0 {y(0):.1f}H{_WIDTH:g}")
    area = f"{_path(points)}V{y(0):.1f}H0z"
    kind = "spent" if left < 0 else "left"
    about = f"{slug}, error budget of {len(days)} days: {phrases.percent(left, 0)} left"
    return _svg(
        _WIDTH,
        about,
        tag("path", class_=f"area {kind}", d=area),
        zero,
        tag("path", class_=f"line {kind}", d=_path(points)),
    )


def _path(points: Iterable[tuple[float, float] | None]) -> str:
    """A line through the points; a dot where one stands alone between gaps."""
    told = ""
    pen_down = False
    for point in points:
        if point is None:
            pen_down = False
            continue
        told += f"{'L' if pen_down else 'M'}{point[0]:.1f} {point[1]:.1f}"
        told += "" if pen_down else "h0"
        pen_down = True
    return told


def _svg(width: float, about: str, *shapes: Markup) -> Markup:
    return tag(
        "svg",
        tag("title", about),
        together(*shapes),
        viewBox=f"0 0 {width:g} {_HEIGHT:g}",
        preserveAspectRatio="none",
        role="img",
        aria_label=about,
    )
