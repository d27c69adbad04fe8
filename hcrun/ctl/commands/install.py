"""`hcctl install`: crontab lines or systemd units put in their place, and taken away again."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from hcrun.ctl.options import catalog_option, selection_options
from hcrun.ctl.rendering import (
    KINDS,
    Selection,
    find_hcrun,
    hcrun_option,
    kind_argument,
    make,
    present,
)
from hcrun.errors import HcrunError
from hcrun.schedulers import managed_files
from hcrun.schedulers.host import Host
from hcrun.schedulers.invocation import is_probe, runnable
from hcrun.schedulers.systemd import TARGET

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@kind_argument
@click.option("--uninstall", is_flag=True, help="Delete what was installed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--root", metavar="DIR", default="/", help="For the system under DIR: an image, a container."
)
@hcrun_option
@catalog_option
@selection_options
def install(
    kind: str,
    uninstall: bool,
    yes: bool,
    root: str,
    hcrun: str,
    catalog: str,
    tags: tuple[str, ...],
    tiers: tuple[str, ...],
    environments: tuple[str, ...],
) -> None:
    """Put crontab lines into /etc/cron.d/hcrun, or units into /etc/systemd/system.

    Shows the difference and asks first. What was installed for checks that are gone is deleted.
    A file that was changed by hand, or that hcctl did not make, is never touched. Can be run
    again at any time; if there is nothing to do, nothing is done.

    \b
    Examples:
      hcctl install crontab
      hcctl install systemd --yes
      hcctl install systemd --uninstall
      hcctl install crontab --root /mnt/image --hcrun /opt/hcrun/bin/hcrun

    Where systemd runs, it is told; else the commands to run are printed.
    """
    host = Host(root)
    place = KINDS[kind]
    directory = host.path(place.directory)
    wanted: dict[str, str] = {}
    if not uninstall:
        selection = (tags, tiers, environments)
        wanted = _wanted(kind, host, catalog, hcrun or find_hcrun(), selection)
    elif not os.path.isdir(directory):
        click.echo(f"{directory}: nothing to do")
        return
    os.umask(0o022)  # its directories are for all to look into, as its files are
    with managed_files.locked(directory):
        plan = managed_files.plan(directory, wanted, present(place, directory))
        blocked = [path for path in plan.kept if os.path.relpath(path, directory) in wanted]
        if blocked:
            raise HcrunError(
                "not made by hcctl, or changed by hand since",
                where=", ".join(blocked),
                hint="put what you need into checks.toml (or use systemctl edit), and delete it;"
                " nothing was written",
            )
        if plan.changes:
            _show(plan)
            _confirm(plan, yes)
            _carry_out(kind, plan, host)
        else:
            click.echo(f"{directory}: nothing to do")
    if plan.kept:
        raise HcrunError(
            "changed by hand, and therefore kept",
            where=", ".join(plan.kept),
            hint="delete it yourself",
        )


def _wanted(
    kind: str, host: Host, catalog: str, hcrun: str, selection: Selection
) -> dict[str, str]:
    """The files for this host. Raises HcrunError for what it cannot run."""
    host.check_hcrun(hcrun)
    if kind == "systemd":
        host.check_systemd()
    chosen, rendered = make(KINDS[kind], catalog, hcrun, selection)
    host.check_users(chosen.checks, hcrun)
    host.check_zone(rendered.zone)
    if kind == "systemd" and any(map(is_probe, runnable(chosen.checks))):
        host.check_sandbox(hcrun)
    _look_around(kind, host)
    return rendered.files


def _show(plan: managed_files.Plan) -> None:
    for change in plan.changes:
        if change.new is None:
            click.secho(f"delete {change.path}", fg="red")
            continue
        for line in change.diff():
            click.secho(line.rstrip("\n"), fg=_COLOURS.get(line[0]))


def _confirm(plan: managed_files.Plan, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise HcrunError("nothing was written, as nobody can be asked", hint="add --yes")
    files = "this file" if len(plan.changes) == 1 else f"these {len(plan.changes)} files"
    click.confirm(f"Change {files}?", abort=True, err=True)


def _carry_out(kind: str, plan: managed_files.Plan, host: Host) -> None:
    gone = [os.path.basename(c.path) for c in plan.changes if c.new is None]
    before, after = _commands(gone) if kind == "systemd" else ([], [])
    if host.systemd_runs:
        _run(before)
    managed_files.apply(plan.changes)
    written = len(plan.changes) - len(gone)
    click.echo(f"{host.path(KINDS[kind].directory)}: {written} written, {len(gone)} deleted")
    if host.systemd_runs:
        _run(after)
    elif before or after:
        click.echo("systemd was not told; there, run:")
        for command in before + after:
            click.echo(f"  {command}")


def _commands(gone: list[str]) -> tuple[list[str], list[str]]:
    """What systemd has to be told before and after the files are changed."""
    if TARGET in gone:
        return [f"systemctl disable --now {TARGET}"], ["systemctl daemon-reload"]
    timers = [name for name in gone if name.endswith(".timer")]
    stop = [f"systemctl stop {' '.join(timers)}"] if timers else []
    # Restarted, not started: a target that is active already would not start new timers.
    on = [f"systemctl {verb} {TARGET}" for verb in ("enable", "restart")]
    return stop, ["systemctl daemon-reload", *on]


def _run(commands: list[str]) -> None:
    for number, command in enumerate(commands):
        done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise HcrunError(
                f"{command}: exit status {done.returncode}" + (f": {said[-1]}" if said else ""),
                hint="mend that, then run: " + "; ".join(commands[number:]),
            )
        click.echo(command)


def _look_around(kind: str, host: Host) -> None:
    if kind == "crontab":
        host.check_tool("/usr/sbin/cron", "nothing will be run")
    else:
        host.check_tool("/usr/bin/curl", "hcrun-failed@.service cannot report")
    other = "systemd" if kind == "crontab" else "crontab"
    directory = host.path(KINDS[other].directory)
    if os.path.isdir(directory) and present(KINDS[other], directory):
        click.echo(
            f"hcctl: {other} is installed, too: each check is run twice;"
            f" hcctl install {other} --uninstall",
            err=True,
        )
