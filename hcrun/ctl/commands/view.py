"""`hcctl view`: the dashboard's view on the database of a Healthchecks server."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from hcrun.metrics import sql_view
from hcrun.metrics.sql_view import NAME, READER, MetricsView
from hcrun.settings import Settings
from hcrun.text import counted


@click.group()
def view() -> None:
    """The view healthchecks_metrics on the PostgreSQL database of a Healthchecks server.

    \b
    Examples:
      hcctl view install
      hcctl view show | docker compose exec -T healthchecks-db \\
          psql -U healthchecks healthchecks
      psql -c "SELECT * FROM healthchecks_metrics WHERE status = 'down'"

    It has a row for each check; docs/metrics.md describes its columns.

    HEALTHCHECKS_DB_HOST, _PORT, _NAME, _USER and _PASSWORD (or _PASSWORD_FILE) say where the
    database is. libpq's variables (PGHOST, PGSSLMODE, ...) supply what they do not say.

    Members of the role healthchecks_reader can read the view and nothing else:
    GRANT healthchecks_reader TO grafana.
    """


@view.command()
def install() -> None:
    """Create or update the view and its role."""
    with _database() as database:
        done = "is installed" if database.install() else "is up to date"
        checks = counted(database.count(), "check")
    click.echo(f"{NAME} {done} and shows {checks}; to let a user read it, grant {READER}")


@view.command(short_help="Check that the view is installed and works.")
def check() -> None:
    """Check that the view is installed, up to date and works; exit status 1 if not."""
    with _database() as database:
        problems = database.problems()
    for problem in problems:
        click.echo(f"{NAME} {problem}", err=True)
    if problems:
        sys.exit(1)
    click.echo(f"{NAME} is installed and works")


@view.command()
def remove() -> None:
    """Drop the view and its role."""
    with _database() as database:
        existed, kept = database.remove()
    click.echo(f"{NAME} {'is removed' if existed else 'was not installed'}")
    if kept:
        click.echo(f"the role {READER} is kept: {kept}")


@view.command()
def show() -> None:
    """Print the SQL that install runs, for psql. The schema is not checked."""
    click.echo(sql_view.script())


@contextmanager
def _database() -> Iterator[MetricsView]:
    with sql_view.connect(Settings.load()) as database:
        if database.newer:
            newer = f"the server's schema (api.{database.newer}) is newer than Healthchecks v4.3"
            click.echo(f"hcctl: {newer}; it has all columns that the view needs", err=True)
        yield database
