"""`hcctl pause` and `hcctl resume`: maintenance windows."""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
import time
from collections.abc import Iterable

import click

from hcrun.api.models import RemoteCheck
from hcrun.catalog import Check, load
from hcrun.ctl.connect import connect, open_journal
from hcrun.ctl.options import catalog_option
from hcrun.errors import ApiError, HcrunError, UsageError
from hcrun.journal import maintenance
from hcrun.journal.maintenance import Window, check_key
from hcrun.journal.run import user_name
from hcrun.ping import client as pings
from hcrun.ping.target import from_url, resolve
from hcrun.settings import Settings
from hcrun.sync import pausing
from hcrun.units import seconds

_ENDS_WINDOWS = ("hcctl", "resume", "--due")
_PING_FOR = 30.0  # seconds, for one ping
_NO_RUN = "Not a run: hcctl resume sent this after maintenance, so that the deadline counts."


def _duration(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        length = seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if length < 1:
        raise click.BadParameter("give a second or more")
    return length


@click.command()
@click.argument("checks", nargs=-1, metavar="[CHECK]...")
@catalog_option
@click.option(
    "--tag",
    "tags",
    metavar="TAG",
    multiple=True,
    help="All checks with this tag; repeated, with all of them.",
)
@click.option(
    "--for",
    "length",
    metavar="DUR",
    callback=_duration,
    help="How long it is planned to be, as 30m or 2h.",
)
@click.option("--reason", metavar="TEXT", default="", help="Why; shown in the report.")
def pause(
    checks: tuple[str, ...],
    catalog: str,
    tags: tuple[str, ...],
    length: float | None,
    reason: str,
) -> None:
    """Take checks out of service: no alerts, whatever their jobs report meanwhile.

    CHECK is a slug, a name or a uuid. The window is kept in this user's journal on this host, and
    hcctl report does not count it as down. Nothing ends it by itself: `hcctl resume --due` ends
    those whose time has come, and the catalogue has a check that runs it, as a user who must be
    the one who pauses. Pausing a check again changes the window's end.

    \b
    Examples:
      sudo -u hcrun -H hcctl pause postgres --for 2h --reason "upgrade to 17"
      hcctl pause --tag tier:1 --for 30m
      hcctl resume --tag tier:1 --ping
    """
    if not checks and not tags:
        raise UsageError("nothing is named", hint="give a check, or --tag")
    _check_user(load(catalog).checks)
    client = connect()
    chosen = pausing.choose(client.checks(), checks, tags)
    if not chosen:
        raise HcrunError(f"no check has the tag {' and '.join(tags)}", hint="see hcctl status")
    now = time.time()
    until = None if length is None else now + length
    planned = pausing.Planned(now, until, reason, os.environ.get("SUDO_USER") or user_name())
    journal = open_journal(create=True)
    going = {window.key: window for window in maintenance.in_progress(journal)}
    ends = f"until {_when(until)}" if until else "until it is resumed"
    failed = 0
    for check in chosen:
        name = pausing.name_of(check)
        try:
            before = going.get(check_key(check.uuid))
            word, more = pausing.pause(client, journal, check, planned, before)
        except ApiError as error:
            failed += 1
            click.echo(f"failed   {name}: {error}", err=True)
        else:
            click.echo(f"{word:8} {name} {ends}" + (f"; {more}" if more else ""))
    if failed:
        raise HcrunError(
            f"{failed} of {len(chosen)} failed", hint="pause again, or hcctl resume puts them back"
        )
    if until:
        click.echo("hcctl resume --due ends it then; nothing does so by itself", err=True)


def _check_user(checks: Iterable[Check]) -> None:
    """Raises HcrunError when those who end windows would look for this one in another journal."""
    for check in checks:
        if check.command[:3] != _ENDS_WINDOWS or not check.user or check.user == user_name():
            continue
        with contextlib.suppress(KeyError):  # no such user on this host: nobody runs it here
            pwd.getpwnam(check.user)
            raise HcrunError(
                f"{check.user} ends maintenance windows and reports them ([checks.{check.slug}]),"
                f" not {user_name()}",
                hint=f"sudo -u {check.user} -H hcctl pause ...",
            )


@click.command()
@click.argument("checks", nargs=-1, metavar="[CHECK]...")
@click.option(
    "--tag",
    "tags",
    metavar="TAG",
    multiple=True,
    help="Of all checks with this tag; repeated, with all of them.",
)
@click.option("--due", is_flag=True, help="Of all checks whose time has come.")
@click.option(
    "--ping", is_flag=True, help="Ping what was resumed, so that its deadline counts from now."
)
def resume(checks: tuple[str, ...], tags: tuple[str, ...], due: bool, ping: bool) -> None:
    """End maintenance windows: what `hcctl pause` has paused on this host is resumed.

    What was paused before stays paused. A resumed check is new: it has no deadline, and so no
    alert, before its next ping. --ping sends one, which says that it is none of a run.

    \b
    Examples:
      hcctl resume postgres --ping
      hcctl resume --tag tier:1
      hcctl resume --due --ping
    """
    if bool(checks or tags) == due:
        raise UsageError("give checks, --tag or --due", hint="--due goes alone")
    journal = open_journal(create=True)
    windows = maintenance.in_progress(journal)
    now = time.time()
    if due:
        windows = [window for window in windows if window.due(now)]
        if not windows:
            return
    client = connect()
    by_key = {check_key(check.uuid): check for check in client.checks()}
    if not due:
        windows = _named(windows, by_key, checks, tags)
    resumed: list[RemoteCheck] = []
    failed = 0
    for window in windows:
        check = by_key.get(window.key)
        try:
            word, more = pausing.resume(client, journal, check, window, now)
        except ApiError as error:
            failed += 1
            click.echo(f"failed   {window.name}: {error}", err=True)
            continue
        click.echo(f"{word:8} {window.name}" + (f"; {more}" if more else ""))
        if check and word == "resumed":
            resumed.append(check)
    failed += _after(resumed, ping)
    if failed:
        raise HcrunError(f"{failed} of {len(windows)} failed", hint="see above, and run it again")


def _named(
    windows: list[Window],
    by_key: dict[str, RemoteCheck],
    names: Iterable[str],
    tags: Iterable[str],
) -> list[Window]:
    """Raises HcrunError for a check that is in no window."""
    wanted = set(tags)
    found = [
        window
        for window in windows
        if wanted and window.key in by_key and wanted <= set(by_key[window.key].tags)
    ]
    for name in names:
        known = {name, *(key for key, check in by_key.items() if check.uuid == name.lower())}
        same = [window for window in windows if known & {window.name, window.key}]
        if not same:
            raise HcrunError(
                f"{name} was not paused by hcctl pause of this user on this host",
                hint="resume it in the web interface, or where it was paused",
            )
        found += [window for window in same if window not in found]
    if not found:
        raise HcrunError("no such check is paused by hcctl pause", hint="see hcctl status")
    return found


def _after(resumed: list[RemoteCheck], ping: bool) -> int:
    """Pings what was resumed, if that is wanted; returns how many pings were not taken."""
    if not resumed:
        return 0
    names = ", ".join(pausing.name_of(check) for check in resumed)
    one = len(resumed) == 1
    warning = f"{names}: new, without a deadline until {'its' if one else 'their'} next ping"
    if not ping and sys.stdin.isatty() and sys.stderr.isatty():
        click.echo(warning, err=True)
        ping = click.confirm(f"Ping {'it' if one else 'them'} now?", err=True)
    elif not ping:
        click.echo(f"{warning}; --ping sends one", err=True)
    return sum(not _ping(check) for check in resumed) if ping else 0


def _ping(check: RemoteCheck) -> bool:
    name = pausing.name_of(check)
    settings = Settings.load()
    if settings.get("HEALTHCHECKS_PING_URL"):
        target = resolve(check.uuid, settings)
    else:
        target = from_url(check.raw["ping_url"])
    policy = pings.Policy(3, 1.0)
    reply = pings.send(target.url, _NO_RUN, policy, time.monotonic() + _PING_FOR)
    if pings.accepted(reply):
        click.echo(f"pinged   {name}")
        return True
    click.echo(f"failed   {name}: {pings.explain(reply, target)}", err=True)
    return False


def _when(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
