"""The Management API of a Healthchecks server, version 3.

    client = HealthchecksClient.from_settings(Settings.load())
    for check in client.checks("tier:1"):
        print(check.name, check.status)

A key belongs to one project. A read-only key lists checks and flips; checks then have a
`unique_key` instead of a uuid, and no channels.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from hcrun.api.answer import (
    API_KEY,
    KEY_HINT,
    READ_KEY,
    URL_HINT,
    Answer,
    Offline,
    hint,
    public,
    what,
)
from hcrun.api.models import Channel, Check, Flip, Ping
from hcrun.errors import ApiError, SettingsError
from hcrun.formats.members import Members, parse
from hcrun.settings import HOSTED, HOSTED_API, Settings

__all__ = ["FIELDS", "Channel", "Check", "Flip", "HealthchecksClient", "Ping"]

_WORDS = ("name", "slug", "tags", "desc", "schedule", "tz", "channels", "methods")
_KEYWORDS = ("subject", "subject_fail", "start_kw", "success_kw", "failure_kw")
_SWITCHES = ("manual_resume", "filter_subject", "filter_body", "filter_http_body")
# The fields of create and update with their types: the server accepts no other type, and ignores
# unknown fields. `unique` is left out: it creates duplicates and overwrites pings.
FIELDS: dict[str, type] = dict.fromkeys(_WORDS + _KEYWORDS, str)
FIELDS |= dict.fromkeys((*_SWITCHES, "filter_default_fail"), bool)
FIELDS |= dict.fromkeys(("timeout", "grace"), int)
_IDENTITY = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{40}")
_LONGEST_TAGS = 500  # characters; more is a 500 from a server on PostgreSQL
_UNKEPT = re.compile(r"[\0\ud800-\udfff]")  # a 500 from a server on PostgreSQL
_T = TypeVar("_T")


class HealthchecksClient:
    """The Management API of one project. Every method raises ApiError if it fails.

    A temporary failure (no connection, 408, 429, 5xx) is retried, up to `tries` tries and three
    time-outs in all. `timeout` and `delay` are in seconds; the delay doubles after each try.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        setting: str = API_KEY,  # the variable that has the key
        timeout: float = 10.0,
        tries: int = 3,
        delay: float = 1.0,
    ) -> None:
        if not (key.isascii() and key.isprintable() and " " not in key):
            message = "the API key contains invalid characters"
            raise ApiError(message, hint=f"{setting} {KEY_HINT}")
        # Only here: `requests` costs more than the rest of hcctl.
        from hcrun.api.transport import Caller

        self._key, self._setting = key, setting
        self._call: Caller | Offline = Caller(url, key, timeout, tries, delay)
        self.url = public(self._call.url)

    @classmethod
    def from_settings(
        cls,
        settings: Settings | None = None,
        read_only: bool = False,
        *,
        timeout: float = 10.0,
        tries: int = 0,
    ) -> Self:
        """For HEALTHCHECKS_API_URL and _API_KEY; with `read_only`, _READ_KEY if it is set.

        With HEALTHCHECKS_ENABLED=false no server is asked: lists are empty, and changes return
        what they ask for. `tries` 0: as HEALTHCHECKS_RETRY_COUNT says. Raises SettingsError if
        there is no key, or no server for it.
        """
        settings = settings or Settings.load()
        if not settings.enabled():
            client = cls(HOSTED_API, "")
            client._call = Offline()
            return client
        setting = READ_KEY if read_only and settings.secret(READ_KEY) else API_KEY
        key = settings.secret(setting)
        if not key:
            name = READ_KEY if read_only else API_KEY
            raise SettingsError("no API key is set", where=name, hint=f"set it or {name}_FILE")
        if address := missing_address(settings):
            raise SettingsError(
                "not set, but pings go to your own server",
                where="HEALTHCHECKS_API_URL",
                hint=f"set it to your server's API, perhaps {address}",
            )
        return cls(
            settings.api_url(),
            key,
            setting=setting,
            timeout=timeout,
            tries=tries or settings.retry_count(),
            delay=settings.retry_delay(),
        )

    @property
    def calls(self) -> int:
        """The number of requests that were sent."""
        return self._call.calls

    @property
    def fingerprint(self) -> str:
        """Identifies the project on its server without revealing the key."""
        return hashlib.sha256(f"{self.url} {self._key}".encode()).hexdigest()[:16]

    # Checks

    def checks(self, *tags: str, slug: str = "") -> list[Check]:
        """All checks, or those that have all the tags and that slug."""
        query = [("tag", tag) for tag in tags] + ([("slug", slug)] if slug else [])
        answer = self._call("GET", "checks/", query=query)
        return self._list(answer, "checks", Check.from_json)

    def check(self, uuid: str) -> Check:
        """One check, by its uuid or unique key."""
        return self._check(self._call("GET", self._path(uuid)))

    def find(self, slug: str) -> Check | None:
        """The check with that slug, None if there is none. Raises ApiError if there are several."""
        if not slug:  # the server would show all checks
            raise ApiError("the slug is empty", hint="checks() lists all checks")
        checks = self.checks(slug=slug)
        if len(checks) > 1:
            raise ApiError(
                f"{len(checks)} checks have the slug {slug}, and its pings answer 409",
                where=self.url,
                hint="give all but one another slug",
            )
        return checks[0] if checks else None

    def create(self, fields: Mapping[str, Any]) -> Check:
        """Create a check with these FIELDS.

        The request is not repeated if it may have worked: then the check is looked up by its slug
        and updated.
        """
        _validate(fields)
        answer = self._call("POST", "checks/", body=dict(fields), repeatable=False)
        if not answer.uncertain:
            return self._check(answer, made=True)
        slug = fields.get("slug", "")
        existing = self.find(slug) if slug else None
        if existing:
            return self.update(existing.uuid, fields)
        raise ApiError(
            f"the check may or may not have been created: {what(answer)}",
            status=answer.status,
            where=self.url,
            hint="look for it before you create it again",
        )

    def update(self, uuid: str, fields: Mapping[str, Any]) -> Check:
        """Change these fields of a check; its state stays."""
        _validate(fields)
        return self._check(self._call("POST", self._path(uuid), body=dict(fields)))

    def pause(self, uuid: str) -> Check:
        """Pause alerts until the check is resumed or, unless it has `manual_resume`, pinged."""
        return self._check(self._call("POST", f"{self._path(uuid)}/pause", body={}))

    def resume(self, uuid: str) -> Check:
        """Resume a paused check: it is new, without a deadline until its next ping."""
        answer = self._call("POST", f"{self._path(uuid)}/resume", body={})
        if answer.status == 409 and answer.tries > 1:  # the first try did it
            return self.check(uuid)
        return self._check(answer)

    def delete(self, uuid: str) -> None:
        """Delete a check with its history."""
        answer = self._call("DELETE", self._path(uuid))
        if answer.status == 404 and answer.tries > 1:  # the first try did it
            return
        self._check(answer)

    # History

    def pings(self, uuid: str) -> list[Ping]:
        """The pings that the server keeps, newest first. Needs the read-write key."""
        answer = self._call("GET", f"{self._path(uuid)}/pings/")
        return self._list(answer, "pings", Ping.from_json)

    def ping_body(self, uuid: str, number: int) -> str:
        """The body of a ping; "" if it had none, or the server no longer keeps it."""
        answer = self._call("GET", f"{self._path(uuid)}/pings/{number}/body")
        return "" if answer.status == 404 else self._good(answer).text

    def flips(self, uuid: str, start: float | None = None, end: float | None = None) -> list[Flip]:
        """State changes between two times, newest first; by uuid or unique key."""
        limits = {"start": start, "end": end}
        query = [(name, str(int(value))) for name, value in limits.items() if value is not None]
        answer = self._call("GET", f"{self._path(uuid)}/flips/", query=query)
        return self._list(answer, "flips", Flip.from_json)

    def channels(self) -> list[Channel]:
        """The channels of the project. Needs the read-write key."""
        return self._list(self._call("GET", "channels/"), "channels", Channel.from_json)

    # The server

    def status(self) -> None:
        """Raises ApiError unless the server and its database answer."""
        self._good(self._call("GET", "status/"))

    def metrics(self, key: str) -> dict[str, Any]:
        """Counters of the whole server; `key` is its METRICS_KEY."""
        answer = self._call("GET", "metrics/", headers={"X-Metrics-Key": key})
        if answer.status == 403:
            raise ApiError(
                "the server does not accept the metrics key",
                status=403,
                where=self.url,
                hint="set HEALTHCHECKS_METRICS_KEY to METRICS_KEY of the server",
            )
        return self._json(answer)

    def _path(self, uuid: str) -> str:
        """The path of a check. An empty uuid would make an update create a check."""
        if not (_IDENTITY.fullmatch(uuid.lower()) or isinstance(self._call, Offline)):
            raise ApiError(
                f"{uuid!r} is not the uuid of a check",
                hint="a read-only key shows no uuids, and cannot change checks",
            )
        return f"checks/{uuid.lower()}"

    # Answers

    def _check(self, answer: Answer, made: bool = False) -> Check:
        if made and answer.status == 403:
            raise ApiError(
                "the project has reached its limit of checks",
                status=403,
                where=self.url,
                hint="delete some, or raise the account's limit (on your own server: in its admin"
                " pages, Profiles)",
            )
        return self._read(answer, Check.from_json)

    def _list(self, answer: Answer, name: str, read: Callable[[Any, str], _T]) -> list[_T]:
        def every(data: Any) -> list[_T]:
            return [read(member, where) for member, where in Members(data, "").each(name)]

        return self._read(answer, every)

    def _read(self, answer: Answer, read: Callable[[Any], _T]) -> _T:
        """Raises ApiError that names the member that is wrong, and the address."""
        data = self._json(answer)
        try:
            return read(data)
        except ValueError as error:
            path = _IDENTITY.sub(lambda found: f"{found[0][:8]}...", answer.path)
            where = f"{self.url}/{path}"
            raise ApiError(str(error), status=answer.status, where=where, hint=URL_HINT) from None

    def _json(self, answer: Answer) -> dict[str, Any]:
        text = self._good(answer).text
        try:
            members = parse(text)
        except ValueError:
            members = None
        if not isinstance(members, dict):
            kind = "an HTML page" if "<html" in text.lower() else "something other than JSON"
            raise ApiError(
                f"answers with {kind}", status=answer.status, where=self.url, hint=URL_HINT
            )
        return members

    def _good(self, answer: Answer) -> Answer:
        if answer.status in (200, 201):
            return answer
        next_step = hint(answer, self._key, self._setting)
        raise ApiError(what(answer), status=answer.status, where=self.url, hint=next_step)


def missing_address(settings: Settings) -> str:
    """The likely HEALTHCHECKS_API_URL if it is not set although pings go to an own server, or "".

    Without it the key of an own server would be sent to the hosted one.
    """
    pinged = settings.ping_url()
    if settings.get("HEALTHCHECKS_API_URL") or pinged == HOSTED:
        return ""
    return f"{public(pinged).removesuffix('/ping')}/api/v3"


def _validate(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name not in FIELDS:
            raise ApiError(f"unknown field {name}", hint=f"the fields are {', '.join(FIELDS)}")
        if type(value) is not FIELDS[name]:
            raise ApiError(f"{name} must be {FIELDS[name].__name__}, not {type(value).__name__}")
        if isinstance(value, str) and _UNKEPT.search(value):
            raise ApiError(f"{name} contains a NUL or half a character, which databases reject")
    if len(fields.get("tags", "")) > _LONGEST_TAGS:
        raise ApiError(f"the tags exceed {_LONGEST_TAGS} characters", hint="use fewer")
