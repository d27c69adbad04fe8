"""The report for programs: seconds (since the epoch), ratios from 0 to 1, null for not known."""

from __future__ import annotations

import json
import math

from hcrun.journal.queries import Last
from hcrun.reports.availability import Availability, Outage
from hcrun.reports.forecast import Forecast
from hcrun.reports.period import Period
from hcrun.reports.render import phrases
from hcrun.reports.report import CheckReport, PeriodStats, Report
from hcrun.reports.slo import Budget


def to_json(report: Report) -> str:
    """One object; hcctl report --help says what is in it."""
    return (
        json.dumps(
            {
                "period": _period(report.period),
                "before": _period(report.before),
                "zone": report.zone,
                "made": report.made,
                "host": report.host,
                "server": report.server or None,
                "journal": report.journal or None,
                "recorded_from": report.recorded_from,
                "problems": list(report.problems),
                "notes": list(phrases.NOTES),
                "outlook": [outlook_of(each) for each in report.outlook],
                "checks": [_service(service, report) for service in report.services],
            },
            indent=2,
            allow_nan=False,
        )
        + "\n"
    )


def outlook_of(each: Forecast) -> dict[str, object]:
    """What is to be expected of a check."""
    return {
        "check": each.check,
        "subject": each.subject,
        "text": each.text,
        "seconds_left": each.left,
        "sigmas": each.sigmas,
    }


def failure_of(last: Last | None) -> dict[str, object] | None:
    """The newest run that failed."""
    if last is None:
        return None
    return {
        "started": last.started,
        "result": last.result,
        "why": last.why,
        "said": last.said or None,
    }


def _period(period: Period) -> dict[str, object]:
    return {
        "first": str(period.first),
        "last": str(period.last),
        "begin": period.begin,
        "end": period.end,
    }


def _service(service: CheckReport, report: Report) -> dict[str, object]:
    subject, last, begin = service.subject, service.last_failure, service.known_from
    return {
        **subject.plain(),
        "source": service.source or None,
        "known_from": begin if begin is not None and math.isfinite(begin) else None,
        "slo": subject.slo and {"kind": subject.slo.kind, "percent": subject.slo.percent},
        "now": _figures(service.now, service.promise),
        "before": _figures(service.before, None),
        "budget": _budget(service.budget),
        "flapping": service.now.flapping,
        "never_ran": service.never_ran,
        "late": [
            {"due": late.due, "came": late.came, "seconds": late.seconds(report.end)}
            for late in service.late
        ],
        "maintenance": [
            {"begin": window.begin, "end": window.end, "reason": window.reason}
            for window in service.maintenance
        ],
        "last_failure": failure_of(last),
    }


def _figures(figures: PeriodStats, promise: Budget | None) -> dict[str, object]:
    return {
        "availability": figures.times.ratio,
        **_times(figures.times),
        "outages": [_outage(outage) for outage in figures.outages],
        "longest_outage": _outage(figures.longest) if figures.longest else None,
        "runs": dict(figures.runs.results),
        "success_ratio": figures.runs.ratio,
        "p50": figures.p50,
        "p95": figures.p95,
        **({"promise_kept": promise.kept, "burn_rate": promise.burn} if promise else {}),
    }


def _times(times: Availability) -> dict[str, object]:
    return {
        "up_seconds": times.up,
        "down_seconds": times.down,
        "maintenance_seconds": times.maintenance,
        "unknown_seconds": times.unknown,
    }


def _outage(outage: Outage) -> dict[str, object]:
    return {
        "begin": outage.begin,
        "end": None if outage.going else outage.end,
        "seconds": outage.seconds,
    }


def _budget(budget: Budget | None) -> dict[str, object] | None:
    if budget is None:
        return None
    return {
        "unit": "seconds" if budget.slo.kind == "availability" else "runs",
        "total": budget.total,
        "allowed": budget.allowed,
        "bad": budget.bad,
        "left": budget.left,
    }
