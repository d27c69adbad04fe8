"""Commands and hcrun's options as the catalogue has them: one line of words, or a list of them."""

from __future__ import annotations

import re
import shlex
from typing import Any

from hcrun import options
from hcrun.errors import UsageError
from hcrun.job import Job
from hcrun.tables import shown, text

_LONGEST = 2000  # characters of one word
# What is in quotes or behind a backslash, and so means nothing to a shell.
_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.", re.DOTALL)
_SHELL = re.compile(r"[|&;<>`$]")


def words(value: Any) -> tuple[str, ...]:
    """`"probe-redis --timeout 4s"` or a list of words. Raises ValueError."""
    if isinstance(value, list):
        found = tuple(_word(word) for word in value)
    else:
        found = _split(text(value, 10 * _LONGEST))
    if not found or not found[0]:
        raise ValueError("is empty; leave it out, or fill it in")
    return found


def _word(value: Any) -> str:
    """Unlike other texts it may be empty, and end in spaces."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no text; put it in quotes")
    if not value.replace("\t", "").isprintable():
        raise ValueError(f"{shown(value)} has control characters in it; put that into a script")
    if len(value) > _LONGEST:
        raise ValueError(f"has a word of {len(value)} characters; {_LONGEST} is the most")
    return value


def _split(line: str) -> tuple[str, ...]:
    try:
        found = tuple(shlex.split(line))
    except ValueError as error:
        raise ValueError(f"{shown(line)}: {str(error).lower()}; close it") from None
    if syntax := _SHELL.search(_QUOTED.sub("", line)):
        raise ValueError(
            f"{shown(line)}: no shell reads this, and it has {syntax[0]} in it;"
            ' quote that, or write ["sh", "-c", "..."]'
        )
    return found


def hcrun_options(value: Any) -> tuple[str, ...]:
    """Options of hcrun, read by its own parser. Raises ValueError."""
    found = words(value)
    job = parse(found)
    if job.show or job.dry_run:
        raise ValueError(f"{shown(' '.join(found))} runs nothing; leave it out")
    if job.timeout is not None:
        raise ValueError("--timeout is not for here; there is the key timeout")
    return found


def parse(words: tuple[str, ...]) -> Job:
    """Raises ValueError."""
    try:
        job = options.parse([*words, "check", "--", "true"])
    except UsageError as error:
        raise ValueError(str(error)) from None
    if not job.show and (job.check, job.command) != ("check", ["true"]):
        raise ValueError(
            f"{shown(' '.join(words))} are not all options; a value is missing, or one too many"
        )
    return job
