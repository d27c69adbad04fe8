"""`hcctl fleet`: creates, checks and prunes the fleet database."""

import sys

import click

from hcrun.ctl.options import confirm
from hcrun.ctl.table import options
from hcrun.errors import HcrunError
from hcrun.fleet import admin
from hcrun.fleet.connection import connected, place
from hcrun.reports.period import zone
from hcrun.settings import Settings
from hcrun.text import counted


@click.group()
def fleet() -> None:
    pass


@fleet.command()
@options("fleet init")
def init(size: float | None, **days: int | None) -> None:
    given = {f"{name}_days": number for name, number in days.items() if number is not None}
    if size is not None:
        given["max_bytes"] = int(size)
    with connected(Settings.load(), "hcctl fleet") as connection:
        before, now = admin.init(connection, zone(), given)
        done = "is up to date" if before == now else f"has version {now} now"
        click.echo(f"{place(connection)} {done}")


@fleet.command()
def check() -> None:
    failed = False
    with connected(Settings.load(), "hcctl fleet") as connection:
        for is_problem, line in admin.lines(connection, admin.meta(connection)):
            click.echo(line, err=is_problem)
            failed |= is_problem
    sys.exit(1 if failed else 0)


@fleet.command()
@options("fleet prune")
def prune(host: str | None, yes: bool) -> None:
    with connected(Settings.load(), "hcctl fleet") as connection:
        admin.meta(connection)
        if host is None:
            days = admin.prune(connection)
            click.echo(
                f"{counted(len(days), 'day')} of runs deleted" + "".join(f" {d}" for d in days)
            )
            return
        if host not in {each.name for each in admin.hosts(connection)}:
            raise HcrunError(
                f"unknown host {host}", hint="its name is as hcctl history --fleet shows it"
            )
        if not yes:
            confirm(f"Delete all runs of {host}?", "delete them")
        click.echo(f"{counted(admin.forget(connection, host), 'journal')} of {host} deleted")
