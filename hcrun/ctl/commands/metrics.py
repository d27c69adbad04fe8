"""`hcctl metrics`: metrics for Prometheus and OpenTelemetry."""

import os
import time
from urllib.parse import quote

import click
from prometheus_client import generate_latest

from hcrun import files
from hcrun.catalog import load
from hcrun.ctl.connect import open_fleet, open_journal
from hcrun.ctl.options import catalog_option
from hcrun.ctl.table import options
from hcrun.errors import HcrunError, UsageError
from hcrun.journal.renaming import rename
from hcrun.journal.samples import began
from hcrun.metrics.collect import JournalCollector
from hcrun.settings import Settings


@click.command()
@click.option(
    "--textfile",
    metavar="DIR",
    help="Replace DIR/hcrun-JOURNAL.prom atomically, for node_exporter's textfile collector.",
)
@click.option(
    "--otlp",
    metavar="URL",
    help="Send the metrics to an OpenTelemetry collector, by OTLP over HTTP. Needs hcrun[otel].",
)
@click.option(
    "--traces",
    metavar="URL",
    help="Send a span for each run that has ended since the last time. Needs hcrun[otel].",
)
@click.option(
    "--logs",
    metavar="URL",
    help="Send the output of each run that has ended since the last time. Needs hcrun[otel].",
)
@options("fleet")
@catalog_option
def metrics(
    textfile: str | None, otlp: str | None, fleet: bool, catalog: str, **signals: str | None
) -> None:
    settings = Settings.load()
    sent = {f"--{name}": url for name, url in {"otlp": otlp, **signals}.items() if url is not None}
    if fleet and any(signals.values()):
        raise UsageError("--traces and --logs are sent by each host", hint="leave --fleet out")
    journal = open_fleet() if fleet else open_journal(read_only=not any(signals.values()))
    now = time.time()
    loaded = load(catalog, settings)
    rename(journal, loaded.renamed, settings)
    collector = JournalCollector(journal, loaded.checks, now)
    if textfile is not None:
        if not os.path.isdir(textfile):
            raise HcrunError("no such directory", where=f"--textfile {textfile}")
        name = quote(collector.journal.strip("/")).replace("-", "%2D").replace("/", "-")
        text = generate_latest(collector).decode()
        files.write(os.path.join(textfile, f"hcrun-{name}.prom"), text)
    if sent:
        try:  # protobuf is optional, and takes longer to import than all the rest
            from hcrun.metrics import otlp as points
            from hcrun.metrics.signals import export
        except ImportError:
            hint = "pip install 'hcrun[otel]'"
            raise HcrunError(f"{next(iter(sent))} needs opentelemetry-proto", hint=hint) from None

        if otlp is not None:
            points.export(collector.collect(), otlp, settings, now, began(journal, now))
        for name, url in signals.items():
            if url is not None:
                export(name, journal, url, settings, now)
    if textfile is None and not sent:
        click.echo(generate_latest(collector), nl=False)
