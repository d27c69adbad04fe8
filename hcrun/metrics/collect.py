"""This host's journal and the catalogue -> what `hcctl metrics` exports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from hcrun import __version__
from hcrun.catalog import Check
from hcrun.excerpt import Excerpt
from hcrun.formats import perfdata
from hcrun.journal import maintenance, queries
from hcrun.journal.database import Database
from hcrun.metrics.prometheus import Family
from hcrun.reports import lateness
from hcrun.reports.availability import availability, maintained, merged
from hcrun.reports.lateness import Plan
from hcrun.reports.slo import DAYS, budget
from hcrun.results import RESULTS, SUCCESS

BUDGET = DAYS * 86400.0  # seconds


class Latest(NamedTuple):
    """The newest run of a check that ended and was not skipped."""

    row: int
    ended: float  # seconds since the epoch
    duration: float | None  # seconds; None: its hcrun vanished
    status: int


def families(store: Database, checks: Iterable[Check], now: float) -> list[Family]:
    """All there is to export. Raises JournalError."""
    entries = {check.slug: check for check in checks}
    latest = _latest(store, "result != 'skip'", now)
    successes = _latest(store, "result = 'success'", now)
    return [
        *_host(store, now),
        *_checks(store, latest, successes, now),
        *_promises(store, entries, latest, successes, now),
        *_readings(store, latest),
    ]


def _latest(store: Database, condition: str, now: float) -> dict[str, Latest]:
    rows = queries.newest(store, "r.id, r.ended, r.duration, r.status", condition, now)
    return {name: Latest(*row) for name, row in sorted(rows.items())}


def _host(store: Database, now: float) -> Iterator[Family]:
    build = Family("hcrun_build_info", "gauge", "Always 1; which hcrun exported this.")
    build.add(1, version=__version__)
    yield build
    exported = Family(
        "hcrun_exported_timestamp_seconds", "gauge", "When hcctl metrics exported this."
    )
    exported.add(now)
    yield exported
    known = Family(
        "hcrun_journal_oldest_run_timestamp_seconds",
        "gauge",
        "When the oldest run started that this host's journal still has.",
    )
    if (since := queries.known_from(store)) is not None:
        known.add(since)
    yield known


def _checks(
    store: Database, latest: Mapping[str, Latest], successes: Mapping[str, Latest], now: float
) -> list[Family]:
    up = Family(
        "hcrun_up", "gauge", "1: the last run that counts was a success; 0: it failed or vanished."
    )
    ended = Family(
        "hcrun_last_run_timestamp_seconds", "gauge", "When the last run on this host ended."
    )
    duration = Family("hcrun_last_run_duration_seconds", "gauge", "How long the last run took.")
    status = Family(
        "hcrun_last_run_exit_status", "gauge", "Exit status of the last run; 128+n for signal n."
    )
    success = Family(
        "hcrun_last_success_timestamp_seconds", "gauge", "When the last successful run ended."
    )
    total = Family("hcrun_runs_total", "counter", "Runs that ended, by result.")
    undelivered = Family(
        "hcrun_undelivered_pings", "gauge", "Results that the server has not got yet."
    )
    for name, last in queries.last_results(store, now).items():
        up.add(last.result == SUCCESS, check=name)
    waiting = queries.pending(store)
    for name, run in latest.items():
        ended.add(run.ended, check=name)
        if run.duration is not None:
            duration.add(run.duration, check=name)
            status.add(run.status, check=name)
        undelivered.add(waiting.get(name, 0), check=name)
    for name, run in successes.items():
        success.add(run.ended, check=name)
    # From 0 on, as a rate does not see that a series begins.
    counts = {(name, result): 0 for name in latest for result in RESULTS}
    counted = (
        "SELECT name, result, sum(runs) FROM totals JOIN checks ON checks.id = check_id"
        " GROUP BY name, result"
    )
    counts |= {(name, result): count for name, result, count in store.query(counted)}
    for (name, result), count in counts.items():
        total.add(count, check=name, result=result)
    return [up, ended, duration, status, success, total, undelivered]


def _promises(
    store: Database,
    entries: Mapping[str, Check],
    latest: Mapping[str, Latest],
    successes: Mapping[str, Latest],
    now: float,
) -> list[Family]:
    """What the catalogue says of the checks that this host runs, and how far it is kept."""
    info = Family("hcrun_check_info", "gauge", "Always 1; what the catalogue calls the check.")
    due = Family(
        "hcrun_success_due_timestamp_seconds",
        "gauge",
        "When the next success must have come: the schedule's next time, and the grace.",
    )
    target = Family("hcrun_slo_ratio", "gauge", "What the catalogue promises; kind says of what.")
    left = Family(
        "hcrun_error_budget_left_ratio",
        "gauge",
        f"Left of the error budget of {DAYS} days, by this host's runs; below 0: broken.",
    )
    ours = {name: entry for name, entry in entries.items() if name in latest}
    for name, entry in ours.items():
        info.add(1, check=name, name=entry.name, tier=entry.tier, environment=entry.environment)
        plan = Plan(entry.schedule, entry.zone, entry.grace)
        last = successes.get(name)
        if last and (at := plan.due(last.ended)) is not None:
            due.add(at + entry.grace, check=name)
        if entry.slo:
            target.add(entry.slo.percent / 100, check=name, kind=entry.slo.kind)
    if target.samples:
        for name, rest in _budgets(store, ours, now):
            left.add(rest, check=name)
    return [info, due, target, left]


def _budgets(
    store: Database, entries: Mapping[str, Check], now: float
) -> Iterator[tuple[str, float]]:
    """What is left of the budget of each check that has one and of which something is known."""
    since, until = now - BUDGET, now + 1
    plans = {
        name: Plan(entry.schedule, entry.zone, entry.grace)
        for name, entry in entries.items()
        if entry.slo
    }
    tallies = queries.tallies(store, since, until)
    changes = queries.changes(store, since, until, {name: plan.gap for name, plan in plans.items()})
    newest = queries.last_results(store, now)
    windows: dict[str, list[tuple[float, float]]] = {}
    for window in maintenance.between(store, since, until, now):
        windows.setdefault(window.name, []).append(maintenance.span(window, now))
    for name, plan in plans.items():
        changed = changes.get(name, [])
        late = lateness.lates(changed, newest.get(name), plan, now)
        spans = maintained(
            lateness.spans(changed, late, plan.grace, now), merged(windows.get(name, [])), now
        )
        times = availability(spans, since, now)
        slo = entries[name].slo
        assert slo is not None
        rest = budget(slo, times, tallies.get(name, queries.RunCounts())).left
        if rest is not None:
            yield name, rest


# Unit of a perfdata.Datum -> how its family is called, and what the numbers are.
_READINGS = {
    "seconds": ("hcrun_probe_reading_seconds", "seconds"),
    "bytes": ("hcrun_probe_reading_bytes", "bytes"),
    "ratio": ("hcrun_probe_reading_ratio", "1 is 100%"),
    "": ("hcrun_probe_reading", "counts, and what has no unit"),
    "total": ("hcrun_probe_reading_total", "what only grows"),
}


def _readings(store: Database, latest: Mapping[str, Latest]) -> Iterable[Family]:
    """The perfdata of the last run of each check, whatever its result."""
    found = {
        unit: Family(
            name,
            "counter" if unit == "total" else "gauge",
            f"What the last run of a probe read: {what}.",
        )
        for unit, (name, what) in _READINGS.items()
    }
    for name, run in latest.items():
        for output in store.query(
            "SELECT head, omitted, tail FROM outputs WHERE id = ?", (run.row,)
        ):
            for datum in perfdata.read(Excerpt(*output)):
                labels = {"check": name, "probe": datum.probe, "reading": datum.label}
                found[datum.unit].add(datum.value, **labels)
    return found.values()
