"""`hcctl channels`: compares the channels with the server's; `bootstrap` creates them there."""

import json
import shlex
import subprocess

import click

from hcrun.alerts import bootstrap as scripts
from hcrun.alerts.channels import Match, ask, remedies
from hcrun.catalog import Catalog, load
from hcrun.ctl.connect import connect
from hcrun.ctl.options import catalog_option
from hcrun.errors import ApiError, HcrunError
from hcrun.settings import Settings
from hcrun.text import counted

MANAGE = "docker compose exec -T healthchecks ./manage.py"
_PATIENCE = 300.0  # seconds; a container's Django takes a few to start
# Reads the script from stdin: `shell` itself reads stdin only if there is input at once.
_READ = ("shell", "-v", "0", "-c", "import sys; exec(sys.stdin.read())")


@click.group(invoke_without_command=True)
@catalog_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_context
def channels(context: click.Context, catalog: str, as_json: bool) -> None:
    """Compare the catalogue's channels with those of the server.

    Exit status 1 if one is missing, ambiguous or of another kind.

    \b
    Examples:
      hcctl channels
      hcctl channels bootstrap --run

    \b
    --json prints for each channel
      name, kind   as in the catalogue
      tiers        the tiers that use it
      checks       the number of checks that use it
      state        there, missing, ambiguous, kind differs
      trouble      why it cannot be used, or ""
    """
    if context.invoked_subcommand:
        if catalog:
            raise click.UsageError("give --catalog after bootstrap")
        return
    loaded = load(catalog)
    matches = ask(connect(), loaded)
    if as_json:
        click.echo(json.dumps([_as_json(loaded, one) for one in matches], indent=2))
    else:
        _show(loaded, matches)
    _check_all(matches)


@channels.command(short_help="Create the channels on a self-hosted server.")
@catalog_option
@click.option("--run", is_flag=True, help="Run the script instead of printing it.")
@click.option(
    "--manage",
    metavar="COMMAND",
    default=MANAGE,
    show_default=True,
    help="With --run: the command of the server's manage.py.",
)
def bootstrap(catalog: str, run: bool, manage: str) -> None:
    """Print a script that creates the catalogue's channels on a self-hosted server.

    The server's `manage.py shell` runs it. It can be run again: channels that exist stay, and
    those that differ are corrected. It contains no secrets: it reads them, and
    HEALTHCHECKS_API_KEY for the project, from its environment. --run takes them from the
    settings of this host and passes them to the script on stdin only.

    \b
    Examples:
      hcctl channels bootstrap --run
      hcctl channels bootstrap --run --manage "sudo -u hc /opt/hc/manage.py"
      hcctl channels bootstrap > channels.py
    """
    loaded = load(catalog, obeyed=run)
    specs = scripts.specs(loaded)
    if not run:
        click.echo(scripts.script(specs, {}), nl=False)
        return
    client = connect()
    _run(manage, scripts.script(specs, scripts.secrets(specs, Settings.load())))
    _check_all(ask(client, loaded))


def _run(manage: str, script: str) -> None:
    """Run the script. Raises HcrunError if the command fails."""
    try:
        command = [*shlex.split(manage), *_READ]
        done = subprocess.run(command, input=script, text=True, timeout=_PATIENCE, check=False)
    except ValueError as error:
        raise HcrunError(f"{manage!r}: {error}", where="--manage") from None
    except OSError as error:
        hint = "give the command that runs the server's manage.py"
        raise HcrunError(f"{manage}: {error.strerror}", where="--manage", hint=hint) from None
    except subprocess.TimeoutExpired:
        raise HcrunError(f"{manage}: took longer than {_PATIENCE:g} s", where="--manage") from None
    if done.returncode:
        raise HcrunError(
            f"{manage}: exit status {done.returncode}",
            where="--manage",
            hint="see above; it can be run again",
        )


def _check_all(matches: list[Match]) -> None:
    if wrong := [one for one in matches if one.trouble]:
        names = ", ".join(one.name for one in wrong)
        message = f"{len(wrong)} of {len(matches)} channels cannot be used: {names}"
        raise ApiError(message, hint=remedies(wrong))


def _users(catalog: Catalog, name: str) -> tuple[list[str], int]:
    """The tiers that use a channel, and the number of checks."""
    tiers = [tier.name for tier in catalog.tiers.values() if name in tier.channels]
    return tiers, sum(name in check.channels for check in catalog.checks)


def _show(catalog: Catalog, matches: list[Match]) -> None:
    if not matches:
        click.echo("the catalogue has no channels")
        return
    width = max(len(one.name) for one in matches)
    for one in matches:
        tiers, checks = _users(catalog, one.name)
        users = counted(checks, "check")
        if tiers:
            users += f", {'tier' if len(tiers) == 1 else 'tiers'} {', '.join(tiers)}"
        state = click.style(f"{one.state:12}", fg="red" if one.trouble else "green")
        trouble = f"; {one.trouble}" if one.trouble else ""
        click.echo(f"{one.name:{width}}  {one.kind:8}  {state}  {users}{trouble}")


def _as_json(catalog: Catalog, one: Match) -> dict[str, object]:
    tiers, checks = _users(catalog, one.name)
    shown = {"name": one.name, "kind": one.kind, "tiers": tiers, "checks": checks}
    return shown | {"state": one.state, "trouble": one.trouble}
