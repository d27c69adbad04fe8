"""`hcctl metrics`: figures for Prometheus and OpenTelemetry."""

from __future__ import annotations

import os
import time

import click

from hcrun import files
from hcrun.catalog import load
from hcrun.ctl.connect import open_journal
from hcrun.ctl.options import catalog_option
from hcrun.errors import HcrunError
from hcrun.metrics.collect import families
from hcrun.metrics.prometheus import text
from hcrun.settings import Settings

FILE = "hcrun.prom"


@click.command()
@click.option(
    "--textfile",
    metavar="DIR",
    help=f"Write DIR/{FILE}, whole or not at all, for node_exporter's textfile collector.",
)
@click.option(
    "--otlp",
    metavar="URL",
    help="Send it to an OpenTelemetry collector: OTLP over HTTP; needs hcrun[otel].",
)
@catalog_option
def metrics(textfile: str | None, otlp: str | None, catalog: str) -> None:
    """Figures of this host's runs, for Prometheus.

    \b
    Examples:
      hcctl metrics
      hcctl metrics --textfile /var/lib/prometheus/node-exporter
      hcctl metrics --otlp http://127.0.0.1:4318

    All of it is from this host's journal, and the promises and schedules from the catalogue; what
    the Healthchecks server knows of all hosts it exports itself. The names are in docs/metrics.md,
    with a dashboard and alert rules. A collector's password goes into
    OTEL_EXPORTER_OTLP_HEADERS_FILE (a path), $CREDENTIALS_DIRECTORY/otel_exporter_otlp_headers, or
    OTEL_EXPORTER_OTLP_HEADERS: authorization=Bearer%20...
    """
    settings = Settings.load()
    journal = open_journal()
    now = time.time()
    found = families(journal, load(catalog, settings).checks, now)
    if textfile is not None:
        if not os.path.isdir(textfile):
            raise HcrunError("there is no such directory", where=f"--textfile {textfile}")
        files.write(os.path.join(textfile, FILE), text(found))
    if otlp is not None:
        from hcrun.metrics.otlp import (
            export,  # only here: requests and protobuf cost more than the rest
        )

        export(found, otlp, settings, now)
    if textfile is None and otlp is None:
        click.echo(text(found), nl=False)
