"""`hcctl check`: is checks.toml right?"""

from __future__ import annotations

import json
import sys

import click

from hcrun import catalog as catalogue
from hcrun.catalog import Catalog
from hcrun.ctl.options import catalog_option
from hcrun.errors import CatalogError
from hcrun.text import counted


@click.command()
@catalog_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(catalog: str, as_json: bool) -> None:
    """Say whether the catalogue is right, and all that is wrong with it, one line each.

    Everything that the server limits is checked, and no server is asked. Exit status 0 when it
    is right, 1 when it is not.

    \b
    Examples:
      hcctl check
      hcctl check --catalog checks.toml

    \b
    --json has
      path            of the file
      checks          their slugs; empty when something is wrong
      problems        where (file, line and key), what, and hint: what would be right
    """
    path = catalog or catalogue.default_path()
    problems: tuple[CatalogError, ...] = ()
    found = None
    try:
        found = catalogue.load(path)
    except CatalogError as error:
        problems = error.problems or (error,)
    if as_json:
        click.echo(json.dumps(_plain(path, found, problems), indent=2))
    elif found:
        click.echo(f"{path}: {_summary(found)}")
    else:
        for problem in problems:
            click.echo(str(problem), err=True)
    if problems:
        sys.exit(1)


def _summary(catalog: Catalog) -> str:
    total = len(catalog.checks)
    alone = sum(not check.command for check in catalog.checks)
    text = counted(total, "check")
    if alone:
        text += f", {alone} of them pinged by the application itself"
    quiet = [check.slug for check in catalog.checks if not check.channels]
    if quiet:
        more = f" and {len(quiet) - 3} more" if len(quiet) > 3 else ""
        text += f"; nobody is told of {', '.join(quiet[:3])}{more}"
    return text


def _plain(
    path: str, catalog: Catalog | None, problems: tuple[CatalogError, ...]
) -> dict[str, object]:
    return {
        "path": path,
        "checks": [check.slug for check in catalog.checks] if catalog else [],
        "problems": [
            {"where": problem.where, "what": problem.what, "hint": problem.hint}
            for problem in problems
        ],
    }
