"""Reports and status as JSON: times in ISO 8601, seconds, ratios from 0 to 1, null: no data."""

import json
import math

from hcrun.journal.queries import LastRun
from hcrun.reports.availability import STATES, Span
from hcrun.reports.period import Period
from hcrun.reports.render import phrases
from hcrun.reports.report import CheckReport, PeriodStats, Report, Scope
from hcrun.reports.slo import ErrorBudget
from hcrun.reports.status import CheckStatus
from hcrun.units import iso


def to_json(report: Report) -> str:
    """One object; `hcctl report --help` lists its keys."""
    scope = report.scope
    document = {
        "period": _period(scope.period),
        "before": _period(scope.before),
        "zone": report.zone,
        "made": iso(scope.now),
        "host": report.host,
        "server": report.server or None,
        "journal": report.journal or None,
        "recorded_from": iso(report.recorded_from),
        "problems": list(report.problems),
        "notes": phrases.notes(report),
        "forecast": [each._asdict() for each in report.forecasts],
        "remedies": {
            slug: {"ran": ran, "helped": helped} for slug, (ran, helped) in report.remedies.items()
        },
        "tenants": [each._asdict() for each in report.tenants],
        "drills": [
            {"drill": name, "at": iso(last.at if last else None)}
            | {"seconds": last and last.seconds, "good": last and last.good}
            | {"text": last and last.text}
            for name, last in report.drills
        ],
        "checks": [_check(row, scope) for row in report.checks],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def check_status(row: CheckStatus, now: float) -> dict[str, object]:
    """A check of `hcctl status --json`."""
    window, last_ping = row.maintenance, row.last_ping
    return {
        **row.check.as_json(),
        "status": row.state,
        "source": "server" if row.check.remote else "journal",
        "started": row.running,
        "last_ping": iso(last_ping),
        "seconds_since_ping": None if last_ping is None else max(0.0, now - last_ping),
        "next_expected": iso(row.expected),
        "success_rate_7d": row.success,
        "mean_duration_1h": row.mean,
        "p95_duration_1h": row.p95,
        "error_count_24h": row.errors,
        "undelivered": row.undelivered,
        "blocked": row.blocked,
        "maintenance": window and {"until": iso(window.until), "reason": window.reason},
        "last_failure": _failure(row.failure),
    }


def _failure(last: LastRun | None) -> dict[str, object] | None:
    if last is None:
        return None
    why = {"result": last.result, "why": last.why, "said": last.output or None}
    return {"started": iso(last.started), **why}


def _period(period: Period) -> dict[str, object]:
    return {
        "first": str(period.first),
        "last": str(period.last),
        "begin": iso(period.begin),
        "end": iso(period.end),
    }


def _check(row: CheckReport, scope: Scope) -> dict[str, object]:
    begin, slo, now = row.known_from, row.check.slo, _stats(row.now, scope.end)
    if row.slo:
        now |= {"slo_met": row.slo.met, "burn_rate": row.burn_rate}
    return {
        **row.check.as_json(),
        "source": row.source or None,
        "known_from": iso(begin) if begin is not None and math.isfinite(begin) else None,
        "slo": slo and {"kind": slo.kind, "percent": slo.percent},
        "now": now,
        "before": _stats(row.before, scope.before.end),
        "error_budget": _error_budget(row.error_budget),
        "flapping": row.now.flapping,
        "never_ran": row.never_ran,
        "late": [
            {"due": iso(run.due), "came": iso(run.came), "seconds": run.seconds(scope.end)}
            for run in row.late
        ],
        "maintenance": [
            {"begin": iso(each.begin), "end": iso(each.end), "reason": each.reason}
            for each in row.maintenance
        ],
        "last_failure": _failure(row.last_failure),
    }


def _stats(stats: PeriodStats, end: float) -> dict[str, object]:
    times = stats.times
    return {
        "availability": times.ratio,
        **{f"{state}_seconds": getattr(times, state) for state in STATES},
        "outages": [_outage(outage, end) for outage in stats.outages],
        "longest_outage": stats.longest and _outage(stats.longest, end),
        "runs": dict(stats.runs.results),
        "success_ratio": stats.runs.ratio,
        "p50": stats.p50,
        "p95": stats.p95,
    }


def _outage(outage: Span, end: float) -> dict[str, object]:
    """Its end is null if it lasts until the end of the period."""
    over = None if outage.end == end else outage.end
    return {"begin": iso(outage.begin), "end": iso(over), "seconds": outage.seconds}


def _error_budget(budget: ErrorBudget | None) -> dict[str, object] | None:
    if budget is None:
        return None
    return {
        "unit": "seconds" if budget.slo.kind == "availability" else "runs",
        "allowed": budget.allowed,
        "used": budget.used,
        "left": budget.left,
        "left_ratio": budget.left_ratio,
        "unknown_seconds": budget.unknown,
    }
