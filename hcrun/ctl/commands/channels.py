"""`hcctl channels`: the catalogue's channels on the server; `bootstrap` makes them there."""

from __future__ import annotations

import json
import shlex
import subprocess

import click

from hcrun.alerts import bootstrap as scripts
from hcrun.alerts import channel_ids
from hcrun.alerts.channels import Match
from hcrun.catalog import Catalog, load
from hcrun.ctl.connect import connect
from hcrun.ctl.options import catalog_option
from hcrun.errors import ApiError, HcrunError
from hcrun.settings import Settings
from hcrun.text import counted

_COLOURS = {"there": "green", "missing": "red", "ambiguous": "red", "kind differs": "red"}
MANAGE = "docker compose exec -T healthchecks ./manage.py"
_PATIENCE = 300.0  # seconds; a container's Django takes a few to start
# With the script on stdin: `shell` itself reads stdin only when something is there at once.
_READ = ("shell", "-v", "0", "-c", "import sys; exec(sys.stdin.read())")


@click.group(invoke_without_command=True)
@catalog_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def channels(context: click.Context, catalog: str, as_json: bool) -> None:
    """Compare the catalogue's channels with those of the server.

    Exit status 1 when one is missing, ambiguous or of another kind.

    \b
    Examples:
      hcctl channels
      hcctl channels bootstrap --run

    \b
    --json has for each channel
      name, kind       as in the catalogue
      tiers            that use it
      checks           how many checks use it
      state            there, missing, ambiguous, kind differs
      trouble          in words, or ""
    """
    if context.invoked_subcommand:
        if catalog:
            raise click.UsageError("--catalog goes behind the command")
        return
    found = load(catalog)
    matches = channel_ids.ask(connect(), found)
    if as_json:
        click.echo(json.dumps([_plain(found, one) for one in matches], indent=2))
    else:
        _show(found, matches)
    _complain(matches)


@channels.command()
@catalog_option
@click.option("--run", is_flag=True, help="Run the script instead of printing it.")
@click.option(
    "--manage",
    metavar="COMMAND",
    default=MANAGE,
    show_default=True,
    help="With --run: how manage.py of the server is called.",
)
def bootstrap(catalog: str, run: bool, manage: str) -> None:
    """Print the script that makes the catalogue's channels on a self-hosted server.

    It runs in the server's `manage.py shell` and can be run again: what is there stays, what
    differs is corrected. It has no secrets in it: it looks for them, and for
    HEALTHCHECKS_API_KEY, which tells it the project, in its own environment. --run takes them
    from this host's settings and passes them on with the script, by stdin only.

    \b
    Examples:
      hcctl channels bootstrap --run
      hcctl channels bootstrap --run --manage "sudo -u hc /opt/hc/manage.py"
      hcctl channels bootstrap > channels.py
    """
    found = load(catalog)
    specs = scripts.specs(found)
    if not run:
        click.echo(scripts.script(specs, {}), nl=False)
        return
    client = connect()
    _run(manage, scripts.script(specs, scripts.secrets(specs, Settings.load())))
    _complain(channel_ids.ask(client, found))


def _run(manage: str, script: str) -> None:
    """Raises HcrunError when the command cannot be run, or fails."""
    try:
        command = [*shlex.split(manage), *_READ]
        done = subprocess.run(command, input=script, text=True, timeout=_PATIENCE, check=False)
    except ValueError as error:
        raise HcrunError(f"{manage!r}: {error}", where="--manage") from None
    except OSError as error:
        hint = "give the command that runs the server's manage.py"
        raise HcrunError(f"{manage}: {error.strerror}", where="--manage", hint=hint) from None
    except subprocess.TimeoutExpired:
        raise HcrunError(f"{manage}: took over {_PATIENCE:g} s", where="--manage") from None
    if done.returncode:
        raise HcrunError(
            f"{manage}: exit status {done.returncode}",
            where="--manage",
            hint="see above; it can be run again",
        )


def _complain(matches: list[Match]) -> None:
    wrong = [one for one in matches if one.trouble]
    if wrong:
        raise ApiError(
            f"{len(wrong)} of {len(matches)} channels cannot be used: "
            + ", ".join(one.name for one in wrong),
            hint=" or ".join(dict.fromkeys(one.remedy for one in wrong)),
        )


def _tiers(catalog: Catalog, name: str) -> list[str]:
    return [tier.name for tier in catalog.tiers.values() if name in tier.channels]


def _checks(catalog: Catalog, name: str) -> int:
    return sum(name in check.channels for check in catalog.checks)


def _show(catalog: Catalog, matches: list[Match]) -> None:
    if not matches:
        click.echo("the catalogue has no channels")
        return
    width = max(len(one.name) for one in matches)
    for one in matches:
        checks = _checks(catalog, one.name)
        users = counted(checks, "check")
        if tiers := _tiers(catalog, one.name):
            users += f", {'tier' if len(tiers) == 1 else 'tiers'} {', '.join(tiers)}"
        state = click.style(f"{one.state:12}", fg=_COLOURS[one.state])
        more = f"; {one.trouble}" if one.trouble else ""
        click.echo(f"{one.name:{width}}  {one.kind:8}  {state}  {users}{more}")


def _plain(catalog: Catalog, one: Match) -> dict[str, object]:
    return {
        "name": one.name,
        "kind": one.kind,
        "tiers": _tiers(catalog, one.name),
        "checks": _checks(catalog, one.name),
        "state": one.state,
        "trouble": one.trouble,
    }
