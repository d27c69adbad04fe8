"""`hcctl channels`: compares channels with the server's, creates them there, and tests them."""

import json
from typing import Any

import click

from hcrun.alerts import inside
from hcrun.alerts.channels import Match, ask, remedies, with_state
from hcrun.catalog import Catalog, load
from hcrun.ctl.connect import connect
from hcrun.ctl.table import options
from hcrun.errors import ApiError
from hcrun.settings import Settings
from hcrun.text import counted

_manage_option = click.option(
    "--manage",
    metavar="COMMAND",
    default="",
    help="The command of the server's manage.py.  [default: HEALTHCHECKS_MANAGE, else"
    f" {inside.MANAGE}]",
)


@click.group(invoke_without_command=True)
@options("catalog", "channels")
@click.pass_context
def channels(context: click.Context, catalog: str, as_json: bool) -> None:
    if context.invoked_subcommand:
        if catalog:
            raise click.UsageError("give --catalog after bootstrap")
        return
    loaded = load(catalog)
    matches, settings = ask(connect(), loaded), Settings.load()
    if settings.get(inside.SETTING):
        states = inside.states(settings)
        matches = [with_state(one, states) for one in matches]
    rows = [_as_json(loaded, one) for one in matches]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _show(rows)
    _check_all(matches)


@channels.command(short_help="Create the channels on a self-hosted server.")
@options("catalog", "channels bootstrap")
@_manage_option
def bootstrap(catalog: str, run: bool, manage: str) -> None:
    loaded = load(catalog, obeyed=run)
    wanted = inside.specs(loaded)
    if not run:
        click.echo(inside.script("bootstrap", wanted, {}), nl=False)
        return
    client = connect()
    secrets = [name for spec in wanted for name in spec["secrets"].values()]
    inside.run(Settings.load(), manage, "bootstrap", wanted, secrets)
    _check_all(ask(client, loaded))


@channels.command(short_help="Send a test alert through each channel.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_manage_option
def test(names: tuple[str, ...], manage: str) -> None:
    inside.run(Settings.load(), manage, "test", list(names))


def _check_all(matches: list[Match]) -> None:
    if wrong := [one for one in matches if one.trouble]:
        names = ", ".join(one.name for one in wrong)
        message = f"{len(wrong)} of {len(matches)} channels cannot be used: {names}"
        raise ApiError(message, hint=remedies(wrong))


def _as_json(catalog: Catalog, one: Match) -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "tiers": [tier.name for tier in catalog.tiers.values() if one.name in tier.channels],
        "checks": sum(one.name in check.channels for check in catalog.checks),
        "state": one.state,
        "trouble": one.trouble,
        "sent": one.sent,
    }


def _show(rows: list[dict[str, Any]]) -> None:
    width = max((len(one["name"]) for one in rows), default=0)
    for one in rows:
        users, tiers = counted(one["checks"], "check"), one["tiers"]
        if tiers:
            users += f", {'tier' if len(tiers) == 1 else 'tiers'} {', '.join(tiers)}"
        state = click.style(f"{one['state']:12}", fg="red" if one["trouble"] else "green")
        sent = f"; last alert {one['sent']}" if one["sent"] else ""
        trouble = f"; {one['trouble']}" if one["trouble"] else ""
        click.echo(f"{one['name']:{width}}  {one['kind']:8}  {state}  {users}{sent}{trouble}")
    if not rows:
        click.echo("the catalogue has no channels")
