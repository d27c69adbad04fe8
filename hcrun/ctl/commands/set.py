"""`hcctl set`: period and grace time of checks that are in no catalogue."""

from collections.abc import Sequence
from typing import Any

import click

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import MARKER
from hcrun.ctl.connect import connect
from hcrun.ctl.table import options
from hcrun.errors import HcrunError, UsageError
from hcrun.sync import pausing
from hcrun.units import span


@click.command("set")
@click.argument("checks", metavar="CHECK...", nargs=-1, required=True)
@options("set")
def set_(
    checks: Sequence[str], timeout: int | None, grace: int | None, like: str | None, create: bool
) -> None:
    fields = {name: value for name, value in (("timeout", timeout), ("grace", grace)) if value}
    if not (fields or like):
        raise UsageError("nothing to set", hint="give --period, --grace or --like")
    if fields and like:
        raise UsageError("--like sets period and grace time, too", hint="leave the others out")
    if create and not like:
        raise UsageError("--create needs --like", hint="add --like CHECK")
    client = connect()
    there = client.list_checks()
    if like:
        (model,) = pausing.choose(there, [like], ())
        fields = _copied(model)
    slugs = {check.slug for check in there}
    missing = [name for name in checks if create and name not in slugs]
    chosen = pausing.choose(there, [name for name in checks if name not in missing], ())
    if scheduled := [check for check in chosen if timeout and check.schedule]:
        raise HcrunError(
            f"{scheduled[0].label} has the schedule {scheduled[0].schedule!r}, not a period",
            hint="change it on the page of the check",
        )
    for found in chosen:
        _show(client.update_check(found.uuid, **fields))
    for slug in missing:
        _show(client.create_with({"name": slug, "slug": slug} | fields))


def _copied(model: RemoteCheck) -> dict[str, Any]:
    """What the checks of a kind have in common. Only sync's own checks have its marker."""
    fields: dict[str, Any] = {
        "grace": model.grace,
        "tags": " ".join(tag for tag in model.tags if tag != MARKER),
        "channels": ",".join(model.channels),
    }
    if model.schedule:
        return fields | {"schedule": model.schedule, "tz": model.zone}
    return fields | {"timeout": model.timeout or 0}


def _show(check: RemoteCheck) -> None:
    when = check.schedule or f"period {span(check.timeout or 0)}"
    click.echo(f"{check.label}: {when}, grace {span(check.grace)}")
