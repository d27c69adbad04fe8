"""`hcctl ping`: one ping by hand."""

from __future__ import annotations

import time

import click

from hcrun import ping as pings
from hcrun.errors import HcrunError, PingError, UsageError
from hcrun.reporter import redactor
from hcrun.settings import Settings
from hcrun.target import resolve, validate

_DEADLINE = 30.0  # seconds in all


@click.command()
@click.argument("check")
@click.argument("kind", default="success", metavar="[start|fail|log|0-255]")
@click.argument("message", default="")
@click.option("--create", is_flag=True, help="Make the check if there is none of this name.")
def ping(check: str, kind: str, message: str, create: bool) -> None:
    """Ping CHECK once: a success, or what is said.

    \b
    Examples:
      hcctl ping backup
      hcctl ping backup fail "the disk is full"
      hcctl ping "$HCRUN_CHECK" log "half way"     inside a job that hcrun runs
    """
    validate(check)
    action = _action(kind)
    settings = Settings.load()
    target = resolve(check, settings, create)
    if settings.problems:
        raise HcrunError(settings.problems[0])
    if not target.url:
        raise HcrunError(target.why or "HEALTHCHECKS_ENABLED is false", hint="nothing was pinged")
    text = redactor(settings, target).text(message)
    policy = pings.Policy(settings.integer("HEALTHCHECKS_RETRY_COUNT", 3, least=1), 1.0)
    reply = pings.send(target.address(action), text, policy, time.monotonic() + _DEADLINE)
    if not pings.taken(reply):
        raise PingError(pings.explain(reply, target))


def _action(kind: str) -> str:
    if kind == "success":
        return ""
    if kind in ("start", "fail", "log") or (kind.isdigit() and int(kind) <= 255):
        return f"/{kind}"
    raise UsageError(
        f"{kind!r} is no kind of ping", hint="give success, start, fail, log or 0 to 255"
    )
