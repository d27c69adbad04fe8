"""`hcctl ping`: one ping by hand."""

import os

import click

from hcrun.api import pinging
from hcrun.ctl.table import options
from hcrun.errors import HcrunError, UsageError
from hcrun.journal.delivery import retry_policy
from hcrun.ping.target import is_uuid, resolve, validate
from hcrun.settings import Settings

_DEADLINE = 30.0  # seconds in all


@click.command()
@click.argument("check")
@click.argument("kind", default="success", metavar="[success|start|fail|log|0-255]")
@click.argument("message", default="")
@options("ping")
def ping(check: str, kind: str, message: str, create: bool) -> None:
    validate(check)
    action = _action(kind)
    settings = Settings.load()
    target = resolve(check, settings, create)
    retry_policy(settings)  # adds what is wrong with its settings to the problems
    if settings.problems:
        raise HcrunError(settings.problems[0])
    if not target.url:
        raise HcrunError(target.why or "HEALTHCHECKS_ENABLED is false", hint="no ping was sent")
    url = target.address(action, _rid(check, action))
    if why := pinging.send(target, url, message, settings, _DEADLINE):
        raise HcrunError(why)


def _action(kind: str) -> str:
    if kind == "success":
        return ""
    if kind in ("start", "fail", "log"):
        return f"/{kind}"
    if kind.isascii() and kind.isdigit() and int(kind) <= 255:
        return f"/{int(kind)}"
    raise UsageError(
        f"invalid kind of ping {kind!r}", hint="choose success, start, fail, log or 0 to 255"
    )


def _rid(check: str, action: str) -> str:
    """The run's id for a log ping that its own job sends, else "".

    Only for the log: it is not known here whether the run sent a start, and an end whose rid no
    start had turns off durations on the server.
    """
    run_id = os.environ.get("HCRUN_RUN_ID", "")
    ours = action == "/log" and check == os.environ.get("HCRUN_CHECK")
    return run_id.lower() if ours and is_uuid(run_id) else ""
