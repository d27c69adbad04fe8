"""`hcctl`: looks after what hcrun records and what the server knows. One module per command."""

from __future__ import annotations

import importlib
import os
import sys

import click

from hcrun import __version__
from hcrun.errors import HcrunError, UsageError

# Name -> where it is. Loaded when asked for: most commands need what the others do not, and
# `requests` alone costs twelve bare interpreter starts.
COMMANDS = {
    "check": "check:check",
    "channels": "channels:channels",
    "completion": "completion:completion",
    "doctor": "doctor:doctor",
    "flush": "flush:flush",
    "history": "history:history",
    "import": "imports:imports",
    "init": "init:init",
    "install": "install:install",
    "metrics": "metrics:metrics",
    "pause": "pause:pause",
    "ping": "ping:ping",
    "report": "report:report",
    "render": "render:render",
    "resume": "pause:resume",
    "status": "status:status",
    "sync": "sync:sync",
    "view": "view:view",
}


class _Group(click.Group):
    """Prints every HcrunError as one line; a wrong command line is a 2, as click has it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        module, _, function = COMMANDS[name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"hcrun.ctl.{module}"), function)
        return command

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
