"""Figures and facts of a report in words. Missing data is a dash; no ratio is rounded up."""

import math
import time
from collections import Counter
from datetime import date
from typing import NamedTuple

from hcrun.catalog import Slo
from hcrun.reports.period import Period
from hcrun.reports.report import CheckReport, Report, Scope
from hcrun.reports.slo import DAYS, ErrorBudget
from hcrun.text import counted, printable
from hcrun.units import span, volume

DASH = "-"
MET = {True: "met", False: "missed", None: "no data"}


class Tile(NamedTuple):
    """One of the first things to know: a figure, what it is, and whether it is good."""

    figure: str
    about: str
    good: bool


def percent(ratio: float | None, digits: int = 2) -> str:
    """Rounded down: 99.999 % is not 100 %."""
    if ratio is None:
        return DASH
    scale: int = 10**digits
    value = math.floor(ratio * 100 * scale + 1e-6) / scale
    text = f"{value:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.')} %" if digits else f"{text} %"


def value(number: float | None, unit: str) -> str:
    """A value of perfdata, in its base unit."""
    if number is None:
        return DASH
    if unit == "seconds":
        return span(number)
    if unit == "bytes":
        return volume(number)
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def change(now: float | None, before: float | None) -> str:
    """The change of a duration or another value."""
    if now is None or not before:
        return DASH
    percents = round(100 * (now / before - 1))
    return f"{percents:+} %" if percents else "="


def minutes(seconds: float) -> str:
    """`43.2 min`; `42 s` and `24 h 54 min` where that reads better."""
    if not seconds:
        return "0"
    return f"{seconds / 60:.1f} min" if 60 <= seconds < 3600 else span(seconds)


def length(seconds: float | None) -> str:
    return DASH if seconds is None else span(seconds)


def moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def day(when: date) -> str:
    """`9 Nov`."""
    return f"{when.day} {when:%b}"  # in English: nothing calls setlocale()


def dates(period: Period) -> str:
    """`9 Nov 2026`, `9-15 Nov 2026`, `26 Oct - 1 Nov 2026`."""
    first, last = period.first, period.last
    if first == last:
        return f"{day(last)} {last.year}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}-{day(last)} {last.year}"
    year = "" if first.year == last.year else f" {first.year}"
    return f"{day(first)}{year} - {day(last)} {last.year}"


def burn_rate(rate: float | None) -> str:
    if rate is None:
        return DASH
    return f"{rate:.1f}x" if rate < 99.95 else f"{rate:.0f}x"


def slo(slo: Slo) -> str:
    return f"{slo.percent:g} % {'up' if slo.kind == 'availability' else 'success'}"


def amount(value: float | None, budget: ErrorBudget) -> str:
    """Of an error budget: `43.2 min`, `0.5 runs`."""
    if value is None:
        return DASH
    if budget.slo.kind == "availability":
        return minutes(value)
    text = f"{value:,.1f}".removesuffix(".0")
    return f"{text} run" if text == "1" else f"{text} runs"


def left(budget: ErrorBudget) -> str:
    """What is left of it: `31.2 min of 43.2 min left`, `none of 43.2 min left`."""
    if budget.left is None:
        return "no data"
    some = amount(budget.left, budget) if budget.left else "none"
    return f"{some} of {amount(budget.allowed, budget)} left"


def unknown(row: CheckReport, scope: Scope) -> str:
    """For how long the state is unknown, since when there is data, and its source."""
    parts = []
    if row.now.times.unknown:
        parts.append(f"{span(row.now.times.unknown)} unknown")
        if row.known_from is not None and row.known_from > scope.period.begin:
            parts.append(f"first data {moment(row.known_from)}")
    if row.source == "journal":
        parts.append("from recorded runs")
    return ", ".join(parts)


def recorded(report: Report) -> str:
    """How far back the recorded runs go."""
    since = report.recorded_from
    if since is None or since <= report.scope.before.begin:
        return f"Runs recorded on {report.whose}."
    return f"Runs recorded on {report.whose} since {moment(since)}."


def notes(report: Report) -> list[str]:
    """What the figures do not include."""
    return [
        f"A pause that was not made with `hcctl pause` on {report.whose} counts as an outage.",
        f"Runs, durations and failures are those recorded on {report.whose}.",
    ]


