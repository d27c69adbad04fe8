"""`hcctl import`: entries of a catalogue for the jobs that there are."""

from __future__ import annotations

import os
import pwd
import re
from functools import partial
from glob import escape, glob

import click

from hcrun.errors import HcrunError, UsageError
from hcrun.formats.crontab import entries, problems
from hcrun.schedulers import import_sources
from hcrun.schedulers.import_jobs import Found, propose

_LARGEST = 1_000_000  # bytes of a crontab


@click.group("import")
def imports() -> None:
    """Propose entries of a catalogue for jobs that there are."""


@imports.command()
@click.argument("file")
@click.option(
    "--user", default="", metavar="NAME", help="FILE is the crontab or timer of this user."
)
@click.option("--system", is_flag=True, help="Each line of it names its user, as in /etc/cron.d.")
def crontab(file: str, user: str, system: bool) -> None:
    """Print entries of a catalogue for the jobs in FILE; - is the standard input.

    FILE is a crontab, of a user or with users in its lines as in /etc/cron.d, or a .timer of
    systemd with its .service and drop-ins beside it. Nothing is changed: put what is printed into
    checks.toml, sync and install, and then take the jobs out of FILE. What deserves a second
    look is said on stderr.

    \b
    Examples:
      crontab -l | hcctl import crontab - --user "$USER"
      hcctl import crontab /etc/cron.d/backup >> checks.toml
      hcctl import crontab /etc/systemd/system/backup.timer
    """
    if user and system:
        raise UsageError("--user and --system", hint="give one: whose crontab is it?")
    found, notes = _timer(file, user) if file.endswith(".timer") else _crontab(file, user, system)
    for proposal in propose(found):
        click.echo(proposal.toml)
        notes += proposal.notes
    for note in notes:
        click.echo(note, err=True)
    if not found:
        raise HcrunError("no job is found in it", where=file)


def _crontab(file: str, user: str, system: bool) -> tuple[list[Found], list[str]]:
    text = _read(file)
    owner = user or _owner(file)
    system = system or (not owner and _has_users(file, text))
    found, notes = import_sources.from_crontab(entries(text, system=system), owner, _zone())
    return found, problems(text, system=system) + notes


def _owner(file: str) -> str:
    """Whose crontab it is, as its place says it."""
    directory, name = os.path.split(os.path.realpath(file))
    return name if directory.endswith("/cron/crontabs") else ""


def _has_users(file: str, text: str) -> bool:
    """Whether its lines name users: by its place, or because they all name one of this host."""
    if os.path.realpath(file).startswith(("/etc/crontab", "/etc/cron.d/")):
        return True
    known = {entry.pw_name for entry in pwd.getpwall()}
    users = [entry.user for entry in entries(text, system=True)]
    return bool(users) and all(user in known for user in users)


def _timer(file: str, user: str) -> tuple[list[Found], list[str]]:
    _read(file)  # to say why not
    directory, name = os.path.split(file)
    of_a_user = "/systemd/user/" in os.path.realpath(file)
    found, notes = import_sources.from_timer(
        name, partial(_unit, directory), _zone(), user or ("" if of_a_user else "root")
    )
    if of_a_user and not user:
        notes.append(import_sources.WHOSE)
    return found, notes


def _unit(directory: str, name: str) -> str | None:
    """A unit or the template that it is of, and the drop-ins of both; None without a unit."""
    template = re.sub(r"@[^@]*\.", "@.", name)
    paths = [os.path.join(directory, os.path.basename(each)) for each in (name, template)]
    there = [path for path in paths if os.path.isfile(path)]
    drop_ins = [found for path in reversed(paths) for found in glob(f"{escape(path)}.d/*.conf")]
    names = [*there[:1], *sorted(set(drop_ins), key=os.path.basename)]
    return "\n".join(map(_read, names)) if there else None


def _read(file: str) -> str:
    try:
        with click.open_file(file, "rb") as opened:
            data: bytes = opened.read(_LARGEST + 1)
    except OSError as error:
        raise HcrunError(error.strerror or str(error), where=file) from None
    if len(data) > _LARGEST:
        raise HcrunError("is longer than a million bytes", where=file)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise HcrunError("is not UTF-8 text", where=file) from None


def _zone() -> str:
    """This host's, by which cron and timers go; "" where its name is not known."""
    name = os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2]
    return "UTC" if name == "Etc/UTC" else name
