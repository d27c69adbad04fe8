"""The metrics that `hcctl metrics` exports, as a collector of prometheus_client.

Names and units follow Prometheus: base units as suffix, `_total` for counters, times in seconds
since the epoch. Samples have no timestamp, because node_exporter's textfile collector refuses them.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

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
# Unit of a perfdata.PerfValue -> the family's name, and what its values are.
_READINGS = {
    "seconds": ("hcrun_probe_reading_seconds", "in seconds"),
    "bytes": ("hcrun_probe_reading_bytes", "in bytes"),
    "ratio": ("hcrun_probe_reading_ratio", "as a ratio, 1 is 100%"),
    "": ("hcrun_probe_reading", "without a unit"),
    "total": ("hcrun_probe_reading_total", "a counter"),
}
# Readings of probe-tenants --per-tenant, as `tenant_up/acme`.
_TENANTS = {
    "tenant_up": ("hcrun_tenant_up", "1: the database of the tenant answered; 0: it did not."),
    "tenant_time": ("hcrun_tenant_answer_seconds", "The time in which it answered."),
}


class JournalCollector(Collector):
    """Exports this host's journal, and the SLOs and schedules of the catalogue."""

    def __init__(self, database: Database, checks: Iterable[Check], now: float) -> None:
        self._database = database
        self._now = now
        self.journal = os.path.realpath(os.path.dirname(database.path))
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
        text = "Always 1; the version of hcrun that exported this."
        yield _gauge("hcrun_build_info", text, {(__version__,): 1}, ("version",))
        text = "When hcctl metrics exported this."
        yield _gauge("hcrun_exported_timestamp_seconds", text, {(): self._now}, ())
        text = "When the oldest run in this host's journal started."
        since = queries.oldest_start(self._database)
        yield _gauge("hcrun_journal_oldest_run_timestamp_seconds", text, {(): since}, ())

    def _checks(self) -> Iterator[Metric]:
        pending = queries.pending(self._database)
        # All results start at 0, because a rate does not see that a series begins.
        counts: dict[Labels, float | None] = {
            (name, result): 0 for name in self._latest for result in RESULTS
        }
        yield _gauge(
            "hcrun_up",
            "1: the last run that counts succeeded; 0: it failed or vanished.",
            {(name,): last.result == SUCCESS for name, last in self._results.items()},
        )
        yield _gauge(
            "hcrun_last_run_timestamp_seconds",
            "When the last run on this host ended.",
            {(name,): run.ended for name, run in self._latest.items()},
        )
        yield _gauge(
            "hcrun_last_run_duration_seconds",
            "How long the last run took.",
            {(name,): run.duration for name, run in self._latest.items()},
        )
        yield _gauge(
            "hcrun_last_run_exit_status",
            "Exit status of the last run; 128+n for signal n.",
            {(n,): r.status for n, r in self._latest.items() if r.duration is not None},
        )
        yield _gauge(
            "hcrun_last_success_timestamp_seconds",
            "When the last successful run ended.",
            {(name,): run.ended for name, run in self._successes.items()},
        )
        yield _family(
            CounterMetricFamily(
                "hcrun_runs_total", "Runs that ended, by result.", None, ("check", "result")
            ),
            counts | samples.totals(self._database),
        )
        yield _gauge(
            "hcrun_runs_in_progress",
            "Runs that have started and not ended.",
            {(name,): 0 for name in self._latest} | samples.in_progress(self._database),
        )
        yield _gauge(
            "hcrun_anomaly_score",
            "How new the last notable reading of a day was, in widths of what was usual.",
            {(each.check, each.subject): each.score for each in self._anomalies},
            ("check", "reading"),
        )
        yield _gauge(
            "hcrun_undelivered_pings",
            "Results that are not delivered to the server yet.",
            {(name,): pending.get(name, 0) for name in self._latest},
        )

    def _catalog(self) -> Iterator[Metric]:
        entries = self._entries
        slos = {name: entry.slo for name, entry in entries.items() if entry.slo}
        yield _gauge(
            "hcrun_check_info",
            "Always 1; name, tier and environment of the check in the catalogue.",
            {(slug, e.name, e.tier, e.environment): 1 for slug, e in entries.items()},
            ("check", "name", "tier", "environment"),
        )
        yield _gauge(
            "hcrun_success_due_timestamp_seconds",
            "When the next success is due, grace included.",
            {(name,): self._due(entry) for name, entry in entries.items()},
        )
        yield _gauge(
            "hcrun_slo_ratio",
            "The SLO in the catalogue; kind is availability or success.",
            {(name, slo.kind): slo.percent / 100 for name, slo in slos.items()},
            ("check", "kind"),
        )
        yield _gauge(
            "hcrun_error_budget_left_ratio",
            f"Share of the error budget of {DAYS} days that is left, by this host's runs.",
            {(name,): budget.left_ratio for name, budget in self._error_budgets()},
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
        labels = ("check", "probe", "reading")
        for unit, (name, what) in _READINGS.items():
            text = f"The last reading of a probe, {what}."
            if unit == "total":
                yield _family(CounterMetricFamily(name, text, None, labels), values[unit])
            else:
                yield _gauge(name, text, values[unit], labels)
        for reading, (name, text) in _TENANTS.items():
            yield _gauge(name, text, tenants[reading], ("check", "tenant"))
        yield _gauge(
            "hcrun_perfdata_refused_items",
            "Items of the last perfdata that are not exported; hcctl doctor shows them.",
            {(name,): len(perfdata.refused(outputs[run.row])) for name, run in printed.items()},
        )


def _gauge(
    name: str, text: str, values: Mapping[Labels, float | None], labels: Sequence[str] = ("check",)
) -> Metric:
    return _family(GaugeMetricFamily(name, text, None, labels), values)


def _family(
    family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[Labels, float | None]
) -> Metric:
    """The family with these samples; None: no sample."""
    for labels, value in values.items():
        if value is not None:
            family.add_metric(labels, value)
    return family
