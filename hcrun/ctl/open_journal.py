"""The journal as commands open it."""

from __future__ import annotations

import os

import click

from hcrun.errors import JournalError
from hcrun.journal.database import FILE
from hcrun.journal.journal import Journal
from hcrun.paths import state_directory


def open_journal(make: bool = False) -> Journal:
    """Who only looks makes none. Raises JournalError; says so when what it finds is corrupt."""
    directory = state_directory()
    path = os.path.join(directory, FILE)
    try:
        os.stat(path)
    except FileNotFoundError:
        if make:
            return Journal(directory)
        raise JournalError(
            "there is no journal",
            where=path,
            hint="the first run of hcrun makes it; look as the user whose runs they are,"
            " or set STATE_DIRECTORY",
        ) from None
    except OSError:  # Journal says what it is
        pass
    journal = Journal(directory)
    if journal.set_aside:
        click.echo(f"hcctl: the journal was corrupt and is now {journal.set_aside}", err=True)
    return journal
