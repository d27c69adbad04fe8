"""What the management API answered, and what that means to people."""

from __future__ import annotations

import json
from dataclasses import dataclass

_TRANSIENT = (408, 429, 500, 502, 503, 504)
URL_HINT = "HEALTHCHECKS_API_URL must be like https://hc.example.com/api/v3"
KEY_HINT = "must be a key from the project's Settings, API Access"
API_KEY, READ_KEY = "HEALTHCHECKS_API_KEY", "HEALTHCHECKS_READ_KEY"


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 and `error` when nothing did."""

    status: int
    text: str = ""
    location: str = ""  # of a redirect
    retry_after: float = 0.0  # seconds
    error: str = ""
    sent: bool = True  # False: the server cannot have seen the request
    rejected: bool = False  # trying again cannot help: a refused certificate
    tries: int = 1

    @property
    def retryable(self) -> bool:
        return self.status in (0, *_TRANSIENT) and not self.rejected

    @property
    def uncertain(self) -> bool:
        """Whether the request may have been carried out although the answer does not say so."""
        return self.sent and (self.status == 0 or self.status >= 500)


def what(answer: Answer) -> str:
    if not answer.status:
        return answer.error
    said = _said(answer.text)
    if answer.location and 300 <= answer.status < 400:
        return f"redirects to {public(answer.location)}"
    if answer.status == 400:
        return f"refuses this: {said}" if said else "answers 400 Bad Request"
    if answer.status == 401:
        return "does not accept the API key"
    if answer.status == 403:
        return "does not allow this"
    if answer.status == 404:
        return "has no such check" if "<h1>Not Found" in answer.text else "answers 404"
    if answer.status == 409:
        return answer.text[:200] or "answers 409"
    return f"answers {answer.status}" + (f": {said}" if said else "")


def hint(answer: Answer, key: str, setting: str) -> str:
    """`setting`: where the key is from."""
    status = answer.status
    if answer.location:
        return f"no redirect is followed, as the key would go with it; {URL_HINT}"
    if status == 0:
        return "is HEALTHCHECKS_API_URL right, and the server up?"
    if status == 400:
        return "" if _said(answer.text) else "is its host in the server's ALLOWED_HOSTS?"
    if status == 401 and key.startswith("hcr_") and setting == API_KEY:
        return "this is a read-only key; set HEALTHCHECKS_API_KEY to a read-write one"
    if status == 401:
        length = "" if len(key) == 32 else f"; it has {len(key)} characters instead of 32"
        return f"{setting} {KEY_HINT}{' (read-write)' if setting == API_KEY else ''}{length}"
    if status == 403:
        return "the check is of another project than the API key"
    if status == 404:
        return f"it was deleted, or the address is wrong: {URL_HINT}"
    if status == 409:
        return ""
    if status == 429 or status >= 500:
        return "try again later; the server's log says why"
    return URL_HINT


def _said(text: str) -> str:
    """The error of a JSON answer."""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    error = found.get("error", "") if isinstance(found, dict) else ""
    return str(error)[:200]


def public(url: str) -> str:
    """A URL without the user and password it may have."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
