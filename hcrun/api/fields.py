"""The fields of a check, as the API takes them."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from hcrun.errors import ApiError

_WORDS = ("name", "slug", "tags", "desc", "schedule", "tz", "channels", "methods")
_KEYWORDS = ("subject", "subject_fail", "start_kw", "success_kw", "failure_kw")
_SWITCHES = ("manual_resume", "filter_subject", "filter_body", "filter_http_body")
# The fields of a check with their types: the server accepts no other type, and ignores unknown
# fields. `unique` is left out: it creates duplicates and overwrites pings.
FIELDS: dict[str, type] = dict.fromkeys(_WORDS + _KEYWORDS, str)
FIELDS |= dict.fromkeys((*_SWITCHES, "filter_default_fail"), bool)
FIELDS |= dict.fromkeys(("timeout", "grace"), int)
_LONGEST_TAGS = 500  # characters; more is a 500 from a server on PostgreSQL
_SHORTEST = 60  # seconds: the least period and grace time of the server
_UNKEPT = re.compile(r"[\0\ud800-\udfff]")  # a 500 from a server on PostgreSQL


def slug_of(name: str) -> str:
    """As the server makes a slug of a name in its web pages."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text)).strip("-_")[:100]


def timing(schedule: str | int, tz: str, grace: int) -> dict[str, Any]:
    """The fields of the server for a schedule and a grace time, of the server's least at least."""
    if isinstance(schedule, str) and schedule.strip().isdecimal():
        schedule = int(schedule)
    fields: dict[str, Any] = {"grace": grace, "timeout": schedule}
    if isinstance(schedule, str):
        fields = {"grace": grace, "schedule": schedule.strip(), "tz": tz}
    return {name: max(_SHORTEST, n) if type(n) is int else n for name, n in fields.items()}


def validate(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name not in FIELDS:
            raise ApiError(f"unknown field {name}", hint=f"the fields are {', '.join(FIELDS)}")
        if type(value) is not FIELDS[name]:
            raise ApiError(f"{name} must be {FIELDS[name].__name__}, not {type(value).__name__}")
        if isinstance(value, str) and _UNKEPT.search(value):
            raise ApiError(f"{name} contains a NUL or half a character, which databases reject")
    if len(fields.get("tags", "")) > _LONGEST_TAGS:
        raise ApiError(f"the tags exceed {_LONGEST_TAGS} characters", hint="use fewer")
