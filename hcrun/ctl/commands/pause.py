"""`hcctl pause` and `hcctl resume`: maintenance windows."""

import contextlib
import os
import pwd
import sys
import time
from collections.abc import Iterable
from dataclasses import replace

import click

from hcrun.api import pinging
from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import Check, load
from hcrun.ctl.connect import connect, open_journal
from hcrun.ctl.table import options
from hcrun.errors import ApiError, HcrunError, UsageError
from hcrun.journal import maintenance
from hcrun.journal.maintenance import Window, check_key
from hcrun.journal.run import user_name
from hcrun.ping.target import from_url, resolve
from hcrun.settings import Settings
from hcrun.sync import pausing
from hcrun.units import local

_ENDS_WINDOWS = ("hcctl", "resume", "--due")
_PING_TIME = 30.0  # seconds for one ping
_NOT_A_RUN = "Not a run: hcctl resume sent this after maintenance to start the deadline."


@click.command()
@click.argument("checks", nargs=-1, metavar="[CHECK]...")
@options("catalog", "tagged", "pause")
def pause(
    checks: tuple[str, ...], catalog: str, tags: tuple[str, ...], length: float | None, reason: str
) -> None:
    if not checks and not tags:
        raise UsageError("missing CHECK", hint="give checks, or --tag")
    _check_user(load(catalog).checks)
    client = connect()
    chosen = pausing.choose(client.list_checks(), checks, tags)
    if not chosen:
        raise HcrunError(f"no check has the tag {' and '.join(tags)}", hint="see hcctl status")
    now = time.time()
    until = None if length is None else now + length
    user = os.environ.get("SUDO_USER") or user_name()
    planned = Window(0, "", "", now, until, None, reason, user, ours=True, resumed_by_pings=True)
    journal = open_journal(create=True)
    current = {window.key: window for window in maintenance.in_progress(journal)}
    ends = f"until {local(until)}" if until else "until it is resumed"
    failed = 0
    for check in chosen:
        name = check.label
        try:
            before = current.get(check_key(check.uuid))
            word, more = pausing.pause(client, journal, check, planned, before)
        except ApiError as error:
            failed += 1
            click.echo(f"failed   {name}: {error}", err=True)
        else:
            click.echo(f"{word:8} {name} {ends}" + (f"; {more}" if more else ""))
    if failed:
        message = f"{failed} of {len(chosen)} failed"
        raise HcrunError(message, hint="pause them again, or undo it with hcctl resume")
    if until:
        click.echo("run hcctl resume --due after that: no window ends by itself", err=True)


def _check_user(checks: Iterable[Check]) -> None:
    """Raise HcrunError if the user who ends windows would not find this one in their journal."""
    for check in checks:
        if check.command[:3] != _ENDS_WINDOWS or not check.user or check.user == user_name():
            continue
        with contextlib.suppress(KeyError):  # the user does not exist, so this host does not run it
            pwd.getpwnam(check.user)
            raise HcrunError(
                f"user {check.user} ends maintenance windows ([checks.{check.slug}]),"
                f" not {user_name()}",
                hint=f"sudo -u {check.user} -H hcctl pause ...",
            )


@click.command()
@click.argument("checks", nargs=-1, metavar="[CHECK]...")
@options("tagged", "resume")
def resume(checks: tuple[str, ...], tags: tuple[str, ...], due: bool, ping: bool) -> None:
    if bool(checks or tags) == due:
        raise UsageError("missing CHECK", hint="give checks or --tag, or --due alone")
    journal = open_journal(create=True)
    windows = maintenance.in_progress(journal)
    now = time.time()
    if due:
        windows = [window for window in windows if window.due(now)]
        if not windows:
            return
    client = connect()
    by_key = {check_key(check.uuid): check for check in client.list_checks()}
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
            by_key[window.key] = replace(check, status="new")  # it may have another window
    failed += _after(resumed, ping)
    if failed:
        raise HcrunError(f"{failed} of {len(windows)} failed", hint="see above, then run it again")


def _named(
    windows: list[Window], by_key: dict[str, RemoteCheck], names: Iterable[str], tags: Iterable[str]
) -> list[Window]:
    """The windows of these checks. Raises HcrunError for a check without one."""
    wanted = set(tags)
    found = [
        window
        for window in windows
        if wanted and window.key in by_key and wanted <= set(by_key[window.key].tags)
    ]
    for name in names:
        keys = (name, check_key(name.lower()))
        same = [window for window in windows if window.name == name or window.key in keys]
        if not same:
            raise HcrunError(
                f"{name} was not paused by hcctl pause of this user on this host",
                hint="resume it in the web interface, or as the user who paused it",
            )
        found += [window for window in same if window not in found]
    if not found:
        raise HcrunError("hcctl pause has not paused such a check", hint="see hcctl status")
    return found


def _after(resumed: list[RemoteCheck], ping: bool) -> int:
    """Ping the resumed checks if the user wants it; returns the number of failed pings."""
    if not resumed:
        return 0
    names = ", ".join(check.label for check in resumed)
    warning = f"{names}: no alerts before the next ping"
    if not ping and sys.stdin.isatty() and sys.stderr.isatty():
        click.echo(warning, err=True)
        ping = click.confirm("Send a ping now?", err=True)
    elif not ping:
        click.echo(f"{warning}; --ping sends one", err=True)
    return sum(not _ping(check) for check in resumed) if ping else 0


def _ping(check: RemoteCheck) -> bool:
    name = check.label
    settings = Settings.load()
    if settings.get("HEALTHCHECKS_PING_URL"):
        target = resolve(check.uuid, settings)
    else:
        target = from_url(check.ping_url)
    why = pinging.send(target, target.url, _NOT_A_RUN, settings, _PING_TIME)
    click.echo(f"failed   {name}: {why}" if why else f"pinged   {name}", err=bool(why))
    return not why
