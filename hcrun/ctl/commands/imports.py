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
from hcrun.settings import refused

_OF_THE_SYSTEM = ("/etc/crontab", "/etc/cron.d/")  # each line names its user
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
    _check_users(file, jobs)  # a check without a user is root's
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
    system = system or (not user and os.path.realpath(file).startswith(_OF_THE_SYSTEM))
    owner = "" if system else user or _spool_user(file) or _owner(file, text)
    jobs, notes = import_sources.read_crontab(entries(text, system=system), owner, cron_zone())
    return jobs, problems(text, system=system) + notes


def _spool_user(file: str) -> str:
    """Returns the user whose crontab this is, "" if its path does not say."""
    directory, name = os.path.split(os.path.realpath(file))
    of_cron = directory.endswith("/cron/crontabs") and not refused(directory)
    return name if of_cron else ""


def _owner(file: str, text: str = "") -> str:
    """Returns the user whose file this is, "" for root, for standard input, and if in doubt."""
    known = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    named = [entry.user for entry in entries(text, system=True)]
    if file == "-" or (named and all(name in known for name in named)):  # a user, or a program?
        return ""
    uid = os.stat(file).st_uid
    return next((name for name in known if uid and known[name] == uid), "")


def _check_users(file: str, jobs: list[ScheduledJob]) -> None:
    """Raises HcrunError for jobs that nobody knows to be root's."""
    if not all(job.user for job in jobs):
        what = "the user of its jobs is unknown"
        raise HcrunError(
            what, where=file, hint="give --user NAME, or --system if the lines name users"
        )
    roots = [job.where for job in jobs if job.user in _names_of_root()]
    others = None if file == "-" or _spool_user(file) else refused(file)
    if roots and others:
        hint = f"look through it, then: {others[1]}"
        raise HcrunError(f"{roots[0]} would run as root; {others[0]}", where=file, hint=hint)


def _names_of_root() -> list[str]:
    return [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == 0]


def _timer(file: str, user: str) -> tuple[list[ScheduledJob], list[str]]:
    _read(file)  # raises if it cannot be read
    directory, name = os.path.split(file)
    of_a_user = "/systemd/user/" in os.path.realpath(file)
    units = UnitFiles([directory or "."])
    user = user or (_owner(file) if of_a_user else "root")
    job, notes = import_sources.read_timer(name, units.read, host_zone(), user)
    for path in units.unreadable:
        raise HcrunError("permission denied", where=path, hint="run it as root (sudo)")
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
