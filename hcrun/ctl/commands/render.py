"""`hcctl render`: the catalogue as crontab lines or systemd units."""

import os
from typing import Any

import click

from hcrun.ctl.rendering import KINDS, Request
from hcrun.ctl.table import options
from hcrun.errors import HcrunError
from hcrun.schedulers import managed_files


@click.command()
@options("render")
@click.argument("kind", type=click.Choice(list(KINDS)))
@options("rendering", "catalog", "selection")
def render(output: str, **options: Any) -> None:
    if output != "-" and os.path.exists(output) and not os.path.isdir(output):
        raise HcrunError("not a directory", where="--output", hint="name a directory, or -")
    request = Request(**options)
    _, rendered = request.render()
    kind = KINDS[request.kind]
    if output == "-":
        several = len(rendered.files) > 1
        for name, text in rendered.files.items():
            heading = f"# {os.path.join(kind.directory, name)}\n" if several else ""
            click.echo(heading + text, nl=several)
        return
    with managed_files.locked(output):
        changes, kept = managed_files.plan(output, rendered.files, kind.present(output))
        if kept:
            raise HcrunError(
                "changed by hand", where=", ".join(kept), hint="move it away; nothing was written"
            )
        managed_files.apply(changes)
    click.echo(f"{output}: {len(changes)} of {len(rendered.files)} files changed")