def origin(report: Report) -> list[str]:
    """Where the figures come from."""
    states = report.server or f"{report.whose}'s journal ({report.no_server})"
    if not report.journal:
        runs = f"no journal on {report.whose}"
    elif report.recorded_from is None:
        runs = f"none yet in {report.journal}"
    else:
        runs = f"{report.journal} on {report.host}, since {moment(report.recorded_from)}"
    problems = [f"Problem: {problem}." for problem in report.problems]
    return [f"States: {states}.", f"Runs: {runs}.", *notes(report), *problems]


def created(report: Report) -> str:
    return f"Created {moment(report.scope.now)} on {report.host}"


def title(report: Report) -> str:
    return f"{dates(report.scope.period)}, {comparison(report.scope)}"


def comparison(scope: Scope) -> str:
    """The period before; and for a period that is not over, how far it has come."""
    until = f"until {moment(scope.now)}, " if scope.now < scope.period.end else ""
    return f"{until}compared with {dates(scope.before)}"


def tiles(report: Report) -> list[Tile]:
    rows, found = report.checks, []
    count = Counter(row.slo.met for row in rows if row.slo)
    if count:
        without = f", {count[None]} without data" if count[None] else ""
        figure = f"{count[True]} of {count[True] + count[False]}"
        found.append(Tile(figure, f"SLOs met{without}", not count[False]))
    outages = [outage for row in rows for outage in row.now.outages]
    if any(row.now.times.known for row in rows):
        down = math.fsum(outage.seconds for outage in outages)
        found.append(Tile(minutes(down), f"down in {counted(len(outages), 'outage')}", not down))
    failed = sum(row.now.runs.bad for row in rows)
    runs = failed + sum(row.now.runs.good for row in rows)
    if runs:
        found.append(Tile(f"{failed:,}", f"of {counted(runs, 'run')} failed", not failed))
    else:
        found.append(Tile("no", "runs recorded", True))
    budgets = [
        (row.error_budget.spent, row.check.slug, row.error_budget)
        for row in rows
        if row.error_budget and row.error_budget.spent is not None
    ]
    if budgets:
        spent, slug, budget = max(budgets, key=lambda each: each[:2])
        some = amount(budget.left, budget) if budget.left else "none"
        allowed = amount(budget.allowed, budget)
        found.append(Tile(some, f"left of the error budget of {slug}, {allowed}", spent < 1))
    return found


def headline(report: Report) -> str:
    """The first tile, for the subject of a mail."""
    tile = tiles(report)[0]
    return f"{tile.figure} {tile.about}"


def summary(report: Report) -> list[str]:
    """The tiles as sentences."""
    return [f"{tile.figure} {tile.about}." for tile in tiles(report)]


def to_look_at(report: Report) -> list[tuple[str, str]]:
    """What somebody should look at: a check, and what is wrong with it. The worst checks first."""
    found = [(row.check.slug, text) for row in report.checks for text in _troubles(row, report)]
    found += [
        (slug, f"remedy: ran {counted(ran, 'time')}, helped {counted(helped, 'time')}")
        for slug, (ran, helped) in report.remedies.items()
    ]
    found += [(each.check, each.text) for each in report.forecasts]
    return [(printable(check), printable(text)) for check, text in found]


def _troubles(row: CheckReport, report: Report) -> list[str]:
    scope, found, budget = report.scope, [], row.error_budget
    if row.slo and row.slo.met is False:
        found.append(f"SLO missed: {slo(row.slo.slo)}, was {percent(row.slo.ratio)}")
    if budget and budget.spent is not None and budget.spent >= 1:
        used, allowed = amount(budget.used, budget), amount(budget.allowed, budget)
        found.append(f"error budget spent: {used} used of {allowed} in {DAYS} days")
    if row.never_ran:
        found.append("never ran" if row.check.remote is None else "never pinged")
    if row.now.flapping:
        found.append(f"flapping: {counted(len(row.now.outages), 'outage')}")
    if row.late:
        worst = max(row.late, key=lambda run: run.seconds(scope.end))
        late = f"{span(worst.seconds(scope.end))} late"
        late = "has not started" if worst.came is None else f"started {late}"
        runs = counted(len(row.late), "run")
        found.append(f"{runs} late or missing; the worst was due {moment(worst.due)}, {late}")
    outage = row.now.outages[-1] if row.now.outages else None
    if outage and outage.end == scope.end:
        found.append(f"down since {moment(outage.begin)}, not up again by the end")
    return found
