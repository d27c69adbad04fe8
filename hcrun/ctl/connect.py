"""The management API and the journal as commands use them."""

from typing import TYPE_CHECKING

import click

from hcrun.errors import HcrunError
from hcrun.journal.journal import Journal, open_existing
from hcrun.paths import state_directory
from hcrun.settings import Settings

if TYPE_CHECKING:
    from hcrun.api.client import HealthchecksClient
    from hcrun.reports.sources import Sources


def connect(read_only: bool = False, timeout: float = 10.0) -> "HealthchecksClient":
    """Raises HcrunError if a setting is wrong or HEALTHCHECKS_ENABLED is false."""
    settings = Settings.load()
    if not settings.enabled():
        raise HcrunError(
            "HEALTHCHECKS_ENABLED is false", hint="the server was not asked; set it to true"
        )
    from hcrun.api.client import HealthchecksClient  # 10 ms: not for `hcctl status --local`

    client = HealthchecksClient(read_only=read_only, timeout=timeout, _settings=settings)
    client.connect()
    if settings.problems:
        raise HcrunError(settings.problems[0])
    return client


def open_journal(create: bool = False, read_only: bool = False) -> Journal:
    """Open this user's journal, and say so if it was corrupt. Raises JournalError.

    Root may open that of another user `read_only`.
    """
    journal = Journal(state_directory()) if create else open_existing(read_only)
    report_corrupt(journal)
    return journal


def open_sources(
    catalog: str, local: bool, timeout: float = 10.0, *, fleet: bool = False
) -> "Sources":
    """As `hcrun.reports.sources.open_sources`, and say so if the journal was corrupt."""
    from hcrun.reports import sources  # only here: `history` and `flush` need no catalogue

    opened = sources.open_sources(catalog, local, timeout, open_fleet() if fleet else None)
    for journal in opened.journals:
        report_corrupt(journal)
    return opened


def open_fleet() -> Journal:
    """The runs of all hosts. Raises HcrunError."""
    from hcrun.fleet.reader import Fleet  # psycopg is optional, and slow to import

    return Fleet(Settings.load())


def report_corrupt(journal: Journal) -> None:
    """Say that the journal was corrupt and has been set aside."""
    if journal.set_aside:
        click.echo(
            f"hcctl: the journal was corrupt and is now {journal.set_aside}; hcctl journal check"
            " saves its undelivered results",
            err=True,
        )
