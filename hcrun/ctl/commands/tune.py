"""`hcctl tune`: compares the settings of checks with their runs, and proposes others."""

import json
import time
from collections.abc import Iterator

import click

from hcrun.catalog import Check, load
from hcrun.ctl.connect import open_fleet, open_journal
from hcrun.ctl.options import catalog_option
from hcrun.ctl.table import options
from hcrun.errors import HcrunError
from hcrun.journal import queries
from hcrun.journal.journal import Journal
from hcrun.journal.samples import outputs_since, sample
from hcrun.reports.anomalies import shown
from hcrun.reports.forecast import series
from hcrun.reports.statistics import percentile
from hcrun.reports.tuning import ENOUGH, Tuning, Values, flaps, gap
from hcrun.settings import Settings
from hcrun.text import counted, printable
from hcrun.units import span


@click.command()
@click.argument("checks", nargs=-1, metavar="[CHECK]...")
@click.option(
    "--days", type=click.IntRange(1, 90), default=30, show_default=True, help="Look back so far."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array (docs/catalogue.md).")
@options("fleet")
@catalog_option
def tune(checks: tuple[str, ...], days: int, as_json: bool, fleet: bool, catalog: str) -> None:
    """Compare the settings of checks with their runs on this host, and propose others.

    \b
    Examples:
      hcctl tune
      hcctl tune redis api --days 7

    Time-outs, grace times and thresholds are compared with what the runs needed; failures that
    were over within the grace time are false alarms. Nothing is changed: edit the catalogue, then
    run hcctl sync and hcctl install. Do it a week and a month after a check is new.
    """
    journal, now = open_fleet() if fleet else open_journal(read_only=True), time.time()
    known = {check.slug: check for check in load(catalog, Settings.load()).checks}
    if unknown := [name for name in checks if name not in known]:
        raise HcrunError(f"unknown check {unknown[0]}", hint="hcctl check lists the checks")
    wanted = [known[name] for name in checks or known]
    found = [each for each in tunings(journal, wanted, days, now) if checks or each.durations]
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found], indent=2))
        return
    for each in found:
        click.echo("\n".join(_lines(each)))
    if not found:
        click.echo(f"no successful runs of these checks in {counted(days, 'day')}")


def tunings(journal: Journal, checks: list[Check], days: int, now: float) -> Iterator[Tuning]:
    since = now - days * 86400.0
    durations = queries.durations(journal, since, now, queries.SUCCEEDED)
    counts = queries.run_counts(journal, since, now, timed=False)
    gaps = {check.slug: gap(check) for check in checks}
    changes = queries.changes(journal, since, now, gaps)
    sampled = sample(journal, max(since, outputs_since(journal, now)), now, list(gaps))
    for check in checks:
        slug = check.slug
        bad = counts[slug].bad if slug in counts else 0
        readings = {
            name: Values([value for _, value in each.points], each.unit, each.warning)
            for name, each in series(journal, sampled.get(slug, [])).items()
        }
        false = flaps(changes.get(slug, []), check.grace)
        yield Tuning(check, durations.get(slug, []), bad, false, readings)


def _lines(tuning: Tuning) -> Iterator[str]:
    check, durations = tuning.check, tuning.durations
    title = click.style(check.slug, bold=True)
    if len(durations) < ENOUGH:
        yield f"{title}: {counted(len(durations), 'successful run')}, too few to tell"
        return
    ends = [span(percentile(durations, percent) or 0.0) for percent in (50, 99, 100)]
    runs = counted(len(durations), "successful run")
    yield f"{title}: {runs}, median {ends[0]}, 99% {ends[1]}, longest {ends[2]}"
    if tuning.failures:
        false = f", {counted(tuning.flaps, 'false alarm')}" if tuning.flaps else ""
        yield f"  {counted(tuning.failures, 'failure')}{false}"
    if tuning.detection:
        yield f"  a missing run is reported after at most {span(tuning.detection)}"
    for name, (values, unit, warning) in tuning.readings.items():
        middle, high = (shown(percentile(sorted(values), p) or 0.0, unit) for p in (50, 99))
        limit = "" if warning is None else f", warning above {shown(warning, unit)}"
        yield f"  {printable(name)}: median {middle}, 99% {high}{limit}"
    for key, old, new, reason in tuning.proposals():
        if old:
            yield click.style(f"  - {key} = {old}", fg="red")
        yield click.style(f"  + {key} = {new}", fg="green") + f"    # {reason}"


def _as_json(tuning: Tuning) -> dict[str, object]:
    durations = tuning.durations
    return {
        "check": tuning.check.slug,
        "successful_runs": len(durations),
        "failures": tuning.failures,
        "false_alarms": tuning.flaps,
        "detection_seconds": tuning.detection,
        "seconds": {f"p{p}": percentile(durations, p) for p in (50, 99, 100)},
        "readings": {
            name: {"p50": percentile(sorted(v), 50), "p99": percentile(sorted(v), 99), "unit": u}
            | {"warning": warning}
            for name, (v, u, warning) in tuning.readings.items()
        },
        "proposals": [each._asdict() for each in tuning.proposals()],
    }
