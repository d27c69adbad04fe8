"""`hcctl`: the command group. Each command has its module in hcrun.ctl.commands."""

import errno
import importlib
import os
import sys

import click

from hcrun import __version__
from hcrun.ctl.table import TABLE
from hcrun.errors import HcrunError, UsageError
from hcrun.text import printable

# By name, the module and function of a command, and its summary. Commands are loaded when used:
# most need what the others do not, and `requests` alone costs twelve bare interpreter starts.
SECTIONS = TABLE["sections"]
COMMANDS = {
    name: (TABLE["places"].get(name, f"{name}:{name}"), summary)
    for section in SECTIONS.values()
    for name, summary in section.items()
}


class _Group(click.Group):
    """Loads commands when used; prints an HcrunError as one line. Usage errors exit 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        module, _, function = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(
            importlib.import_module(f"hcrun.ctl.commands.{module}"), function
        )
        _add_help(name, command, _helps())
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(section.items()))

    def invoke(self, ctx: click.Context) -> object:
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except HcrunError as error:
            click.echo(printable(f"hcctl: {error}", keep="\n\t"), err=True)
            sys.exit(2 if isinstance(error, UsageError) else error.exit_code)
        except (TypeError, ValueError, ArithmeticError):
            if not _has_damaged_records():
                raise
            click.echo("hcctl: the journal has damaged records; run hcctl journal check", err=True)
            sys.exit(1)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            click.echo(f"hcctl: cannot write the output: {error.strerror}", err=True)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes again at its end
            sys.exit(1)


def _helps() -> dict[str, str]:
    """What each command does, by its name; \\b is click's mark of lines that stay as they are."""
    with open(os.path.join(os.path.dirname(__file__), "help.txt"), encoding="utf-8") as file:
        parts = file.read().replace("\\b", "\b").removeprefix("== ").split("\n== ")
    return {name: text.strip() for name, _, text in (part.partition("\n") for part in parts)}


def _add_help(name: str, command: click.Command, helps: dict[str, str]) -> None:
    command.help = command.help or helps[name]
    for sub, inner in command.commands.items() if isinstance(command, click.Group) else ():
        _add_help(f"{name} {sub}", inner, helps)


def _has_damaged_records() -> bool:
    # Few commands read the journal, and few errors come from it.
    from hcrun.journal.journal import open_existing
    from hcrun.journal.salvage import faulty

    try:
        return any(faulty(open_existing()))
    except HcrunError:
        return False


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(
    __version__, "-V", "--version", prog_name="hcctl", message="%(prog)s %(version)s"
)
def main() -> None:
    """Set up, inspect and maintain the jobs of hcrun and the checks of Healthchecks.

    Without a command, show where things stand and the next step.
    """
    if click.get_current_context().invoked_subcommand is None:
        from hcrun.ctl.commands.overview import show  # as the commands, when it is used

        show()
