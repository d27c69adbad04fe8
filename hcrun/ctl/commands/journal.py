"""`hcctl journal`: verifies this host's journal, and saves what can be saved of a damaged one."""

import glob
import math
import sys

import click

from hcrun.ctl.connect import open_journal
from hcrun.journal import damage, salvage
from hcrun.text import counted


@click.group()
def journal() -> None:
    """Verify this host's journal."""


@journal.command(short_help="Verify the journal, and save what damage has left.")
def check() -> None:
    opened = open_journal(create=True)
    damaged = bool(opened.set_aside)
    if wrong := damage.find(opened.path, math.inf):
        damaged = True
        click.echo(f"{opened.path}: {wrong}", err=True)
        opened.put_aside()
        click.echo(f"it is now {opened.set_aside}", err=True)
    repaired, deleted = salvage.repair(opened)
    for line in deleted:
        click.echo(f"{line}: deleted", err=True)
    if repaired:
        click.echo(f"{counted(repaired, 'record')} repaired", err=True)
    for aside in sorted(glob.glob(f"{glob.escape(opened.path)}.corrupt-*Z"), reverse=True):
        copied, unreadable = salvage.salvage(opened, aside)
        lost = f", {unreadable} cannot be read" if unreadable else ""
        click.echo(f"{aside}: {counted(copied, 'undelivered result')} copied{lost}")
    (runs,) = opened.query("SELECT count(*) FROM runs")[0]
    waiting = counted(opened.count_pending(), "undelivered result")
    click.echo(f"{opened.path}: {counted(runs, 'run')}, {waiting}")
    if damaged or deleted or repaired:
        sys.exit(1)
