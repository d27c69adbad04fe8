"""`hcctl init`: writes a catalogue of the services that a project or this host has."""

import json
import os
import pwd
import shlex
from pathlib import Path

import click

from hcrun import files
from hcrun.catalog import SHIPPED, SYSTEM
from hcrun.catalog.parse import grace_multiplier, parse_catalog
from hcrun.catalog.timezones import host_zone
from hcrun.catalog.toml_source import Source
from hcrun.ctl.table import options
from hcrun.discovery import sources
from hcrun.discovery.catalogue import Plan, env_text, write_env
from hcrun.discovery.checks import Discovery, discover
from hcrun.errors import HcrunError, UsageError
from hcrun.schedulers import users
from hcrun.settings import Settings
from hcrun.text import counted, listed

_USER = "hcrun"  # of the jobs, if there is one
_STEPS = {
    "sync": "creates the checks on the server",
    "install crontab": "runs them",
    "status": "shows their state",
}


@click.command()
@click.argument("file", default=SYSTEM)
@options("init")
def init(
    file: str,
    compose_files: tuple[str, ...],
    docker: bool,
    example: bool,
    as_json: bool,
    force: bool,
) -> None:
    """Write a catalogue with a check for each service that is found.

    Without an option, these are the services that listen on ports of this host.
    FILE is /etc/hcrun/checks.toml by default. Addresses and passwords go into
    hcrun.env in the same directory. If this host does not reach a service, the
    catalogue says what to do (hcctl docs docker).

    \b
    Examples:
      hcctl init --compose compose.yaml
      hcctl init --compose compose.yaml --compose compose.prod.yaml
      hcctl init --docker checks.toml
    """
    if bool(compose_files) + docker + example > 1:
        what = "--compose, --docker and --example exclude each other"
        raise UsageError(what, hint="give one of them")
    if os.path.exists(file) and not os.path.isfile(file):
        raise HcrunError("not a regular file", where=file, hint="give the path of one")
    if os.path.lexists(file) and not (force or as_json):
        raise HcrunError("already exists", where=file, hint="add --force to replace it")
    zone = host_zone() or "UTC"
    if example:
        text = Path(SHIPPED).read_text("utf-8").replace('zone = "UTC"', f'zone = "{zone}"', 1)
        _write(file, text, {}, "", force)
        return
    found = _find(compose_files, docker)
    if as_json:
        click.echo(json.dumps(found.facts(), indent=2))
        return
    unchecked = [f"{name} ({reason})" for name, reason in found.not_checked.items()]
    skipped = f"not checked: {listed(unchecked, 20)}" if unchecked else ""
    if not found.checks:
        what = f"found no service that hcrun has a probe for; {skipped}".strip("; ")
        raise HcrunError(what, hint="hcctl init --example writes the built-in catalogue")
    user = pwd.getpwuid(os.geteuid()).pw_name
    user = _USER if user == "root" and users.find(_USER) else user
    plan = Plan(found.checks, os.path.join(os.path.dirname(os.path.abspath(file)), "hcrun.env"))
    texts = {path: env_text(path, values, user, force=force) for path, values in plan.files.items()}
    _write(file, plan.catalogue(zone, user), texts, user, force)
    for name, check in found.checks.items():
        for text in (
            [f"no check yet ({check.why}): {check.fix}"] if check.why else plan.warnings(check)
        ):
            click.echo(f"{name}: {text}", err=True)
    if skipped:
        click.echo(f"{skipped}; hcctl docs docker says why", err=True)


def _find(compose_files: tuple[str, ...], docker: bool) -> Discovery:
    if docker:
        return discover(sources.read_engine())
    if compose_files:
        project, notes = sources.read_compose(compose_files)
    else:
        project, notes = sources.read_host()
    for note in notes:
        click.echo(note, err=True)
    return discover([project])


def _write(file: str, text: str, texts: dict[str, str], user: str, force: bool) -> None:
    """Check the catalogue, write it and its env files, and say what comes next."""
    source = Source(file, text)
    checks = parse_catalog(source, grace_multiplier(Settings.load())).checks
    source.raise_problems()
    try:
        os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)
    except OSError as error:
        what = f"cannot be created: {error.strerror}"
        raise HcrunError(what, where=os.path.dirname(file)) from None
    for path, lines in texts.items():
        write_env(path, lines, user)
    files.write(file, text, replace=force)
    click.echo(f"{file}: {counted(len(checks), 'check')}, valid")
    for path, lines in texts.items():
        missing = "; fill in the lines that begin with #" if "must be set" in lines else ""
        click.echo(f"{path}: addresses and passwords, for the user {user}{missing}")
    more = "" if file == SYSTEM else f" --catalog {shlex.quote(file)}"
    width = max(map(len, _STEPS)) + len(more)
    steps = [f"  hcctl {step + more:{width}}  # {what}" for step, what in _STEPS.items()]
    click.echo("\n".join(["Next:", *steps]))
