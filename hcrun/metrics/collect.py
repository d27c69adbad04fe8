"""The metrics that `hcctl metrics` exports, as a collector of prometheus_client.

Names and units follow Prometheus: base units as suffix, `_total` for counters, times in seconds
since the epoch. Samples have no timestamp, because node_exporter's textfile collector refuses them.
"""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hcrun import __version__
from hcrun.catalog import Check
from hcrun.formats import perfdata
from hcrun.journal import maintenance, queries, samples
from hcrun.journal.database import Database
from hcrun.reports.anomalies import anomalies
from hcrun.reports.availability import Interval, availability
from hcrun.reports.lateness import Timing, late_runs, run_history
from hcrun.reports.slo import DAYS, ErrorBudget, error_budget
from hcrun.results import RESULTS, SUCCESS

Labels = tuple[str, ...]  # the values of the labels
_FAMILIES = tomllib.loads(files("hcrun.metrics").joinpath("families.toml").read_text("utf-8"))
# Of the unit of a perfdata.PerfValue.
_READINGS = {
    "seconds": "hcrun_probe_reading_seconds",
    "bytes": "hcrun_probe_reading_bytes",
    "ratio": "hcrun_probe_reading_ratio",
    "": "hcrun_probe_reading",
    "total": "hcrun_probe_reading_total",
}
# Readings of probe-tenants --per-tenant, as `tenant_up/acme`.
_TENANTS = {"tenant_up": "hcrun_tenant_up", "tenant_time": "hcrun_tenant_answer_seconds"}


class JournalCollector(Collector):
    """Exports this host's journal, and the SLOs and schedules of the catalogue."""

    def __init__(self, database: Database, checks: Iterable[Check], now: float) -> None:
        self._database = database
        self._now = now
        path = database.path  # a file, or the address of the fleet database
        self.journal = path if "://" in path else os.path.realpath(os.path.dirname(path))
        self._latest = dict(sorted(queries.newest(database, queries.ENDED, now).items()))
        self._successes = dict(sorted(queries.newest(database, queries.SUCCEEDED, now).items()))
        self._results = queries.newest(database, queries.DECIDES, now)
        self._anomalies = anomalies(database, now)
        # Those that this host runs.
        self._entries = {check.slug: check for check in checks if check.slug in self._latest}

    def collect(self) -> Iterator[Metric]:
        """The families that have samples, each with its journal. Raises JournalError."""
        families = (*self._host(), *self._checks(), *self._catalog(), *self._readings())
        for family in families:
            for sample in family.samples:
                sample.labels["journal"] = self.journal
        return (family for family in families if family.samples)

    def _host(self) -> Iterator[Metric]:
        since = queries.oldest_start(self._database)
        return _families(
            build_info={(__version__,): 1},
            exported_timestamp_seconds={(): self._now},
            journal_oldest_run_timestamp_seconds={(): since},
        )

    def _checks(self) -> Iterator[Metric]:
        latest = {(name,): run for name, run in self._latest.items()}
        pending = queries.pending(self._database)
        # All results start at 0, because a rate does not see that a series begins.
        counts: dict[Labels, float | None] = {(*n, result): 0 for n in latest for result in RESULTS}
        ended = {n: run for n, run in latest.items() if run.duration is not None}
        return _families(
            up={(name,): last.result == SUCCESS for name, last in self._results.items()},
            last_run_timestamp_seconds={n: run.ended for n, run in latest.items()},
            last_run_duration_seconds={n: run.duration for n, run in latest.items()},
            last_run_exit_status={n: run.status for n, run in ended.items()},
            last_success_timestamp_seconds={
                (name,): run.ended for name, run in self._successes.items()
            },
            runs_total=counts | samples.totals(self._database),
            runs_in_progress=dict.fromkeys(latest, 0) | samples.in_progress(self._database),
            anomaly_score={(each.check, each.subject): each.score for each in self._anomalies},
            undelivered_pings={n: pending.get(*n, 0) for n in latest},
        )

    def _catalog(self) -> Iterator[Metric]:
        entries = self._entries.items()
        slos = {name: entry.slo for name, entry in entries if entry.slo}
        budgets = self._error_budgets()
        return _families(
            check_info={(slug, e.name, e.tier, e.environment): 1 for slug, e in entries},
            success_due_timestamp_seconds={(name,): self._due(e) for name, e in entries},
            slo_ratio={(name, slo.kind): slo.percent / 100 for name, slo in slos.items()},
            error_budget_left_ratio={(name,): budget.left_ratio for name, budget in budgets},
        )

    def _due(self, entry: Check) -> float | None:
        success = self._successes.get(entry.slug)
        due = Timing.of_entry(entry).due(success.ended) if success else None
        return None if due is None else due + entry.grace

    def _error_budgets(self) -> Iterator[tuple[str, ErrorBudget]]:
        """That of each SLO, of the last DAYS days."""
        since, until = self._now - DAYS * 86400.0, self._now + 1
        entries = {name: entry for name, entry in self._entries.items() if entry.slo}
        if not entries:
            return
        counts = queries.run_counts(self._database, since, until)
        firsts = queries.first_starts(self._database)
        gaps = {name: Timing.of_entry(entry).gap for name, entry in entries.items()}
        changes = queries.changes(self._database, since, until, gaps)
        windows: dict[str, list[Interval]] = {}
        for window in maintenance.between(self._database, since, until, self._now):
            windows.setdefault(window.name, []).append(maintenance.span(window, self._now))
        for name, entry in entries.items():
            timing, own = Timing.of_entry(entry), changes.get(name, [])
            late = late_runs(own, self._results.get(name), timing, self._now)
            spans = run_history(own, late, timing.grace, self._now, windows.get(name, ()))
            times = availability(spans, since, self._now)
            assert entry.slo is not None
            runs = counts.get(name, queries.RunCounts())
            yield (
                name,
                error_budget(entry.slo, times, runs, entry.schedule, since, firsts.get(name)),
            )

    def _readings(self) -> Iterable[Metric]:
        """The perfdata of the last run of each check, whatever its result."""
        outputs = samples.outputs(self._database, (run.row for run in self._latest.values()))
        printed = {name: run for name, run in self._latest.items() if run.row in outputs}
        values: dict[str, dict[Labels, float]] = {unit: {} for unit in _READINGS}
        tenants: dict[str, dict[Labels, float]] = {reading: {} for reading in _TENANTS}
        for name, run in printed.items():
            for value in perfdata.read(outputs[run.row]):
                reading, _, tenant = value.label.partition("/")
                if value.probe == "tenants" and reading in tenants:
                    tenants[reading][name, tenant] = value.value
                else:
                    values[value.unit][name, value.probe, value.label] = value.value
        for unit, family in _READINGS.items():
            yield _family(family, values[unit])
        for reading, family in _TENANTS.items():
            yield _family(family, tenants[reading])
        refused = {(n,): len(perfdata.refused(outputs[run.row])) for n, run in printed.items()}
        yield _family("hcrun_perfdata_refused_items", refused)


def _families(**values: Mapping[Any, float | None]) -> Iterator[Metric]:
    return (_family(f"hcrun_{name}", samples) for name, samples in values.items())


def _family(name: str, values: Mapping[Any, float | None]) -> Metric:
    """The family with these samples; None: no sample."""
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(name, _FAMILIES[name]["help"], None, _FAMILIES[name]["labels"])
    for labels, value in values.items():
        if value is not None:
            family.add_metric(labels, value)
    return family
