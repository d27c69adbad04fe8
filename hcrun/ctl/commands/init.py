"""`hcctl init`: a catalogue to start from."""

from __future__ import annotations

import os

import click

from hcrun import files
from hcrun.catalog import SHIPPED, SYSTEM
from hcrun.errors import HcrunError


@click.command()
@click.argument("file", default=SYSTEM)
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
def init(file: str, force: bool) -> None:
    """Write a catalogue to start from: FILE, or /etc/hcrun/checks.toml.

    It is the one that hcrun has built in, with its comments: delete what you do not run, and
    add what you do. docs/catalogue.md has all keys.

    \b
    Examples:
      hcctl init && editor /etc/hcrun/checks.toml && hcctl check
      hcctl init checks.toml
    """
    with open(SHIPPED, encoding="utf-8") as shipped:
        text = shipped.read()
    if os.path.lexists(file) and not force:
        raise HcrunError("is there already", where=file, hint="--force replaces it")
    try:
        os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)
    except OSError as error:
        raise HcrunError(f"cannot be made: {error.strerror}", where=os.path.dirname(file)) from None
    files.write(file, text, replace=force)
    more = "" if file == SYSTEM else f" --catalog {file}"
    click.echo(f"{file} is written; edit it, then: hcctl check{more}")
