"""`hcctl hold`: no alerts for what another failure, or a restart of the server, explains."""

import time

import click

from hcrun.catalog import load
from hcrun.ctl.connect import connect
from hcrun.ctl.table import options
from hcrun.errors import HcrunError, UsageError
from hcrun.sync import apply
from hcrun.sync.hold import Leases


@click.command()
@options("catalog", "hold")
def hold(catalog: str, every: bool, length: float | None) -> None:
    if every != (length is not None):
        raise UsageError("--all and --for belong together", hint="hcctl hold --all --for 15m")
    loaded = load(catalog, obeyed=True)
    client = connect()
    now = time.time()
    leases = Leases(loaded, client.list_checks(), client.list_flips, now)
    result = apply.Result()
    if length:
        apply.apply(client, leases.mark(now + length), result)
        if not leases.holder:
            click.echo("hcctl: no check runs hcctl hold: afterwards, run hcctl sync", err=True)
    apply.apply(client, leases.changes(), result)
    if 0 < leases.until <= now and not result.failed:
        apply.apply(client, leases.mark(0), result)
    for change in result.done:
        for name, before, after in change.differences:
            click.echo(f"{change.slug}: {name} {before} -> {after}")
    if result.failed:
        raise HcrunError("; ".join(f"{slug}: {why}" for slug, why in result.failed.items()))
