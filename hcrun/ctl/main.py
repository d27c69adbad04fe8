"""`hcctl`: looks after what hcrun records and what the server knows. One module per command."""

from __future__ import annotations

import errno
import importlib
import os
import sys

import click

from hcrun import __version__
from hcrun.errors import HcrunError, UsageError

# Name -> where it is, and what it does in a line. Loaded when asked for: most commands need what
# the others do not, and `requests` alone costs twelve bare interpreter starts.
SECTIONS = {
    "What is checked": {
        "init": ("init:init", "Write a commented checks.toml to begin with."),
        "check": ("check:check", "Is the catalogue right? Each mistake with its line."),
        "import": ("imports:imports", "Propose entries for the cron jobs and timers you have."),
        "render": ("render:render", "Print crontab lines or systemd units."),
        "install": ("install:install", "Put them where cron and systemd look, or remove them."),
    },
    "The server": {
        "sync": ("sync:sync", "Make the server's checks those of the catalogue."),
        "channels": ("channels:channels", "Which channels of the catalogue the server lacks."),
        "pause": ("pause:pause", "Maintenance: no alerts for a while."),
        "resume": ("pause:resume", "End maintenance."),
        "ping": ("ping:ping", "One ping by hand."),
        "flush": ("flush:flush", "Deliver what the server has not got yet."),
    },
    "Looking": {
        "status": ("status:status", "How every check is now."),
        "history": ("history:history", "The last runs on this host, and what they printed."),
        "report": ("report:report", "Availability, promises and error budgets of a day or week."),
        "metrics": ("metrics:metrics", "Figures for Prometheus and OpenTelemetry."),
        "view": ("view:view", "healthchecks_metrics, an SQL view for dashboards."),
        "doctor": ("doctor:doctor", "What is wrong with all of this, and what mends it."),
    },
    "Help": {
        "docs": ("docs:docs", "Show a page of the documentation."),
        "completion": ("completion:completion", "Completion for bash, zsh and fish."),
    },
}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class _Group(click.Group):
    """Prints every HcrunError as one line; a wrong command line is a 2, as click has it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        module, _, function = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(
            importlib.import_module(f"hcrun.ctl.commands.{module}"), function
        )
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in section.items()])

    def invoke(self, ctx: click.Context) -> object:
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except HcrunError as error:
            click.echo(f"hcctl: {error}", err=True)
            sys.exit(2 if isinstance(error, UsageError) else error.exit_code)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            click.echo(f"hcctl: what it found cannot be written: {error.strerror}", err=True)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python tries once more when it ends
            sys.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hcctl", message="%(prog)s %(version)s")
def main() -> None:
    """What hcrun runs and Healthchecks watches: set it up, look at it, look after it."""
