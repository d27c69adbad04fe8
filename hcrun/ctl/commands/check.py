"""`hcctl check`: validates checks.toml."""

import json
import sys

import click

from hcrun import catalog as catalogue
from hcrun.catalog import Check
from hcrun.ctl.table import options
from hcrun.errors import CatalogError
from hcrun.text import counted, listed


@click.command()
@options("catalog", "check")
def check(catalog: str, as_json: bool) -> None:
    path = catalog or catalogue.default_path()
    checks: tuple[Check, ...] = ()
    problems: tuple[CatalogError, ...] = ()
    try:
        checks = catalogue.load(path).checks
    except CatalogError as error:
        problems = error.problems or (error,)
    if as_json:
        facts = [{"where": p.where, "what": p.what, "hint": p.hint} for p in problems]
        slugs = [check.slug for check in checks]
        click.echo(json.dumps({"path": path, "checks": slugs, "problems": facts}, indent=2))
    elif not problems:
        click.echo(f"{path}: {_summary(checks)}")
    else:
        click.echo("\n".join(map(str, problems)), err=True)
    if problems:
        sys.exit(1)


def _summary(checks: tuple[Check, ...]) -> str:
    text = counted(len(checks), "check")
    if without := sum(not check.command for check in checks):
        text += f", {without} without a command (pinged by the application)"
    if silent := [check.slug for check in checks if not check.channels]:
        text += f"; no channels: {listed(silent, 3)}"
    return text
