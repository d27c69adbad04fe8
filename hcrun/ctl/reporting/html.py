"""The report as one page."""

from __future__ import annotations

from hcrun.looking.report import Report


def html(report: Report) -> str:
    return str(report.period)
