"""`hcctl render`: the catalogue as crontab lines or systemd units."""

from __future__ import annotations

import os

import click

from hcrun.ctl.options import catalog_option, selection_options
from hcrun.ctl.rendering import KINDS, find_hcrun, hcrun_option, kind_argument, make, present
from hcrun.errors import HcrunError
from hcrun.schedulers import managed_files


@click.command()
@kind_argument
@click.option(
    "--output",
    metavar="DIR",
    default="-",
    help="Write them there, and delete those of checks that are gone.  [default: -, print them]",
)
@hcrun_option
@catalog_option
@selection_options
def render(
    kind: str,
    output: str,
    hcrun: str,
    catalog: str,
    tags: tuple[str, ...],
    tiers: tuple[str, ...],
    environments: tuple[str, ...],
) -> None:
    """Make crontab lines, or systemd units, of all checks that have a command.

    crontab is one file for /etc/cron.d; systemd is a timer and a drop-in for each check, the
    templates they are for, and hcrun.target, which starts all timers. `hcctl install` puts them
    in their place.

    \b
    Examples:
      hcctl render crontab
      hcctl render systemd --output units --hcrun /opt/hcrun/bin/hcrun
      hcctl render crontab --environment staging --tier 1

    What the scheduler cannot do is left out and said on stderr (a calendar schedule in a
    crontab), or an error (a period of 7 minutes in a crontab).
    """
    if output != "-" and os.path.exists(output) and not os.path.isdir(output):
        raise HcrunError("is not a directory", where="--output", hint="name one, or -")
    _, rendered = make(KINDS[kind], catalog, hcrun or find_hcrun(), (tags, tiers, environments))
    if output == "-":
        _print(kind, rendered.files)
        return
    with managed_files.locked(output):
        plan = managed_files.plan(output, rendered.files, present(KINDS[kind], output))
        if plan.kept:
            raise HcrunError(
                "not made by hcctl, or changed by hand since",
                where=", ".join(plan.kept),
                hint="move it away; nothing was written",
            )
        managed_files.apply(plan.changes)
    click.echo(f"{output}: {len(plan.changes)} changed, {len(rendered.files)} in all")


def _print(kind: str, files: dict[str, str]) -> None:
    for number, (name, text) in enumerate(files.items()):
        if len(files) > 1:
            blank = "\n" if number else ""
            click.echo(f"{blank}# {os.path.join(KINDS[kind].directory, name)}")
        click.echo(text, nl=False)
