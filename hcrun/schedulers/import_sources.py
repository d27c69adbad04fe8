"""Reads the jobs in crontabs."""

import re
import shutil
from collections.abc import Collection, Iterable
from dataclasses import replace

from hcrun.catalog import schedule, values
from hcrun.catalog.schedule import Every
from hcrun.formats.crontab import NICKNAMES, Entry
from hcrun.formats.shell import without_silence
from hcrun.schedulers.import_jobs import ScheduledJob, public
from hcrun.schedulers.import_names import PROGRAMS

_SLEEP = re.compile(r"sleep\s+(\d{1,2})\s*(?:;|&&)\s*(.*)", re.DOTALL)


def names_users(entries: Iterable[Entry], known: Collection[str]) -> bool | None:
    """Returns whether the first words of the commands are users; None if that is in doubt."""
    found = {_is_user(entry.command.split(), known) for entry in entries}
    sure = found - {None}
    if not found:
        return False
    return sure.pop() if len(sure) == 1 else None


def _is_user(words: list[str], known: Collection[str]) -> bool | None:
    first, second, *_ = [*words, "", ""]
    if not values.is_user(first) or not second or second.startswith("-"):
        return False
    if _is_program(first) != (first in known):
        return first in known
    return None if "/" in second or _is_program(second) else False


def _is_program(name: str) -> bool:
    return name in PROGRAMS or bool(shutil.which(name))


def read_crontab(
    entries: Iterable[Entry], user: str = "", zone: str = "", known: Collection[str] = ()
) -> tuple[list[ScheduledJob], list[str]]:
    """Returns the jobs, by default of `user`, and notes; `known` are the users of this host."""
    jobs: list[ScheduledJob] = []
    notes: list[str] = []
    mailed: list[str] = []
    for entry in _merge_half_minutes(list(entries)):
        where = f"line {entry.line}"
        expression = NICKNAMES.get(entry.schedule, entry.schedule)
        try:
            if not expression:
                raise ValueError(f"{entry.schedule} is not a schedule")
            if entry.user:
                values.user(entry.user)
            every = Every(int(expression)) if expression.isdigit() else None
            when = every or schedule.cron(expression)
        except ValueError as error:
            notes.append(f"{where}: {error}: not imported")
            continue
        if "CRON_TZ" in entry.environ:
            notes.append(f"{where}: Debian's cron ignores CRON_TZ")
        if entry.user and known and entry.user not in {*known, *(job.user for job in jobs)}:
            notes.append(f"{where}: there is no user {entry.user} on this host")
        if entry.has_input:
            notes.append(
                f"{where}: a bare % ends the command, the rest is its standard input; \\% is a %"
            )
        if "MAILTO" not in entry.environ and without_silence(entry.command) == entry.command:
            mailed.append(where)
        jobs.append(
            ScheduledJob(
                where,
                when,
                entry.command,
                user=entry.user or user,
                zone="" if every else zone,
                environ=public(entry.environ, notes),
                stdin=entry.input,
                raw=entry.raw,
            )
        )
    if mailed:
        first = f"{mailed[0]} and others" if len(mailed) > 1 else mailed[0]
        note = 'cron mailed the output to the user; to keep that, add mailto = "ADDRESS"'
        notes.append(f"{first}: {note}")
    return jobs, notes


def _merge_half_minutes(entries: list[Entry]) -> list[Entry]:
    """Makes one entry of lines that differ only in `sleep 30;`; its schedule is in seconds."""
    same: dict[tuple[str, str], dict[int, Entry]] = {}
    for entry in entries:
        if entry.schedule == "* * * * *":
            slept = _SLEEP.fullmatch(entry.command)
            delay, command = (int(slept[1]), slept[2]) if slept else (0, entry.command)
            same.setdefault((entry.user, command), {})[delay] = entry
    merged = {entry.line: entry for entry in entries}
    for delays in same.values():
        step = 60 // len(delays)
        if len(delays) > 1 and sorted(delays) == list(range(0, 60, step)):
            raw = "\n".join(merged.pop(entry.line).raw for entry in delays.values())
            merged[delays[0].line] = replace(delays[0], schedule=str(step), raw=raw)
    return [merged[line] for line in sorted(merged)]
