"""The report as titles and tables of words; text, Markdown and HTML are made of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hcrun.reports.render import phrases
from hcrun.reports.report import CheckReport, Report
from hcrun.text import printable
from hcrun.units import span


@dataclass(frozen=True)
class Section:
    """`numeric`: the columns that are aligned to the right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    about: str = ""


def sections(report: Report) -> list[Section]:
    """Those that have something to say."""
    makers: tuple[Callable[[Report], Section], ...] = (
        *(promises, availability, runs, failing, worries, outlook, maintenance),
    )
    return [section for section in (make(report) for make in makers) if section.rows]


def promises(report: Report) -> Section:
    rows = []
    for service in report.services:
        promise, budget = service.promise, service.budget
        if not promise or not budget:
            continue
        before = (
            service.before.times.ratio
            if promise.slo.kind == "availability"
            else service.before.runs.ratio
        )
        rows.append(
            (
                *(_name(service), printable(service.subject.tier) or phrases.DASH),
                *(phrases.promise(promise.slo), phrases.kept(promise.kept)),
                *(
                    phrases.percent(promise.ratio),
                    phrases.percent(before),
                    phrases.burn(promise.burn),
                ),
                phrases.percent(budget.left, 0),
            )
        )
    return Section(
        "Promises",
        ("check", "tier", "promise", "", "this time", "before", "burn", "budget left"),
        tuple(rows),
        frozenset({4, 5, 6, 7}),
        "Burn: 1x spends just what the promise allows. Budget: of the 30 days up to the end.",
    )


def availability(report: Report) -> Section:
    rows = []
    for service in report.services:
        times, longest = service.now.times, service.now.longest
        if not service.source:
            continue
        rows.append(
            (
                *(_name(service), phrases.percent(times.ratio)),
                phrases.percent(service.before.times.ratio),
                *(phrases.minutes(times.down), str(len(service.now.outages))),
                *(phrases.length(longest.seconds if longest else None),),
                *(phrases.length(times.maintenance or None), phrases.known(service, report)),
            )
        )
    return Section(
        "Availability",
        ("check", "up", "before", "down", "outages", "longest", "maintenance", "not known"),
        tuple(rows),
        frozenset({1, 2, 3, 4, 5, 6}),
        "Of the time that is known, without planned maintenance.",
    )


def runs(report: Report) -> Section:
    rows = []
    for service in report.services:
        now, before = service.now, service.before
        if not now.runs.results and not before.runs.results:
            continue
        rows.append(
            (
                *(_name(service), f"{now.runs.good + now.runs.bad:,}", f"{now.runs.bad:,}"),
                *(phrases.percent(now.runs.ratio), phrases.percent(before.runs.ratio)),
                *(phrases.length(now.p50), phrases.length(now.p95), phrases.length(before.p95)),
                phrases.change(now.p95, before.p95),
            )
        )
    return Section(
        "Runs",
        (
            *("check", "runs", "failed", "success", "before", "p50", "p95", "p95 before"),
            "change",
        ),
        tuple(rows),
        frozenset(range(1, 9)),
        phrases.recorded(report),
    )


def failing(report: Report) -> Section:
    worst = sorted(
        (service for service in report.services if service.now.runs.bad),
        key=lambda service: (-service.now.runs.bad, service.subject.slug),
    )
    rows = []
    for service in worst[:10]:
        runs, last = service.now.runs, service.last_failure
        rows.append(
            (
                *(_name(service), f"{runs.bad:,} of {runs.good + runs.bad:,}"),
                phrases.moment(last.started) if last else phrases.DASH,
                printable(last.words) if last else phrases.DASH,
            )
        )
    title = "Most failing" if len(worst) <= 10 else f"Most failing, 10 of {len(worst)}"
    return Section(title, ("check", "failed", "last", "what it said"), tuple(rows), frozenset({1}))


def worries(report: Report) -> Section:
    rows = [
        (_name(service), worry)
        for service in report.services
        for worry in phrases.worries(service, report)
    ]
    return Section("To look at", ("check", "what"), tuple(rows))


def outlook(report: Report) -> Section:
    rows = [(printable(each.check), printable(each.text)) for each in report.outlook]
    return Section("To expect", ("check", "what"), tuple(rows))


def maintenance(report: Report) -> Section:
    rows = [
        (
            *(_name(service), phrases.moment(window.begin), phrases.moment(window.end)),
            *(span(window.end - window.begin), printable(window.reason)),
        )
        for service in report.services
        for window in service.maintenance
    ]
    return Section(
        "Planned maintenance", ("check", "from", "to", "for", "reason"), tuple(rows), frozenset({3})
    )


def _name(service: CheckReport) -> str:
    return printable(service.subject.slug)
