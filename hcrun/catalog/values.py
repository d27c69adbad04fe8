"""Reads single values of checks.toml; ValueError says what is wrong and what to do."""

import json
import re
import shlex
from functools import partial
from typing import Any

from hcrun.catalog import ENVIRONMENT_TAG, MARKER, NEEDS_TAG, SEVERITY_TAG, TIER_TAG, Slo
from hcrun.catalog.timezones import time_zone
from hcrun.catalog.toml_source import items, require, suggestion, text, toml_value
from hcrun.errors import UsageError
from hcrun.formats.shell import syntax
from hcrun.ping.target import is_uuid
from hcrun.run import options
from hcrun.run.job import Job

LEVELS = ("info", "warning", "critical", "emergency")
# Limits of the server, in characters.
LONGEST_NAME = 100  # of a slug, a check and a channel
LONGEST_TAGS = 500  # of all together
_KINDS = """
    apprise call discord email github googlechat gotify group matrix mattermost msteamsw ntfy
    opsgenie pagertree pd po pushbullet rocketchat shell signal slack sms spike telegram trello
    victorops webhook whatsapp zulip
"""
KINDS = tuple(_KINDS.split())  # of channels, as the server calls them
_LONGEST = 2000  # characters of one word of a command
_OURS = (TIER_TAG, ENVIRONMENT_TAG, SEVERITY_TAG, NEEDS_TAG)
_SLUG = re.compile(r"[a-z0-9_][a-z0-9_-]*")  # as the server has it
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
ADDRESSES = re.compile(r"[\w.@+-]+(?:,[\w.@+-]+)*", re.ASCII)  # a local user is one, too
_TAG = re.compile(r'[^\s,"\\]+')
_LINK = re.compile(r"https?://[^/\s@]+(/\S*)?")
_SETTING = re.compile(r"[A-Z][A-Z0-9_]*")
_PLACEHOLDER = re.compile(r"\$(?:BODY_JSON|NAME_JSON|[A-Z]+\d*)")
_SECRET_NAME = re.compile(r"(?:^|_)(?:key|token|password|secret|auth)$")
# A URL with a password or of a webhook, or a long word of letters and digits outside of an e-mail
# address.
_SECRET_VALUE = re.compile(
    r"://[^/\s]*@|hooks?[./]|(?=[\w-]*[0-9])(?=[\w-]*[A-Za-z])[\w-]{24,}(?![\w-]*@)", re.ASCII
)


def is_slug(text: str) -> bool:
    return bool(_SLUG.fullmatch(text)) and len(text) <= LONGEST_NAME and not is_uuid(text)


def _matching(pattern: re.Pattern[str], problem: str, value: Any) -> str:
    """Returns text that matches the pattern."""
    word = text(value)
    require(pattern.fullmatch(word), problem, word)
    return word


level = partial(_matching, re.compile("|".join(LEVELS)), f"is not a level; use {', '.join(LEVELS)}")
user = partial(_matching, _USER, "is not a valid user name; see adduser(8)")
addresses = partial(_matching, ADDRESSES, "is no mail address; write it like ops@example.com")
tag = partial(_matching, _TAG, "is not a tag; remove the space, comma, quote or \\")
link = partial(_matching, _LINK, "is no link; write it like https://wiki/{slug}")


def slo(value: Any) -> Slo:
    """Reads `{availability = 99.95}` or `{success = 95}`."""
    hint = "write it like {availability = 99.95} or {success = 95}"
    require(isinstance(value, dict) and len(value) == 1, f"is not one objective; {hint}")
    [(kind, percent)] = value.items()
    require(type(percent) in (int, float), f"is not a number; {hint}", percent)
    # Also rejects NaN, because every comparison with it is false.
    require(0 < percent <= 100, "is not above 0 and up to 100; give per cent", percent)
    require(kind in ("availability", "success"), f"is not an objective; {hint}", kind)
    return Slo(kind, float(percent))


def zone(value: Any) -> str:
    name = text(value)
    time_zone(name)
    return name


def is_user(name: str) -> bool:
    return bool(_USER.fullmatch(name))


