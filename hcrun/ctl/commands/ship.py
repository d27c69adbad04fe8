"""`hcctl ship`: copies the runs of this user to the fleet database."""

import sys
import time
from typing import TYPE_CHECKING

import click

from hcrun.ctl.connect import open_journal
from hcrun.ctl.table import options
from hcrun.fleet import ship as shipper
from hcrun.fleet.connection import connected, place
from hcrun.settings import Settings
from hcrun.text import counted

if TYPE_CHECKING:
    from hcrun.catalog import Check


@click.command()
@options("catalog")
def ship(catalog: str) -> None:
    settings = Settings.load()
    journal, now = open_journal(create=True), time.time()
    journal.adopt()
    journal.find_lost(now)
    shown = 0

    def checks() -> "dict[str, Check]":
        from hcrun.catalog import load  # half of the time, if there is nothing to ship

        return {check.slug: check for check in load(catalog, settings).checks}

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
