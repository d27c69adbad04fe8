"""Figures as people read them. What is not known is a dash, and nothing is rounded to 100 %."""

from __future__ import annotations

import math
import time
from collections import Counter
from datetime import date

from hcrun.catalog import Slo
from hcrun.reports.period import Period
from hcrun.reports.report import CheckReport, Report
from hcrun.text import counted
from hcrun.units import span

DASH = "-"
_MONTHS = (  # whatever the locale
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
NOTES = (
    "A pause that `hcctl pause` on this host did not make counts as an outage.",
    "Runs, durations and failures are of the runs that this host recorded.",
)


def percent(ratio: float | None, digits: int = 2) -> str:
    """Cut off, not rounded: 99.999 % is no 100 %."""
    if ratio is None:
        return DASH
    scale: int = 10**digits
    value = math.floor(ratio * 100 * scale + 1e-6) / scale
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") + " %" if digits else f"{value:.0f} %"


def change(now: float | None, before: float | None) -> str:
    """How a duration changed."""
    if now is None or not before:
        return DASH
    percents = round(100 * (now / before - 1))
    return f"{percents:+} %" if percents else "="


def minutes(seconds: float) -> str:
    """One decimal as long as that is worth something."""
    value = seconds / 60
    return (f"{value:,.0f} min" if value >= 100 else f"{value:.1f} min") if seconds else "0"


def length(seconds: float | None) -> str:
    return DASH if seconds is None else span(seconds)


def moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def day(when: date) -> str:
    """`9 Nov`."""
    return f"{when.day} {_MONTHS[when.month - 1]}"


def dates(period: Period) -> str:
    """`9 Nov 2026`, `9-15 Nov 2026`, `26 Oct - 1 Nov 2026`."""
    first, last = period.first, period.last
    if first == last:
        return f"{day(last)} {last.year}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}-{day(last)} {last.year}"
    year = "" if first.year == last.year else f" {first.year}"
    return f"{day(first)}{year} - {day(last)} {last.year}"


def burn(rate: float | None) -> str:
    return DASH if rate is None else f"{rate:.1f}x" if rate < 99.95 else f"{rate:.0f}x"


def promise(slo: Slo) -> str:
    return f"{slo.percent:g} % {'up' if slo.kind == 'availability' else 'success'}"


def kept(answer: bool | None) -> str:
    return {True: "kept", False: "broken", None: "not known"}[answer]


def known(service: CheckReport, report: Report) -> str:
    """How much of the time nobody knows, why, and who knows the rest, if not the server."""
    times = service.now.times
    told = []
    if times.unknown:
        told.append(f"{span(times.unknown)} not known")
        begin = service.known_from
        if begin is not None and begin > report.period.begin:
            told.append(f"first known {moment(begin)}")
    if service.source == "journal":
        told.append("by this host's runs")
    return ", ".join(told)


def recorded(report: Report) -> str:
    """What runs the figures of runs are of."""
    since, begin = report.recorded_from, report.before.begin
    if since is None or since <= begin:
        return "Of the runs on this host."
    return f"Of the runs on this host; none is recorded from before {moment(since)}."


def origin(report: Report) -> list[str]:
    """Where the figures come from."""
    state = report.server or f"this host's journal ({report.no_server})"
    if not report.journal:
        recorded = "there is no journal on this host"
    elif report.recorded_from is None:
        recorded = f"none yet in {report.journal}"
    else:
        recorded = f"{report.journal} of {report.host}, since {moment(report.recorded_from)}"
    return [f"States: {state}.", f"Runs: {recorded}."]


def title(report: Report) -> str:
    """Which days, beside which."""
    return f"{dates(report.period)}, {beside(report)}"


def beside(report: Report) -> str:
    """The days before; and how far those told have come, when they are not over."""
    so_far = f"until {moment(report.made)}, " if report.made < report.period.end else ""
    return f"{so_far}beside {dates(report.before)}"


def tiles(report: Report) -> list[tuple[str, str, bool]]:
    """The first things that anybody wants to know: a figure, what it is, whether it is good."""
    told = []
    count = Counter(service.promise.kept for service in report.services if service.promise)
    if count:
        unknown = f", {count[None]} not known" if count[None] else ""
        told.append(
            (
                f"{count[True]} of {count[True] + count[False]}",
                f"promises kept{unknown}",
                not count[False],
            )
        )
    outages = [outage for service in report.services for outage in service.now.outages]
    if any(service.now.times.known for service in report.services):
        down = math.fsum(outage.seconds for outage in outages)
        told.append((minutes(down), f"down in {counted(len(outages), 'outage')}", not down))
    failed = sum(service.now.runs.bad for service in report.services)
    runs = failed + sum(service.now.runs.good for service in report.services)
    told.append((f"{failed:,}" if runs else "no", _failed(runs), not failed))
    budgets = [(service.budget.left, service) for service in report.services if service.budget]
    known = [(left, service.subject.slug) for left, service in budgets if left is not None]
    if known:
        left, slug = min(known)
        told.append((percent(left, 0), f"least budget left: {slug}", left > 0))
    return told


def _failed(runs: int) -> str:
    return f"of {counted(runs, 'run')} failed" if runs else "runs recorded"


def headline(report: Report) -> str:
    """The first of them, for a subject."""
    figure, about, _ = tiles(report)[0]
    return f"{figure} {about}"


def summary(report: Report) -> list[str]:
    """The same in sentences."""
    return [f"{figure} {about}." for figure, about, _ in tiles(report)]


def worries(service: CheckReport, report: Report) -> list[str]:
    """What somebody should look at, a sentence each."""
    told = []
    if service.never_ran:
        told.append("never ran" if service.subject.remote is None else "never pinged")
    if service.now.flapping:
        told.append(f"flapping: {counted(len(service.now.outages), 'outage')}")
    if service.late:
        worst = max(service.late, key=lambda late: late.seconds(report.end))
        when = f"due {moment(worst.due)}, " + (
            "not there yet" if worst.came is None else f"{span(worst.seconds(report.end))} late"
        )
        told.append(f"{counted(len(service.late), 'run')} late or missing, the worst {when}")
    outage = service.now.outages[-1] if service.now.outages else None
    if outage and outage.going:
        told.append(f"down since {moment(outage.begin)}, and still at the end")
    return told
