"""`hcctl view`: the dashboard's view on the database of a Healthchecks server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hcrun.metrics import sql_view
from hcrun.metrics.view_sql import NAME, READER, script
from hcrun.settings import Settings
from hcrun.text import counted

if TYPE_CHECKING:
    import psycopg


@click.group()
def view() -> None:
    """The view healthchecks_metrics on the PostgreSQL database of a Healthchecks server.

    \b
    Examples:
      hcctl view install
      hcctl view show | docker compose exec -T db psql -U hc hc
      psql -c "SELECT * FROM healthchecks_metrics WHERE status = 'down'"

    \b
    Its columns, for each check:
      service_name, status            as the server shows them: new, up, grace, down, paused
      last_ping, seconds_since_ping
      success_rate_7d                 0 to 1; NULL when the server has not kept 7 days of pings
      avg_response_time_1h            seconds a run took; NULL without start pings
      error_count_24h                 failed runs; NULL when it has not kept a day of pings
      environment, tier               from the tags env:... and tier:...
      success_rate_known, known_from  the same rate of what it has kept, and since when that is

    HEALTHCHECKS_DATABASE_URL says where the database is; what it does not say, libpq's variables
    do (PGHOST, PGPASSWORD and all the others). With a password in it, it may be given as
    HEALTHCHECKS_DATABASE_URL_FILE, a path, or in $CREDENTIALS_DIRECTORY. Whoever shall read the
    view, and nothing else: GRANT healthchecks_reader TO grafana.
    """


@view.command()
def install() -> None:
    """Make the view and its role, or bring them up to date."""
    with _database() as (connection, schema):
        made = sql_view.install(connection, schema)
        checks = sql_view.count(connection, schema)
    words = "is installed" if made else "was installed already"
    click.echo(f"{NAME} {words}, of {counted(checks, 'check')}; it is read by {READER}")


@view.command()
def check() -> None:
    """Say whether it is installed, up to date and works; exit status 1 if not."""
    with _database() as (connection, schema):
        wrong = sql_view.problems(connection, schema)
    for words in wrong:
        click.echo(f"{NAME}: {words}", err=True)
    if wrong:
        sys.exit(1)
    click.echo(f"{NAME} is installed, and works")


@view.command()
def remove() -> None:
    """Drop the view and its role."""
    with _database() as (connection, schema):
        was_there, needed = sql_view.remove(connection, schema)
    click.echo(f"{NAME} {'is removed' if was_there else 'was not installed'}")
    if needed:
        click.echo(f"the role {READER} is kept: {needed}")


@view.command()
def show() -> None:
    """Print the SQL that install runs, for psql; it does not look whether the schema is known."""
    click.echo(script("public"))


@contextmanager
def _database() -> Iterator[tuple[psycopg.Connection[Any], str]]:
    with sql_view.connect(Settings.load()) as connection:
        schema, newer = sql_view.find_schema(connection)
        if newer:
            words = f"the server's schema is newer than those that were tried: api.{newer}"
            click.echo(f"hcctl: {words}; the columns that are needed are there", err=True)
        yield connection, schema
