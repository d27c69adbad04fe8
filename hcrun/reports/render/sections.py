"""The tables of a report, from which text, Markdown and HTML are made."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from hcrun.alerts.drills import Result as Drilled
from hcrun.journal.queries import LastRun, RunCounts
from hcrun.reports.render import phrases
from hcrun.reports.report import CheckReport, Report
from hcrun.reports.slo import DAYS
from hcrun.results import BLOCKED
from hcrun.text import printable, shortened
from hcrun.units import span

_SHOWN = 10  # of the checks that failed most
_WIDEST = 200  # characters of a cell that is cut
LOOK = "To look at"
T = TypeVar("T")


class Column(NamedTuple):
    title: str
    cells: list[str]
    numeric: bool  # aligned to the right


@dataclass(frozen=True)
class Section:
    """A table with a title; `about` explains it."""

    title: str
    columns: list[Column]
    about: str = ""

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return list(zip(*(column.cells for column in self.columns), strict=True))


def sections(report: Report, shown: int | None = None) -> list[Section]:
    """The tables that have rows, what to look at first; with at most `shown` rows each."""
    tables = (_to_look_at, _slos, _availability, _runs, _failures, _tenants, _maintenance, _drills)
    found = [section for section in (table(report) for table in tables) if section.rows]
    return found if shown is None else [_cut(section, shown) for section in found]


def _cut(section: Section, shown: int) -> Section:
    cells = [[shortened(cell, _WIDEST) for cell in each.cells[:shown]] for each in section.columns]
    columns = [
        column._replace(cells=kept) for column, kept in zip(section.columns, cells, strict=True)
    ]
    count = len(section.rows)
    more = f", {shown} of {count:,}" if count > shown else ""
    return replace(section, title=section.title + more, columns=columns)


def _text(title: str, rows: Iterable[T], cell: Callable[[T], str]) -> Column:
    return Column(title, [cell(row) for row in rows], numeric=False)


def _number(title: str, rows: Iterable[T], cell: Callable[[T], str]) -> Column:
    return Column(title, [cell(row) for row in rows], numeric=True)


def _slos(report: Report) -> Section:
    rows = [
        (row, row.slo, row.error_budget) for row in report.checks if row.slo and row.error_budget
    ]
    return Section(
        "SLOs",
        [
            _text("check", rows, lambda row: _slug(row[0])),
            _text("tier", rows, lambda row: printable(row[0].check.tier) or phrases.DASH),
            _text("SLO", rows, lambda row: phrases.slo(row[1].slo)),
            _text("result", rows, lambda row: phrases.MET[row[1].met]),
            _number("this period", rows, lambda row: phrases.percent(row[1].ratio)),
            _number("before", rows, lambda row: phrases.percent(row[0].before.ratio(row[1].slo))),
            _number("burn rate", rows, lambda row: phrases.burn_rate(row[0].burn_rate)),
            _number("budget", rows, lambda row: phrases.amount(row[2].allowed, row[2])),
            _number("used", rows, lambda row: phrases.amount(row[2].used, row[2])),
            _number("left", rows, lambda row: phrases.amount(row[2].left, row[2])),
            _number("unknown", rows, lambda row: _span(row[2].unknown)),
        ],
        f"The error budget is for {DAYS} days, of which some are unknown. A burn rate of 1x spends"
        " exactly the error budget.",
    )


def _availability(report: Report) -> Section:
    rows = [row for row in report.checks if row.source]

    return Section(
        "Availability",
        [
            _text("check", rows, _slug),
            _number("up", rows, lambda row: phrases.percent(row.now.times.ratio)),
            _number("before", rows, lambda row: phrases.percent(row.before.times.ratio)),
            _number("down", rows, lambda row: phrases.minutes(row.now.times.down)),
            _number("outages", rows, lambda row: str(len(row.now.outages))),
            _number("longest", rows, lambda row: _span(row.now.longest_seconds)),
            _number("maintenance", rows, lambda row: _span(row.now.times.maintenance)),
            _text("unknown", rows, lambda row: phrases.unknown(row, report.scope)),
        ],
        "Unknown time and planned maintenance are excluded from all ratios.",
    )


def _runs(report: Report) -> Section:
    rows = [row for row in report.checks if row.now.runs.results or row.before.runs.results]
    return Section(
        "Runs",
        [
            _text("check", rows, _slug),
            _number("runs", rows, lambda row: f"{row.now.runs.good + row.now.runs.bad:,}"),
            _number("failed", rows, lambda row: f"{row.now.runs.bad:,}"),
            _number("success", rows, lambda row: phrases.percent(row.now.runs.ratio)),
            _number("before", rows, lambda row: phrases.percent(row.before.runs.ratio)),
            _number("p50", rows, lambda row: phrases.length(row.now.p50)),
            _number("p95", rows, lambda row: phrases.length(row.now.p95)),
            _number("p95 before", rows, lambda row: phrases.length(row.before.p95)),
            _number("change", rows, lambda row: phrases.change(row.now.p95, row.before.p95)),
        ],
        phrases.recorded(report),
    )


def most_failures(report: Report) -> list[tuple[CheckReport, LastRun]]:
    """The checks with failed runs, those with the most first, and their last failure."""
    failing = [(row, row.last_failure) for row in report.checks if row.last_failure]
    return sorted(failing, key=lambda row: (-row[0].now.runs.bad, row[0].check.slug))


def _failures(report: Report) -> Section:
    failing = [(row, row.now.runs, last) for row, last in most_failures(report)]
    rows = failing[:_SHOWN]
    columns = [
        _text("check", rows, lambda row: _slug(row[0])),
        _number("failed", rows, lambda row: _failed(row[1])),
        _text("last failure", rows, lambda row: phrases.moment(row[2].started)),
        _text("reason", rows, lambda row: printable(row[2].text)),
    ]
    more = f", {_SHOWN} of {len(failing)}" if len(failing) > _SHOWN else ""
    return Section(f"Most failures{more}", columns)


def _failed(runs: RunCounts) -> str:
    blocked = f", {runs.results[BLOCKED]:,} blocked" if runs.results[BLOCKED] else ""
    return f"{runs.bad:,} of {runs.good + runs.bad:,}{blocked}"


def _to_look_at(report: Report) -> Section:
    rows = phrases.to_look_at(report)
    columns = [_text("check", rows, lambda row: row[0]), _text("what", rows, lambda row: row[1])]
    return Section(LOOK, columns)


def _maintenance(report: Report) -> Section:
    rows = [(row, maintenance) for row in report.checks for maintenance in row.maintenance]
    return Section(
        "Planned maintenance",
        [
            _text("check", rows, lambda row: _slug(row[0])),
            _text("from", rows, lambda row: phrases.moment(row[1].begin)),
            _text("to", rows, lambda row: phrases.moment(row[1].end)),
            _number("duration", rows, lambda row: span(row[1].end - row[1].begin)),
            _text("reason", rows, lambda row: printable(row[1].reason)),
        ],
    )


def _tenants(report: Report) -> Section:
    rows = report.tenants
    return Section(
        "Tenants",
        [
            _text("check", rows, lambda row: printable(row.check)),
            _text("tenant", rows, lambda row: printable(row.tenant)),
            _text("reading", rows, lambda row: printable(row.reading)),
            _number("this period", rows, lambda row: phrases.value(row.now, row.unit)),
            _number("before", rows, lambda row: phrases.value(row.before, row.unit)),
            _number("change", rows, lambda row: phrases.change(row.now, row.before)),
        ],
        "Means of up to 63 runs in each period. * are the tenants without a row of their own.",
    )


def _drills(report: Report) -> Section:
    last = report.drills
    return Section(
        "Drills",
        [
            _text("drill", last, lambda row: printable(row[0])),
            _text("last", last, lambda row: phrases.moment(row[1].at) if row[1] else "never"),
            _number("took", last, lambda row: _span(row[1].seconds if row[1] else 0.0)),
            _text("result", last, lambda row: _verdict(row[1])),
        ],
    )


def _verdict(last: Drilled | None) -> str:
    if not last:
        return phrases.DASH
    return printable(last.text if last.good else f"failed: {last.text}")


def _span(seconds: float) -> str:
    return span(seconds) if seconds else phrases.DASH


def _slug(row: CheckReport) -> str:
    return printable(row.check.slug)
