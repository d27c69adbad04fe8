"""`hcctl ping`: one ping by hand."""

from __future__ import annotations

import os
import time

import click

from hcrun.errors import HcrunError, PingError, UsageError
from hcrun.journal.delivery import redactor, retry_policy
from hcrun.ping import client
from hcrun.ping.target import is_uuid, resolve, validate
from hcrun.settings import Settings

_DEADLINE = 30.0  # seconds in all


@click.command()
@click.argument("check")
@click.argument("kind", default="success", metavar="[success|start|fail|log|0-255]")
@click.argument("message", default="")
@click.option("--create", is_flag=True, help="Make the check if there is none of this name.")
def ping(check: str, kind: str, message: str, create: bool) -> None:
    """Ping CHECK once: a success, or what is said.

    \b
    Examples:
      hcctl ping backup
      hcctl ping backup fail "the disk is full"
      hcctl ping "$HCRUN_CHECK" log "half way"     inside a job that hcrun runs

    The last goes to the run's own log on the server. Says nothing when all is well.
    """
    validate(check)
    action = _action(kind)
    settings = Settings.load()
    target = resolve(check, settings, create)
    policy = retry_policy(settings)
    if settings.problems:
        raise HcrunError(settings.problems[0])
    if not target.url:
        raise HcrunError(target.why or "HEALTHCHECKS_ENABLED is false", hint="nothing was pinged")
    text = redactor(settings, target).text(message)
    url = target.address(action, _rid(check, action))
    reply = client.send(url, text, policy, time.monotonic() + _DEADLINE)
    if not client.accepted(reply):
        raise PingError(client.explain(reply, target))


def _action(kind: str) -> str:
    if kind == "success":
        return ""
    if kind in ("start", "fail", "log"):
        return f"/{kind}"
    if kind.isascii() and kind.isdigit() and int(kind) <= 255:
        return f"/{int(kind)}"
    raise UsageError(
        f"{kind!r} is no kind of ping", hint="give success, start, fail, log or 0 to 255"
    )


def _rid(check: str, action: str) -> str:
    """The run's id for a word about it from inside of it.

    Only for the log, which changes nothing: whether the run sent a start is not known here, and
    an end with a rid that no start had turns durations off.
    """
    run_id = os.environ.get("HCRUN_RUN_ID", "")
    ours = action == "/log" and check == os.environ.get("HCRUN_CHECK")
    return run_id.lower() if ours and is_uuid(run_id) else ""
