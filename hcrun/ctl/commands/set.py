"""`hcctl set`: period and grace time of a check that is in no catalogue."""

import click

from hcrun.ctl.connect import connect
from hcrun.errors import HcrunError, UsageError
from hcrun.run.options import period
from hcrun.sync import pausing
from hcrun.units import span


def _seconds(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else period(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("set")
@click.argument("check")
@click.option("--period", "timeout", metavar="DUR", callback=_seconds, help="1m to 365d.")
@click.option("--grace", metavar="DUR", callback=_seconds, help="1m to 365d.")
def set_(check: str, timeout: int | None, grace: int | None) -> None:
    """Set period and grace time of a check, such as one that hcrun --create has made.

    CHECK is a slug, a name or a uuid. Needs HEALTHCHECKS_API_KEY. For a check of the catalogue,
    change that and run hcctl sync, which would set other values back.

    \b
    Example:
      hcctl set backup --period 1d --grace 2h
    """
    fields = {name: value for name, value in (("timeout", timeout), ("grace", grace)) if value}
    if not fields:
        raise UsageError("nothing to set", hint="give --period, --grace or both")
    client = connect()
    (found,) = pausing.choose(client.checks(), [check], ())
    if timeout and found.schedule:
        raise HcrunError(
            f"{check} has the schedule {found.schedule!r}, not a period",
            hint="change it on the page of the check",
        )
    changed = client.update(found.uuid, fields)
    when = found.schedule or f"period {span(changed.timeout or 0)}"
    click.echo(f"{pausing.name_of(found)}: {when}, grace {span(changed.grace)}")