def tags(value: Any) -> tuple[str, ...]:
    found = tuple(tag(each) for each in items(value))
    for each in found:
        is_ours = each == MARKER or each.startswith(_OURS)
        require(not is_ours, "is added by hcctl; remove it", each)
    return found


def kind(value: Any) -> str:
    """Returns the kind of a channel."""
    word = text(value)
    hint = suggestion(word, KINDS) or "write it like email, slack or webhook"
    require(word in KINDS, f"is not a kind of channel; {hint}", word)
    return word


def setting(value: Any) -> str:
    """Returns the name of a setting. Never shows the value, which may be the secret itself."""
    hint = "write it like HEALTHCHECKS_SLACK_WEBHOOK and put the secret into that variable or file"
    is_name = isinstance(value, str) and _SETTING.fullmatch(value)
    require(is_name, f"is not the name of a setting; {hint}")
    return str(value)


def channel_option(value: Any, key: str, channel: str) -> str:
    """Never shows the value: it may be a secret."""
    if isinstance(value, bool):
        return str(value).lower()
    is_text = isinstance(value, str) and value.isprintable() and value.strip()
    require(is_text, "is neither text nor true or false; put it in quotes")
    if _SECRET_NAME.search(key) or _SECRET_VALUE.search(value):
        name = re.sub(r"\W", "_", f"{channel}_{key}", flags=re.ASCII).upper()
        raise ValueError(
            "looks like a secret; put it into a setting and name the setting here:"
            f' {key}_secret = "{name}"'
        )
    return str(value).strip()


def webhook_body(body: str) -> None:
    """Raises ValueError for JSON that is none after the server has replaced the placeholders."""
    samples = {"$BODY": '"', "$NAME": '"', "$BODY_JSON": '""', "$NAME_JSON": '""'}
    try:
        if body.startswith(("{", "[", '"')):
            json.loads(_PLACEHOLDER.sub(lambda found: samples.get(found[0], "1"), body))
    except ValueError:
        raise ValueError(
            'is not valid JSON once the server has filled it in; write $BODY_JSON, not "$BODY", and'
            ' $NAME_JSON, not "$NAME"'
        ) from None


def count(value: Any, minimum: int) -> int:
    is_right = type(value) is int and minimum <= value < 1000
    require(is_right, f"is not a whole number from {minimum} to 999", value)
    return int(value)


def words(value: Any) -> tuple[str, ...]:
    """Reads `"probe-redis --timeout 4s"` or a list of words."""
    if isinstance(value, list):
        found = tuple(_word(word) for word in value)
    else:
        found = _split(text(value, 10 * _LONGEST))
    require(found and found[0], "is empty; fill it in or remove it")
    return found


def _word(value: Any) -> str:
    """Unlike other text, a word may be empty or end in spaces."""
    require(isinstance(value, str), "is not text; put it in quotes", value)
    is_plain = value.replace("\t", "").isprintable()
    require(is_plain, "has control characters; put it into a script", value)
    length = len(value)
    require(length <= _LONGEST, f"has a word of {length} characters; the maximum is {_LONGEST}")
    return str(value)


def _split(line: str) -> tuple[str, ...]:
    try:
        found = tuple(shlex.split(line))
    except ValueError as error:
        raise ValueError(f"{toml_value(line)}: {str(error).lower()}; close the quotes") from None
    hint = 'quote it, or write ["sh", "-c", "..."]'
    sign = syntax(line)
    require(not sign, f"is not run by a shell but contains {sign}; {hint}", line)
    return found


def hcrun_options(value: Any) -> tuple[str, ...]:
    """Reads options of hcrun with its own parser."""
    found = words(value)
    line = " ".join(found)
    try:
        job = options.parse([*found, "check", "--", "true"])
    except UsageError as error:
        if not error.what.startswith("missing "):
            raise ValueError(str(error)) from None
        job = Job()  # an option at the end took the check for its value
    require(not (job.show or job.dry_run), "runs nothing; remove it", line)
    is_only = (job.check, job.command) == ("check", ["true"])
    require(is_only, "is not only options; add the missing value or remove the other word", line)
    require(job.timeout is None, '--timeout is a key of its own; write timeout = "5m"')
    require(not job.needs, '--needs is a key of its own; write needs = ["redis"]')
    return found
