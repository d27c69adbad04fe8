"""`hcctl init`: writes a catalogue to start from."""

import os
from pathlib import Path

import click

from hcrun import files
from hcrun.catalog import SHIPPED, SYSTEM
from hcrun.errors import HcrunError


@click.command()
@click.argument("file", default=SYSTEM)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def init(file: str, force: bool) -> None:
    """Write the built-in catalogue to FILE, by default /etc/hcrun/checks.toml.

    Delete the checks that you do not need, and add your own.
    docs/catalogue.md describes all keys.

    \b
    Examples:
      hcctl init && editor /etc/hcrun/checks.toml && hcctl check
      hcctl init checks.toml
    """
    if os.path.lexists(file) and not force:
        raise HcrunError("already exists", where=file, hint="add --force to replace it")
    try:
        os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)
    except OSError as error:
        raise HcrunError(
            f"cannot be created: {error.strerror}", where=os.path.dirname(file)
        ) from None
    files.write(file, Path(SHIPPED).read_text("utf-8"), replace=force)
    more = "" if file == SYSTEM else f" --catalog {file}"
    click.echo(f"{file} written. Edit it, then run: hcctl check{more}")
