"""`hcctl`: looks after what hcrun records and what the server knows. One module per command."""

from __future__ import annotations

import os
import sys

import click

from hcrun import __version__
from hcrun.ctl.completion import completion
from hcrun.ctl.flush import flush
from hcrun.ctl.history import history
from hcrun.ctl.ping import ping
from hcrun.errors import HcrunError, UsageError


class _Group(click.Group):
    """Prints every HcrunError as one line; a wrong command line is a 2, as click has it."""

    def invoke(self, ctx: click.Context) -> object:
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except HcrunError as error:
            click.echo(f"hcctl: {error}", err=True)
            sys.exit(2 if isinstance(error, UsageError) else error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hcctl", message="%(prog)s %(version)s")
def main() -> None:
    """Look at runs that hcrun recorded, deliver what is left, ping by hand."""


main.add_command(history)
main.add_command(flush)
main.add_command(ping)
main.add_command(completion)
