"""Jobs that there are -> entries of a catalogue for them. What is left out is in the notes."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from hcrun.catalog import parse as entries
from hcrun.catalog import schedule
from hcrun.catalog.schedule import Cron, Every, Schedule
from hcrun.catalog.toml_source import Source
from hcrun.catalog.values import SLUG
from hcrun.catalog.values import words as catalog_words
from hcrun.errors import CatalogError, UsageError
from hcrun.formats import shell
from hcrun.redact import Redactor
from hcrun.run.job import Job
from hcrun.run.options import parse
from hcrun.schedulers import import_names

_OF_CRON = {"MAILTO", "MAILFROM", "SHELL", "CRON_TZ", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"}
_CLIENT = re.compile(r"(?:/usr/bin/)?(?:curl|wget)\s")
_PING = re.compile(
    r"hc-ping\.com|/ping/|\$\{?\w*(?:PING|HC_|HEALTHCHECK)|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}", re.I
)
_CD = re.compile(r"\s*cd\s+(?:'[^']*'|\"[^\"]*\"|[^\s'\"]+?)\s*(?:&&|;)\s*")
_LONG = 1800  # seconds of a period; a grace of two of them would be told too late
_GRACE = 3600


@dataclass(frozen=True)
class Found:
    """A job that cron or systemd runs."""

    where: str  # as `line 3`
    when: Schedule
    line: str  # what a shell would be given
    user: str = ""
    zone: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    given: str = ""  # on its standard input
    timeout: int = 0  # seconds; 0: none
    name: str = ""  # of its timer
    comment: str = ""  # to its schedule


@dataclass(frozen=True)
class Proposal:
    """A table for checks.toml, and what should be known of it."""

    toml: str
    notes: list[str]


def propose(found: Iterable[Found]) -> list[Proposal]:
    """An entry for each that the catalogue takes; as a comment where it does not."""
    accepted: set[str] = set()
    return [_propose(job, accepted) for job in found]


def _propose(job: Found, accepted: set[str]) -> Proposal:
    notes: list[str] = []
    line = shell.without_silence(job.line)
    line, pinged = _without_pings(line)
    hcrun, options, line = _without_hcrun(shell.without_silence(line))
    words = shell.words(line)
    slug = _unique(_name(hcrun) or import_names.slug((job.name,) if job.name else words), accepted)
    if pinged:
        notes.append(
            "it pings by itself, which hcrun now does; to keep that check and its history,"
            f" give it the slug {slug} on the server"
        )
    if re.search(r"\bhcrun\b", line):
        notes.append("hcrun is somewhere in it; take that out")
    if _PING.search(shlex.join(words)):
        notes.append("there is still a ping in it; take that out")
    command = _with_environ(_with_input(words, job.given), job.environ)
    if secret(*command):
        notes.append("there seems to be a secret in it, and all may read the catalogue")
    limit = round(hcrun.timeout or 0) or job.timeout
    table: dict[str, object] = {**_when(job.when), "zone": job.zone, "user": job.user}
    table |= {"timeout": _duration(limit), "grace": _grace(job.when, limit)}
    table |= {"options": _line(options), "command": _line(command)}
    text = f"[checks.{slug}]  # {job.where}\n"
    text += "".join(f"{key} = {_toml(value)}\n" for key, value in table.items() if value)
    if job.comment:
        text = text.replace("\n", f", {job.comment}\n", 1)
    if problems := _problems(text):
        notes += [*problems, "so it is a comment"]
        text = "".join(f"# {each}\n" for each in text.splitlines())
    return Proposal(text, [f"{job.where}, {slug}: {note}" for note in notes])


def _unique(slug: str, accepted: set[str]) -> str:
    unique, count = slug, 1
    while unique in accepted:
        count += 1
        unique = f"{slug}-{count}"
    accepted.add(unique)
    return unique


def _without_pings(line: str) -> tuple[str, bool]:
    """Less what runs curl or wget for a ping, where that is a part of its own."""
    parts = shell.parts(line)
    left = [part for part in parts if not _pings(part[1])]
    if len(left) == len(parts) or not left:
        return line, False
    if len(left) == 1:
        return shell.captured(left[0][1]) or left[0][1], True
    return shell.joined(left), True


def _pings(part: str) -> bool:
    """A parenthesis would be missed by another part."""
    return bool(_CLIENT.match(part) and _PING.search(part)) and ")" not in part


def _without_hcrun(line: str) -> tuple[Job, tuple[str, ...], str]:
    """`cd /y && hcrun --timeout 1h backup -- x` -> its job, its options, `cd /y && x`."""
    before = match[0] if (match := _CD.match(line)) else ""
    head, dashes, command = line.removeprefix(before).partition(" -- ")
    try:
        words = shlex.split(head)
        if os.path.basename(words[0] if words else "") != "hcrun":
            return Job(), (), line
        if not dashes:  # then the first word after the check begins the command
            job = parse(words[1:])
            command = shlex.join(job.command)
            words = words[: -len(job.command)] if job.command else words
        else:
            job = parse([*words[1:], "--", "true"])
    except (ValueError, UsageError):
        return Job(), (), line
    return job, tuple(_without_timeout(words[1:-1])), before + command


def _name(job: Job) -> str:
    """Of the check, if it is pinged by its name, which then is a slug."""
    name = job.check.lower()
    return name if SLUG.fullmatch(name) and not _PING.search(name) else ""


def _without_timeout(options: list[str]) -> list[str]:
    left: list[str] = []
    words = iter(options)
    for word in words:
        if word == "--timeout":
            next(words, "")
        elif not word.startswith("--timeout="):
            left.append(word)
    return left


def _with_input(words: tuple[str, ...], given: str) -> tuple[str, ...]:
    if not given:
        return words
    text = given.replace("\\", r"\\").replace("%", "%%").replace("\n", r"\n")
    line = words[2] if words[:2] == ("sh", "-c") else shlex.join(words)
    return ("sh", "-c", f"printf {shlex.quote(text)} | {{ {line}; }}")


def _with_environ(words: tuple[str, ...], environ: dict[str, str]) -> tuple[str, ...]:
    if words[:2] == ("sh", "-c"):
        words = (environ.get("SHELL", "sh"), *words[1:])
    settings = [f"{name}={value}" for name, value in environ.items() if name not in _OF_CRON]
    return ("env", *settings, *words) if settings else words


def secret(*words: str) -> bool:
    """Whether there seems to be one in them."""
    return Redactor().words(list(words)) != list(words)


def _when(when: Schedule) -> dict[str, object]:
    if isinstance(when, Every):
        return {"every": _duration(when.seconds)}
    return {"cron" if isinstance(when, Cron) else "calendar": when.expression}


def _grace(when: Schedule, timeout: int) -> str:
    """As the catalogue has it where that is soon enough."""
    period = schedule.period(when)
    return _duration(max(_GRACE, timeout)) if period > _LONG else ""


def _duration(seconds: int) -> str:
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s" if seconds else ""


def _line(words: tuple[str, ...]) -> object:
    """One line where the catalogue reads it as these words."""
    line = shlex.join(words)
    try:
        plain = "'" not in line and catalog_words(line or "true") == words
    except ValueError:
        plain = False
    return line if plain else list(words)


def _toml(value: object) -> str:
    """JSON's strings and lists of them are TOML's, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _problems(text: str) -> list[str]:
    """What the catalogue has against it."""
    try:
        source = Source("", text)
        entries.catalog(source, 2)
        source.check()
    except CatalogError as error:
        return [f"{each.what}; {each.hint}" for each in error.problems or (error,)]
    return []
