"""Makes checks for the catalogue from the jobs that cron and systemd run."""

import json
import re
import shlex
import textwrap
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain, count
from typing import NamedTuple

from hcrun.catalog import values
from hcrun.catalog.parse import parse_catalog
from hcrun.catalog.schedule import Calendar, Cron, Every, Schedule, period
from hcrun.catalog.toml_source import Source
from hcrun.errors import UsageError
from hcrun.formats import shell
from hcrun.redact import Redactor
from hcrun.run.job import Job
from hcrun.run.options import parse
from hcrun.schedulers import import_names, import_notes
from hcrun.schedulers.invocation import duration

_OF_CRON = {"MAILTO", "MAILFROM", "SHELL", "CRON_TZ", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"}
_OWN = ("HCRUN_", "HEALTHCHECKS_", "HC_CHECK_")
_CLIENT = re.compile(r"(?:/usr/bin/)?(?:curl|wget)\s")
_PING = re.compile(
    r"hc-ping\.com|/ping/|\$\{?\w*(?:PING|HC_|HEALTHCHECK)|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}", re.I
)
_HCRUN = re.compile(
    r"(?P<before>cd\s[^;&]+(?:&&|;)\s*)?(?:\S*/)?hcrun\s(?P<options>.*?)\s--\s(?P<command>.*)", re.S
)
_GRACE_FROM = 1800  # seconds of a period; the catalogue's default grace would be longer than _GRACE
_GRACE = 3600


@dataclass(frozen=True)
class ScheduledJob:
    """A job that cron or systemd runs."""

    where: str  # `line 3`, `backup.timer`
    schedule: Schedule
    command: str  # for a shell
    user: str = ""
    zone: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    stdin: str = ""
    timeout: int = 0  # seconds; 0: none
    options: tuple[str, ...] = ()  # of hcrun
    name: str = ""  # of its timer
    raw: str = ""  # its lines in a crontab


class Imported(NamedTuple):
    """A job and its check as TOML, which is a comment if the catalogue refuses it."""

    job: ScheduledJob
    slug: str
    text: str
    notes: list[str]


# Asks for the name of a job; "" if there is nobody to ask. The other names are taken.
AskName = Callable[[ScheduledJob, Collection[str]], str]


def import_jobs(jobs: Iterable[ScheduledJob], ask: AskName) -> list[Imported]:
    taken: set[str] = set()
    return [_import(job, ask, taken) for job in jobs]


def _import(job: ScheduledJob, ask: AskName, taken: set[str]) -> Imported:
    notes: list[str] = []
    mailto = re.sub(r"\s*,\s*", ",", job.environ.get("MAILTO", ""))
    if mailto and not values.ADDRESSES.fullmatch(mailto):
        notes.append(f"MAILTO={mailto} is no mail address and not kept")
        mailto = ""
    line = job.command if mailto else shell.without_silence(job.command)
    line, pinged = _without_pings(line)
    hcrun, options, line = _without_hcrun(line if mailto else shell.without_silence(line))
    foreground = import_notes.without_background(line)
    if foreground != line:
        notes.append("the & at its end is removed: with it, the check could never be down")
        line = foreground if mailto else shell.without_silence(foreground)
    slug = _name(job, hcrun.check, line, taken) or ask(job, taken)
    where = f"{job.where}, {slug}"
    heading = f"# {job.where}"
    if not slug:  # in capitals, which `hcctl check` refuses
        slug = f"NAME-{sum(name.startswith('NAME-') for name in taken) + 1}"
        where = job.where
        heading += f": replace {slug} with a name"
        notes.append(f"hcctl cannot name this job: replace {slug} in the output")
    taken.add(slug)
    if pinged:
        notes.append(
            "hcrun replaces the ping in it; to keep the existing check and its history, set its"
            f" slug on the server to {slug}"
        )
    words = shell.words(line)
    if words == ("sh", "-c", line):
        notes += import_notes.notes(line)
        words = (job.environ.get("SHELL", "sh"), "-c", line)
    if re.search(r"\bhcrun\b(?!-)", line):
        notes.append("the command still calls hcrun: remove that")
    if _PING.search(shlex.join(words)):
        notes.append("the command still sends a ping: remove that")
    command = _with_environ(_with_stdin(words, job.stdin), job)
    if looks_secret(*command):
        notes.append("the command seems to have a secret in it, and everyone can read checks.toml")
    timeout = round(hcrun.timeout or 0) or job.timeout
    # The default grace of rare jobs, two periods, would alert too late.
    grace = max(_GRACE, timeout) if period(job.schedule) > _GRACE_FROM else 0
    when = job.schedule
    keys: dict[str, object] = {
        "every": duration(when.seconds) if isinstance(when, Every) else "",
        "cron": when.expression if isinstance(when, Cron) else "",
        "calendar": when.expression if isinstance(when, Calendar) else "",
        "zone": job.zone,
        "user": job.user,
        "timeout": duration(timeout) if timeout else "",
        "grace": duration(grace) if grace else "",
        "mailto": mailto,
        "channels": "*",
        "options": _words((*job.options, *options)),
        "command": _words(command),
    }
    # JSON's strings and lists of strings are those of TOML, except for DEL.
    lines = [f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in keys.items() if v]
    body = "".join(lines).replace("\x7f", "\\u007f")
    needs = f"needs = {json.dumps(list(hcrun.needs))}\n" if hcrun.needs else ""
    text = f"[checks.{slug}]  {heading}\n{body}{needs}"  # the needs may be checks of other jobs
    source = Source("", f"[checks.a]\n{body}")
    parse_catalog(source, 2)
    if source.problems:
        notes += [f"{error.what}; {error.hint}: commented out" for _, error in source.problems]
        text = textwrap.indent(text, "# ")
    return Imported(job, slug, text, [f"{where}: {note}" for note in dict.fromkeys(notes)])


def _name(job: ScheduledJob, check: str, line: str, taken: set[str]) -> str:
    """Returns the first name that says what the job does, and that no other one has; or ""."""
    found = (check.lower(), import_names.slug(job.name), *import_names.names(line))
    good = [name for name in found if values.is_slug(name) and not _PING.search(name)]
    if not good:
        return ""
    fields = job.schedule.expression.split() if isinstance(job.schedule, Cron) else []
    if all(field.isdigit() for field in fields[:2]) and fields:
        good.append(f"{good[0]}-{fields[1]:0>2}{fields[0]:0>2}")  # backup-0330
    numbered = (f"{good[0]}-{number}" for number in count(2))
    return next(name for name in chain(good, numbered) if name not in taken)


def public(environ: dict[str, str], notes: list[str]) -> dict[str, str]:
    """Returns the variables that may stand in the catalogue, which everyone can read."""
    kept = {}
    for name, value in environ.items():
        if name.startswith(_OWN):
            note = f"{name} is not imported: set it in /etc/hcrun/hcrun.env"
        elif looks_secret(f"{name}={value}"):
            note = f"{name} looks secret and is not imported: let the command read it from a file"
        else:
            kept[name] = value
            continue
        if note not in notes:
            notes.append(note)
    return kept


def _without_pings(line: str) -> tuple[str, bool]:
    """Removes the parts that run curl or wget for a ping; says whether there were any."""
    parts = shell.parts(line)
    # A part is removed if it is nothing but a ping; with a ), another part would miss its (.
    kept = [
        (operator, part)
        for operator, part in parts
        if not (_CLIENT.match(part) and _PING.search(part)) or ")" in part
    ]
    if len(kept) == len(parts) or not kept:
        return line, False
    if len(kept) == 1:
        return shell.captured(kept[0][1]) or kept[0][1], True
    return shell.joined(kept), True


def _without_hcrun(line: str) -> tuple[Job, tuple[str, ...], str]:
    """`cd /y && hcrun --timeout 1h backup -- x` -> its job, its options, `cd /y && x`."""
    call = _HCRUN.fullmatch(line)
    try:
        words = shlex.split(call["options"]) if call else []
        job = parse([*words, "--", "true"])
    except (ValueError, UsageError):
        call = None
    if not call:
        return Job(), (), line
    kept = [
        word
        for word, previous in zip(words[:-1], ["", *words], strict=False)
        if not {"--timeout", "--needs"} & {previous, word.partition("=")[0]}
    ]
    return job, tuple(kept), (call["before"] or "") + call["command"]


def _with_stdin(words: tuple[str, ...], stdin: str) -> tuple[str, ...]:
    if not stdin:
        return words
    text = stdin.replace("\\", r"\\").replace("%", "%%").replace("\n", r"\n")
    return ("sh", "-c", f"printf {shlex.quote(text)} | {shlex.join(words)}")


def _with_environ(words: tuple[str, ...], job: ScheduledJob) -> tuple[str, ...]:
    settings = [f"{name}={value}" for name, value in job.environ.items() if name not in _OF_CRON]
    if job.raw and "HOME" in job.environ:  # where cron starts the command
        settings[:0] = ["-C", job.environ["HOME"]]
    return ("env", *settings, *words) if settings else words


def looks_secret(*words: str) -> bool:
    own = [import_names.INSERTED.sub("", word) for word in words]  # $(cat FILE) is no secret
    return Redactor().words(own) != own


def _words(words: tuple[str, ...]) -> object:
    """Returns one line if the catalogue reads it as these words, else a list."""
    line = shlex.join(words)
    try:
        plain = "'" not in line and values.words(line or "true") == words
    except ValueError:
        plain = False
    return line if plain else list(words)
