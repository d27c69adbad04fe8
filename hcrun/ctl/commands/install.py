"""`hcctl install`: puts crontab lines or systemd units into place, and removes them."""

import os
import subprocess
from difflib import unified_diff
from typing import Any

import click

from hcrun.ctl.options import confirm
from hcrun.ctl.rendering import KINDS, Request, find_hcrun
from hcrun.ctl.table import options
from hcrun.errors import HcrunError
from hcrun.schedulers import managed_files
from hcrun.schedulers.host import Host
from hcrun.schedulers.invocation import is_probe, runnable
from hcrun.schedulers.managed_files import Change
from hcrun.schedulers.systemd import TARGET
from hcrun.settings import Settings, refused
from hcrun.text import counted

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
# Each kind's program, what fails without it, and the other kind.
_NEEDS = {
    "crontab": ("/usr/sbin/cron", "nothing will run", "systemd"),
    "systemd": ("/usr/bin/curl", "hcrun-failed@.service cannot report", "crontab"),
}


@click.command()
@options("install")
@click.argument("kind", type=click.Choice(list(KINDS)))
@options("rendering", "catalog", "selection")
def install(uninstall: bool, yes: bool, root: str, **options: Any) -> None:
    request = Request(**options)
    host = Host(root)
    kind = KINDS[request.kind]
    directory = host.path(kind.directory)
    if host.is_this and (refusal := refused(directory)):
        raise HcrunError(refusal[0], where=directory, hint=refusal[1])
    wanted: dict[str, str] = {}
    if not uninstall:
        wanted = _wanted(request, host)
    elif not os.path.isdir(directory):
        click.echo(f"{directory}: no changes")
        return
    os.umask(0o022)  # everyone may look into its directories, as into its files
    with managed_files.locked(directory):
        changes, kept = managed_files.plan(directory, wanted, kind.present(directory))
        if changes:
            _show(changes)
            if not yes:
                confirm(f"Change {counted(len(changes), 'file')}?", "write")
            _apply(request.kind, changes, host)
        else:
            click.echo(f"{directory}: no changes")
    if kept:
        raise HcrunError(
            "changed by hand and not deleted",
            where=", ".join(kept),
            hint="delete it if you do not need it",
        )


def _wanted(request: Request, host: Host) -> dict[str, str]:
    """Returns the files for this host. Raises HcrunError for what it cannot run."""
    settings = Settings.load()  # those of root's jobs
    if settings.refused:
        raise HcrunError(settings.problems[0])
    hcrun = request.hcrun or find_hcrun()
    host.check_hcrun(hcrun)
    if request.kind == "systemd":
        host.check_systemd()
    chosen, rendered = request.render(obeyed=True)
    for warning in host.check_users(chosen.checks, hcrun):
        click.echo(f"hcctl: {warning}", err=True)
    host.check_zone(rendered.zone)
    if request.kind == "systemd" and any(map(is_probe, runnable(chosen.checks))):
        host.check_sandbox(hcrun)
    tool, consequence, other = _NEEDS[request.kind]
    if not os.path.exists(host.path(tool)):
        fix = f"apt-get install {os.path.basename(tool)}"
        click.echo(f"hcctl: there is no {tool}, so {consequence}: {fix}", err=True)
    if KINDS[other].present(host.path(KINDS[other].directory)):
        fix = f"hcctl install {other} --uninstall"
        click.echo(f"hcctl: {other} is installed, too, so each check runs twice: {fix}", err=True)
    return rendered.files


def _show(changes: list[Change]) -> None:
    for change in changes:
        if change.new is None:
            click.secho(f"delete {change.path}", fg="red")
            continue
        before = (change.old or "").splitlines()
        old_path = "/dev/null" if change.old is None else change.path
        after = change.new.splitlines()
        for line in unified_diff(before, after, old_path, change.path, lineterm=""):
            click.secho(line, fg=_COLOURS.get(line[0]))


def _apply(kind: str, changes: list[Change], host: Host) -> None:
    gone = [os.path.basename(change.path) for change in changes if change.new is None]
    before, after = _commands(gone) if kind == "systemd" else ([], [])
    if host.systemd_runs:
        _run(before)
    managed_files.apply(changes)
    written = len(changes) - len(gone)
    click.echo(f"{host.path(KINDS[kind].directory)}: {written} written, {len(gone)} deleted")
    if host.systemd_runs:
        _run(after)
    elif before or after:
        click.echo("systemd is not running here. On the host, run:")
        for command in before + after:
            click.echo(f"  {command}")


def _commands(gone: list[str]) -> tuple[list[str], list[str]]:
    """Returns the commands for systemd before and after the files are changed."""
    if TARGET in gone:
        return [f"systemctl disable --now {TARGET}"], ["systemctl daemon-reload"]
    timers = [name for name in gone if name.endswith(".timer")]
    stop = [f"systemctl stop {' '.join(timers)}"] if timers else []
    # restart, because start does not start the new timers of an active target
    on = [f"systemctl {verb} {TARGET}" for verb in ("enable", "restart")]
    return stop, ["systemctl daemon-reload", *on]


def _run(commands: list[str]) -> None:
    for number, command in enumerate(commands):
        done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        if done.returncode:
            errors = done.stderr.strip().splitlines()
            raise HcrunError(
                f"{command}: exit status {done.returncode}"
                + "".join(f": {e}" for e in errors[-1:]),
                hint=f"fix that, then run: {'; '.join(commands[number:])}",
            )
        click.echo(command)
