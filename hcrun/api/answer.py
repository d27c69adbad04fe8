"""Answers of the Management API, the messages for people, and the answers without a server."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hcrun.formats.members import parse
from hcrun.text import one_line

_TRANSIENT = (408, 429, 500, 502, 503, 504)
_LIMIT_HINT = "delete some, or raise the account's limit (in the admin pages of your own server)"
_PROBLEMS = {
    400: ("answers 400 Bad Request", "add this host to ALLOWED_HOSTS of the server"),
    403: ("does not allow this", "the check belongs to another project than the API key"),
    429: (
        "is asked too often (429)",
        "wait a minute, or raise the limit of the server or of the proxy in front of it",
    ),
}
URL_HINT = "HEALTHCHECKS_API_URL must be like https://hc.example.com/api/v3"
KEY_HINT = "must be a key from the project's Settings, API Access"
_NO_CHECK = "00000000-0000-0000-0000-000000000000"  # the UUID of a check created offline
API_KEY, READ_KEY = "HEALTHCHECKS_API_KEY", "HEALTHCHECKS_READ_KEY"


@dataclass(frozen=True)
class Answer:
    """An answer; without one, status 0 and `error`."""

    status: int
    text: str = ""
    location: str = ""  # of a redirect
    retry_after: float = 0.0  # seconds
    error: str = ""
    sent: bool = True  # False: the server cannot have received the request
    rejected: bool = False  # another try cannot help: an untrusted certificate
    tries: int = 1
    path: str = ""  # of the request

    @property
    def retryable(self) -> bool:
        return self.status in (0, *_TRANSIENT) and not self.rejected

    @property
    def uncertain(self) -> bool:
        """Whether the server may have acted on the request without saying so."""
        return self.sent and (self.status == 0 or self.status >= 500)


def problem(answer: Answer, key: str = "", setting: str = API_KEY) -> tuple[str, str]:
    """What is wrong, to follow the server's URL in a message, and what to do.

    `setting` is the variable that has the key.
    """
    status, reason = answer.status, _error(answer.text)
    if not status:
        return one_line(answer.error), "check HEALTHCHECKS_API_URL, and that the server runs"
    if answer.location and 300 <= status < 400:
        what = one_line(f"redirects to {public(answer.location)[:200]}")
        why = "redirects are not followed, because the key would be sent along"
        return what, f"{why}; {URL_HINT}"
    if status == 400 and reason:
        return f"rejects the request: {reason}", ""
    if status == 401:
        return "does not accept the API key", _key_hint(key, setting)
    if status == 403 and answer.path == "checks/":
        return "the project has reached its limit of checks", _LIMIT_HINT
    if status == 404:
        what = "has no such check" if "<h1>Not Found" in answer.text else "answers 404"
        return what, f"the check was deleted, or the URL is wrong: {URL_HINT}"
    if status == 409:
        return one_line(answer.text[:200]) or "answers 409", ""
    if status in _PROBLEMS:
        return _PROBLEMS[status]
    later = "try again later; see the log of the server"
    what = f"answers {status}" + (f": {reason}" if reason else "")
    return what, later if status >= 500 else URL_HINT


def _key_hint(key: str, setting: str) -> str:
    kind = " (read-write)" if setting == API_KEY else ""
    if kind and key.startswith("hcr_"):
        return "the key is read-only; set HEALTHCHECKS_API_KEY to a read-write key"
    length = "" if len(key) == 32 else f"; it has {len(key)} characters instead of 32"
    return f"{setting} {KEY_HINT}{kind}{length}"


def _error(text: str) -> str:
    """The error message of a JSON answer."""
    try:
        answer = parse(text)
    except ValueError:
        return ""
    error = answer.get("error", "") if isinstance(answer, dict) else ""
    return one_line(str(error)[:200])


def public(url: str) -> str:
    """The URL without user and password."""
    return re.sub("//[^/]*@", "//", url, count=1)


def offline(
    method: str, path: str, *, body: Mapping[str, Any] | None = None, **_: object
) -> Answer:
    """An answer without a server: lists are empty, a change is answered with what it asks for."""
    last = path.rstrip("/").rpartition("/")[2]
    if method == "GET":
        return Answer(200, json.dumps({last: []}))
    check: dict[str, Any] = dict.fromkeys(("name", "slug", "tags", "desc", "channels"), "")
    check |= dict.fromkeys(("last_ping", "next_ping")) | dict.fromkeys(("n_pings", "timeout"), 0)
    check |= {"uuid": _NO_CHECK, "status": "paused" if last == "pause" else "new", "grace": 3600}
    check |= {"started": False, "manual_resume": False}
    return Answer(200, json.dumps(check | dict(body or {})))
