"""`hcctl import`: checks for the catalogue from existing jobs."""

import os
import pwd
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from itertools import chain

import click

from hcrun.catalog import values
from hcrun.catalog.parse import parse_catalog
from hcrun.catalog.schedule import Calendar
from hcrun.catalog.timezones import cron_zone, host_zone
from hcrun.catalog.toml_source import Source
from hcrun.ctl.rendering import find_hcrun
from hcrun.ctl.table import options
from hcrun.errors import HcrunError, UsageError
from hcrun.formats.crontab import entries, problems
from hcrun.redact import Redactor
from hcrun.schedulers import crontab, import_sources, import_timers
from hcrun.schedulers.import_jobs import Imported, ScheduledJob, import_jobs
from hcrun.schedulers.installed import UNIT_DIRECTORIES, why_ignored
from hcrun.schedulers.unit_files import UnitFiles
from hcrun.settings import refused
from hcrun.text import printable

_LARGEST = 1_000_000  # bytes of a file
_GIVE = "give --user NAME, or --system if the lines name users"


@click.command("import")
@click.argument("file", nargs=-1, required=True, type=click.Path(allow_dash=True))
@options("import")
def imports(file: tuple[str, ...], user: str, system: bool) -> None:
    if user and system:
        raise UsageError("--user and --system exclude each other", hint="remove one of them")
    jobs: list[ScheduledJob] = []
    notes: list[str] = []
    for name in file:
        found, more = (
            _timer(name, user) if name.endswith(".timer") else _crontab(name, user, system)
        )
        _check_users(name, found)  # a check without a user is root's
        several = f"{name} " if len(file) > 1 else ""
        jobs += [replace(job, where=several + job.where) for job in found]
        notes += [several + note for note in more]
    imported = import_jobs(jobs, _ask)
    click.echo("\n".join(each.text for each in imported), nl=False)
    for note in [*notes, *chain.from_iterable(each.notes for each in imported)]:
        click.echo(printable(note), err=True)
    if not jobs:
        raise HcrunError("no jobs found", where=" ".join(file))
    _show_lines([each for each in imported if each.job.raw])


def _show_lines(imported: list[Imported]) -> None:
    """Shows the lines of crontabs, and those that take their place, without secrets."""
    source = Source("", "\n".join(each.text for each in imported))
    checks = {check.slug: check for check in parse_catalog(source, 2).checks}
    hide, hcrun = Redactor().text, find_hcrun()
    for each in imported:
        check, lines = checks.get(each.slug), ""
        if check and not isinstance(check.schedule, Calendar):
            with suppress(ValueError):  # it is in the notes
                lines = crontab.lines(check, check.schedule, hcrun)
        for sign, text, colour in (("-", each.job.raw, "red"), ("+", lines, "green")):
            for line in text.splitlines():
                click.secho(f"{sign}{printable(hide(line))}", fg=colour, err=True)


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
    text, known = _read(file), [entry.pw_name for entry in pwd.getpwall()]
    user = user or _spool_user(file)
    # On stdin it may be the crontab of anybody, with a command that has the name of a user.
    system = system or (file != "-" and not user and _names_users(file, text, known))
    user = user if user or system or file == "-" else _owner(file)
    found = entries(text, system=system)
    jobs, notes = import_sources.read_crontab(found, user, cron_zone(), known)
    wrong = problems(text, system=system)
    if any("carriage" not in why for why in wrong):
        wrong.append("because of that, cron ignores the whole file")
    if os.path.realpath(file).startswith("/etc/cron.d/") and (why := why_ignored(file)):
        wrong.append(f"cron ignores this file: {why}")
    return jobs, wrong + notes


def _names_users(file: str, text: str, known: list[str]) -> bool:
    path = os.path.realpath(file)
    if path.endswith("/etc/crontab") or "/cron.d/" in path:
        return True
    guess = import_sources.names_users(entries(text, system=False), known)
    if guess is None:
        raise HcrunError("its lines may begin with users or with commands", where=file, hint=_GIVE)
    return guess


def _owner(file: str) -> str:
    """Returns the user whose file this is, "" for root: who may keep the files of others."""
    uid = os.stat(file).st_uid
    return next((e.pw_name for e in pwd.getpwall() if uid and e.pw_uid == uid), "")


def _spool_user(file: str) -> str:
    """Returns the user whose crontab this is, "" if its path does not say."""
    directory, name = os.path.split(os.path.realpath(file))
    of_cron = directory.endswith("/cron/crontabs") and not refused(directory)
    return name if of_cron else ""


def _check_users(file: str, jobs: list[ScheduledJob]) -> None:
    """Raises HcrunError for jobs that nobody knows to be root's."""
    if not all(job.user for job in jobs):
        hint = "give --user NAME" if file.endswith(".timer") else _GIVE
        raise HcrunError("the user of its jobs is unknown", where=file, hint=hint)
    names_of_root = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == 0]
    roots = [job.where for job in jobs if job.user in names_of_root]
    others = None if file == "-" or _spool_user(file) else refused(file)
    if roots and others:
        hint = f"look through it, then: {others[1]}"
        raise HcrunError(f"{roots[0]} would run as root; {others[0]}", where=file, hint=hint)


def _timer(file: str, user: str) -> tuple[list[ScheduledJob], list[str]]:
    directory, name = os.path.split(file)
    places = UNIT_DIRECTORIES if os.path.realpath(directory) in UNIT_DIRECTORIES else ()
    units = UnitFiles([directory or ".", *places])
    template = name.replace(f"@{name.partition('@')[2]}", "@.timer")
    if name not in units.paths and template not in units.paths:
        _read(file)  # raises
    user = user or (_owner(file) if "/systemd/user/" in os.path.realpath(file) else "root")
    job, notes = import_timers.read_timer(name, units.read, host_zone(), user)
    for path in units.unreadable:
        raise HcrunError("permission denied", where=path, hint="run it as root (sudo)")
    return [job] if job else [], notes


def _read(file: str) -> str:
    if file.endswith(".service"):
        raise HcrunError("not a timer", where=file, hint="give the .timer that starts it")
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
