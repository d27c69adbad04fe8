"""Single values of checks.toml. Each function raises ValueError: what is wrong; what to do."""

from __future__ import annotations

import re
import shlex
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hcrun.catalog.model import ENVIRONMENT_TAG, MARKER, TIER_TAG, Slo
from hcrun.catalog.toml_source import nearest, shown, text
from hcrun.errors import UsageError
from hcrun.formats.shell import syntax
from hcrun.ping.target import is_uuid
from hcrun.run import options
from hcrun.run.job import Job

LEVELS = ("info", "warning", "critical", "emergency")
# Limits of the server, in characters.
LONGEST_NAME = 100  # of a slug, a check and a channel
LONGEST_TAGS = 500  # of all together
# Of channels, as the server names them.
KINDS = (
    *("apprise", "call", "discord", "email", "github", "googlechat", "gotify", "group", "matrix"),
    *("mattermost", "msteamsw", "ntfy", "opsgenie", "pagertree", "pd", "po", "pushbullet"),
    *("rocketchat", "shell", "signal", "slack", "sms", "spike", "telegram", "trello"),
    *("victorops", "webhook", "whatsapp", "zulip"),
)
_LONGEST = 2000  # characters of one word of a command
_SLUG = re.compile(r"[a-z0-9_][a-z0-9_-]*")  # as the server has it
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_SETTING = re.compile(r"[A-Z][A-Z0-9_]*")
_SECRET_NAME = re.compile(r"(?:^|_)(?:key|token|password|secret|auth)$")
# A URL with a password or of a webhook, or a long word of letters and digits in no mail address.
_SECRET_VALUE = re.compile(
    r"://[^/\s]*@|hooks?[./]|(?=[\w-]*[0-9])(?=[\w-]*[A-Za-z])[\w-]{24,}(?![\w-]*@)", re.ASCII
)
_ZONES = {"Factory", "localtime", "posixrules"}  # files beside the zones


def is_slug(text: str) -> bool:
    return bool(_SLUG.fullmatch(text)) and len(text) <= LONGEST_NAME and not is_uuid(text)


def level(value: Any) -> str:
    word = text(value)
    if word not in LEVELS:
        raise ValueError(f"{shown(word)} is no level; it is one of {', '.join(LEVELS)}")
    return word


def slo(value: Any) -> Slo:
    """`{availability = 99.95}` or `{success = 95}`"""
    right = "write it like {availability = 99.95} or {success = 95}"
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"is not one promise; {right}")
    [(promise, percent)] = value.items()
    if isinstance(percent, bool) or not isinstance(percent, int | float):
        raise ValueError(f"{shown(percent)} is no number; {right}")
    if not 0 < percent <= 100:  # neither is NaN
        raise ValueError(f"{shown(percent)} is not above 0 and 100 at most; it is in per cent")
    if promise == "availability":
        return Slo("availability", float(percent))
    if promise == "success":
        return Slo("success", float(percent))
    raise ValueError(f"{shown(promise)} is nothing to promise; {right}")


def zone(value: Any) -> str:
    name = text(value)
    try:
        if name not in _ZONES and not name.startswith(("posix/", "right/")):
            ZoneInfo(name)
            return name
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory
        pass
    raise ValueError(f"{shown(name)} is no time zone; write it like Europe/Riga or UTC")


def user(value: Any) -> str:
    name = text(value)
    if not _USER.fullmatch(name):
        raise ValueError(f"{shown(name)} can be no user's name; see adduser(8)")
    return name


def tag(value: Any) -> str:
    word = text(value, LONGEST_TAGS)
    if "," in word or word != "".join(word.split()):
        raise ValueError(f"{shown(word)} is no tag; it has a space or a comma in it")
    return word


def tags(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f'{shown(value)} is no list; write it like ["one", "two"]')
    found = tuple(tag(each) for each in value)
    for each in found:
        if each == MARKER or each.startswith((TIER_TAG, ENVIRONMENT_TAG)):
            raise ValueError(f"{shown(each)} is given by hcctl itself; leave it out")
    return found


def kind(value: Any) -> str:
    """Of a channel."""
    word = text(value)
    if word not in KINDS:
        near = nearest(word, KINDS)
        raise ValueError(f"{shown(word)} is no kind of channel{near}; as email, slack or webhook")
    return word


def setting(value: Any) -> str:
    """The name of one."""
    if not isinstance(value, str) or not _SETTING.fullmatch(value):  # may be the secret itself
        raise ValueError(
            "is no name of a setting; write it like SLACK_WEBHOOK_URL, and the secret itself into"
            " that variable or file"
        )
    return value


def channel_option(value: Any, key: str, channel: str) -> str:
    """Never shows the value: it may be a secret."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str) or not value.isprintable() or not value.strip():
        raise ValueError("is neither text nor true or false; put it in quotes")
    if _SECRET_NAME.search(key) or _SECRET_VALUE.search(value):
        name = re.sub(r"\W", "_", f"{channel}_{key}", flags=re.ASCII).upper()
        raise ValueError(
            f"looks like a secret; put it into a setting, and the setting's name here,"
            f' as {key}_secret = "{name}"'
        )
    return value.strip()


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
    if sign := syntax(line):
        raise ValueError(
            f"{shown(line)}: no shell reads this, and it has {sign} in it;"
            ' quote that, or write ["sh", "-c", "..."]'
        )
    return found


def hcrun_options(value: Any) -> tuple[str, ...]:
    """Options of hcrun, read by its own parser."""
    found = words(value)
    line = shown(" ".join(found))
    try:
        job = options.parse([*found, "check", "--", "true"])
    except UsageError as error:
        if not error.what.startswith("missing "):
            raise ValueError(str(error)) from None
        job = Job()  # an option at the end took the check for its value
    if job.show or job.dry_run:
        raise ValueError(f"{line} runs nothing; leave it out")
    if (job.check, job.command) != ("check", ["true"]):
        raise ValueError(f"{line} are not only options; a value is missing, or a word too many")
    if job.timeout is not None:
        raise ValueError("--timeout is not for here; there is the key timeout")
    return found
