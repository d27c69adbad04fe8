"""`hcctl import`: checks for the catalogue from existing jobs."""

import os
import pwd
import sys
from collections.abc import Collection

import click

from hcrun.catalog import values
from hcrun.catalog.timezones import cron_zone, host_zone
from hcrun.errors import HcrunError, UsageError
from hcrun.formats.crontab import entries, problems
from hcrun.schedulers import import_sources
from hcrun.schedulers.import_jobs import ScheduledJob, import_jobs
from hcrun.schedulers.unit_files import UnitFiles

_LARGEST = 1_000_000  # bytes of a crontab


@click.group("import")
def imports() -> None:
    """Print checks for the catalogue from existing jobs."""


@imports.command(short_help="Print checks for the jobs in a file.")
@click.argument("file")
@click.option("--user", default="", metavar="NAME", help="The user who runs the jobs in FILE.")
@click.option("--system", is_flag=True, help="Each line names its user, as in /etc/cron.d.")
def crontab(file: str, user: str, system: bool) -> None:
    """Print checks for the jobs in FILE, or on standard input if FILE is -.

    FILE is a crontab, with or without user names in its lines, or a systemd
    .timer with its .service and drop-ins in the same directory. A check is
    named after its timer or its program. If the program does not say what the
    job does (sh, python3, docker), the command asks at a terminal; elsewhere
    it prints a placeholder, which `hcctl check` refuses.

    Nothing is changed: append the output to checks.toml, run `hcctl sync` and
    `hcctl install`, and then remove the jobs from FILE. Notes on stderr say
    what was not kept.

    \b
    Examples:
      crontab -l | hcctl import crontab - --user "$USER"
      hcctl import crontab /etc/cron.d/backup >> checks.toml
      hcctl import crontab /etc/systemd/system/backup.timer
    """
    if user and system:
        raise UsageError("--user and --system exclude each other", hint="remove one of them")
    jobs, notes = _timer(file, user) if file.endswith(".timer") else _crontab(file, user, system)
    text, more = import_jobs(jobs, _ask)
    click.echo(text, nl=False)
    for note in notes + more:
        click.echo(note, err=True)
    if not jobs:
        raise HcrunError("no jobs found", where=file)


def _ask(job: ScheduledJob, taken: Collection[str]) -> str:
    """Asks for a name at a terminal; returns "" elsewhere."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""

    def read(name: str) -> str:
        if not values.is_slug(name) or name in taken:
            raise click.UsageError("use a new name of a-z, 0-9, _ and -")
        return name

    question = f"{job.where} runs {job.command}\nName of its check"
    return str(click.prompt(question, value_proc=read, err=True))


def _crontab(file: str, user: str, system: bool) -> tuple[list[ScheduledJob], list[str]]:
    text = _read(file)
    owner = user or _owner(file)
    system = system or (not owner and _has_users(file, text))
    jobs, notes = import_sources.read_crontab(entries(text, system=system), owner, cron_zone())
    return jobs, problems(text, system=system) + notes


def _owner(file: str) -> str:
    """Returns the user whose crontab this is, "" if its path does not say."""
    directory, name = os.path.split(os.path.realpath(file))
    return name if directory.endswith("/cron/crontabs") else ""


def _has_users(file: str, text: str) -> bool:
    """Returns whether its lines name users: by its path, or because they all name a known one."""
    if os.path.realpath(file).startswith(("/etc/crontab", "/etc/cron.d/")):
        return True
    known = {entry.pw_name for entry in pwd.getpwall()}
    users = [entry.user for entry in entries(text, system=True)]
    return bool(users) and all(user in known for user in users)


def _timer(file: str, user: str) -> tuple[list[ScheduledJob], list[str]]:
    _read(file)  # raises if it cannot be read
    directory, name = os.path.split(file)
    of_a_user = "/systemd/user/" in os.path.realpath(file)
    units = UnitFiles([directory or "."])
    job, notes = import_sources.read_timer(
        name, units.read, host_zone(), user or ("" if of_a_user else "root")
    )
    for path in units.unreadable:
        raise HcrunError("permission denied", where=path, hint="run it as root (sudo)")
    if of_a_user and not user:
        notes.append(import_sources.USER_UNKNOWN)
    return [job] if job else [], notes


def _read(file: str) -> str:
    try:
        with click.open_file(file, "rb") as opened:
            data: bytes = opened.read(_LARGEST + 1)
    except OSError as error:
        raise HcrunError(error.strerror or str(error), where=file) from None
    if len(data) > _LARGEST:
        raise HcrunError("longer than a million bytes", where=file)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise HcrunError("not UTF-8 text", where=file) from None
