"""`hcctl ship`: copies the runs of this user to the fleet database."""

import sys
import time

import click

from hcrun.catalog import load
from hcrun.ctl.connect import open_journal
from hcrun.ctl.options import catalog_option
from hcrun.fleet.connection import connected, place
from hcrun.settings import Settings
from hcrun.text import counted


@click.command()
@catalog_option
def ship(catalog: str) -> None:
    settings = Settings.load()
    journal, now = open_journal(create=True), time.time()
    journal.adopt()
    journal.find_lost(now)
    checks = {check.slug: check for check in load(catalog, settings).checks}
    from hcrun.fleet import ship as shipper  # slow to import

    shown = 0

    def seen(runs: int) -> None:
        nonlocal shown
        shown += runs
        if sys.stderr.isatty():
            click.echo(f"\r{shown:,} runs", nl=False, err=True)

    with connected(settings, "hcctl ship") as connection:
        done = shipper.ship(journal, connection, checks, now, seen)
        where = place(connection)
    if shown and sys.stderr.isatty():
        click.echo("\r", nl=False, err=True)
    if done.runs:
        click.echo(f"{counted(done.runs, 'run')} and {counted(done.readings, 'reading')}: {where}")
    else:
        click.echo(f"nothing to ship: {where}")
