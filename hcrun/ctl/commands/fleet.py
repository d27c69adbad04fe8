"""`hcctl fleet`: creates, checks and prunes the fleet database."""

import json
import sys

import click

from hcrun.ctl.options import confirm
from hcrun.ctl.table import options
from hcrun.errors import HcrunError
from hcrun.fleet import admin
from hcrun.fleet.connection import VERSION, connected, place
from hcrun.reports.period import zone
from hcrun.settings import Settings
from hcrun.text import counted


@click.group()
def fleet() -> None:
    pass


@fleet.command()
@options("fleet init")
def init(size: float | None, **days: int | None) -> None:
    given = {"size": None if size is None else int(size), **days}
    with connected(Settings.load(), "hcctl fleet") as connection:
        before = admin.init(connection, zone(), given)
        done = "is up to date" if before == VERSION else f"has version {VERSION} now"
        click.echo(f"{place(connection)} {done}")


@fleet.command()
@options("fleet check")
def check(as_json: bool) -> None:
    with connected(Settings.load(), "hcctl fleet") as connection:
        found = admin.state(connection)
    if as_json:
        hosts = [each._asdict() for each in found.hosts]
        shown = {**found._asdict(), "hosts": hosts, "size": found.size._asdict()}
        click.echo(json.dumps(shown, indent=2, default=str))
    else:
        for line in found.lines:
            click.echo(line)
        for problem in found.problems:
            click.echo(problem, err=True)
    sys.exit(1 if found.problems else 0)


@fleet.command()
@options("fleet prune")
def prune(host: str | None, yes: bool) -> None:
    with connected(Settings.load(), "hcctl fleet") as connection:
        admin.meta(connection)
        if host is None:
            days = admin.prune(connection)
            names = f": {', '.join(days)}" if days else ""
            click.echo(f"{counted(len(days), 'day')} of runs deleted{names}")
            return
        if host not in {each.name for each in admin.hosts(connection)}:
            raise HcrunError(
                f"unknown host {host}", hint="its name is as hcctl history --fleet shows it"
            )
        if not yes:
            confirm(f"Delete all runs of {host}?", "delete them")
        click.echo(f"{counted(admin.forget(connection, host), 'journal')} of {host} deleted")
