"""Makes checks for the catalogue from the jobs that cron and systemd run."""

import json
import os
import re
import shlex
import textwrap
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from hcrun.catalog import values
from hcrun.catalog.parse import parse_catalog
from hcrun.catalog.schedule import Calendar, Cron, Every, Schedule, period
from hcrun.catalog.toml_source import Source
from hcrun.errors import UsageError
from hcrun.formats import shell
from hcrun.redact import Redactor
from hcrun.run.job import Job
from hcrun.run.options import parse
from hcrun.schedulers.invocation import duration

_OF_CRON = {"MAILTO", "MAILFROM", "SHELL", "CRON_TZ", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"}
_CLIENT = re.compile(r"(?:/usr/bin/)?(?:curl|wget)\s")
_PING = re.compile(
    r"hc-ping\.com|/ping/|\$\{?\w*(?:PING|HC_|HEALTHCHECK)|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}", re.I
)
_HCRUN = re.compile(
    r"(?P<before>cd\s[^;&]+(?:&&|;)\s*)?(?:\S*/)?hcrun\s(?P<options>.*?)\s--\s(?P<command>.*)", re.S
)
_PROGRAM = re.compile(r"\s*([\w./+-]+)(?=[\s;&|]|\Z)")
_SCRIPT = re.compile(r"\.(?:sh|bash|py|php|pl|rb|js)\Z")
# Programs whose name does not say what the job does: they run another program.
_RUNNERS = re.compile(
    r"(?:python|php|perl|ruby|node|java)[\d.]*|(?:ba|da|k|z)?sh|env|sudo|su|runuser|nice|ionice|"
    r"nohup|setsid|time|timeout|flock|chronic|exec|command|docker|podman|uv|make|"
    r"cd|test|set|export|if|for|while|sleep|true|echo"
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
    name: str = ""  # of its timer


# Asks for the name of a job; "" if there is nobody to ask. The other names are taken.
AskName = Callable[[ScheduledJob, Collection[str]], str]


def import_jobs(jobs: Iterable[ScheduledJob], ask: AskName) -> tuple[str, list[str]]:
    """Returns a check for each job as TOML (as a comment if it is refused), and notes on them."""
    taken: set[str] = set()
    checks = [_import(job, ask, taken) for job in jobs]
    return "\n".join(text for text, _ in checks), [note for _, notes in checks for note in notes]


def _import(job: ScheduledJob, ask: AskName, taken: set[str]) -> tuple[str, list[str]]:
    notes: list[str] = []
    line, pinged = _without_pings(shell.without_silence(job.command))
    hcrun, options, line = _without_hcrun(shell.without_silence(line))
    names = (hcrun.check.lower(), _slug(job.name), _slug(_program(line)))
    good = (n for n in names if values.is_slug(n) and n not in taken and not _PING.search(n))
    slug = next(good, "") or ask(job, taken)
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
    if re.search(r"\bhcrun\b(?!-)", line):
        notes.append("the command still calls hcrun: remove that")
    if _PING.search(shlex.join(words)):
        notes.append("the command still sends a ping: remove that")
    command = _with_environ(_with_stdin(words, job.stdin), job.environ)
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
        "options": _words(options),
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
    return text, [f"{where}: {note}" for note in notes]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _program(line: str) -> str:
    """Returns the name of the program that a line begins with, "" if that runs another one."""
    program = _PROGRAM.match(line)
    name = _SCRIPT.sub("", os.path.basename(program[1])) if program else ""
    return "" if _RUNNERS.fullmatch(name) else name


def _without_pings(line: str) -> tuple[str, bool]:
    """Removes the parts that run curl or wget for a ping; says whether there were any."""
    parts = shell.parts(line)
    kept = [part for part in parts if not _pings(part[1])]
    if len(kept) == len(parts) or not kept:
        return line, False
    if len(kept) == 1:
        return shell.captured(kept[0][1]) or kept[0][1], True
    return shell.joined(kept), True


def _pings(part: str) -> bool:
    """Returns whether a part is nothing but a ping; another part would miss its parenthesis."""
    return bool(_CLIENT.match(part) and _PING.search(part)) and ")" not in part


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
    line = words[2] if words[:2] == ("sh", "-c") else shlex.join(words)
    return ("sh", "-c", f"printf {shlex.quote(text)} | {{ {line}; }}")


def _with_environ(words: tuple[str, ...], environ: dict[str, str]) -> tuple[str, ...]:
    if words[:2] == ("sh", "-c"):
        words = (environ.get("SHELL", "sh"), *words[1:])
    settings = [f"{name}={value}" for name, value in environ.items() if name not in _OF_CRON]
    return ("env", *settings, *words) if settings else words


def looks_secret(*words: str) -> bool:
    return Redactor().words(list(words)) != list(words)


def _words(words: tuple[str, ...]) -> object:
    """Returns one line if the catalogue reads it as these words, else a list."""
    line = shlex.join(words)
    try:
        plain = "'" not in line and values.words(line or "true") == words
    except ValueError:
        plain = False
    return line if plain else list(words)
