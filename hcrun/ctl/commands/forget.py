"""`hcctl forget`: deletes a check from this host's journal."""

import time

import click

from hcrun.ctl.commands.flush import show_waiting
from hcrun.ctl.connect import open_journal
from hcrun.ctl.options import confirm
from hcrun.ctl.table import options
from hcrun.errors import HcrunError
from hcrun.journal import discard
from hcrun.text import counted


@click.command()
@click.argument("check")
@options("forget")
def forget(check: str, yes: bool) -> None:
    journal = open_journal()
    journal.adopt()
    journal.find_lost(time.time())
    entries, runs, running = discard.size(journal, check)
    if not entries:
        hint = "hcctl status --local shows the names"
        raise HcrunError(f"the journal has no check {check!r}", hint=hint)
    if running:
        raise HcrunError(f"a run of {check} is in progress", hint="try again after its end")
    show_waiting(journal, check)
    what = f"{check} with {counted(runs, 'run')}"
    if not yes:
        confirm(f"Delete {what}?", f"delete {what}")
    click.echo(f"{check}: {counted(discard.forget(journal, check), 'run')} deleted")
