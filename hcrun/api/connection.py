"""One server of the Management API, and the key of one of its projects."""

import hashlib
import re
from collections.abc import Callable
from typing import Any, TypeVar

from hcrun.api.answer import API_KEY, KEY_HINT, READ_KEY, URL_HINT, Answer, offline, problem, public
from hcrun.errors import ApiError, SettingsError
from hcrun.formats.members import Members, parse
from hcrun.settings import Settings

UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{40}")  # or a unique key
_T = TypeVar("_T")


class Connection:
    """Asks the server, and reads its answers.

    Raises SettingsError if there is no key. With HEALTHCHECKS_ENABLED=false no server is asked.
    """

    def __init__(self, settings: Settings, read_only: bool, timeout: float) -> None:
        self.ask: Callable[..., Answer] = offline
        self.url, self._key, self._setting = "", "", API_KEY
        if not settings.enabled():
            return
        if read_only and settings.secret(READ_KEY):
            self._setting = READ_KEY
        key = self._key = settings.secret(self._setting)
        if not key:
            name = READ_KEY if read_only else API_KEY
            raise SettingsError("no API key is set", where=name, hint=f"set it or {name}_FILE")
        if not (key.isascii() and key.isprintable() and " " not in key):
            message = "the API key contains invalid characters"
            raise ApiError(message, hint=f"{self._setting} {KEY_HINT}")
        # Only here: `requests` costs more than the rest of hcctl.
        from hcrun.api.transport import Caller

        policy = settings.retry_count(), settings.retry_delay()
        self.ask = caller = Caller(settings.api_url(), key, timeout, *policy)
        self.url = public(caller.url)

    @property
    def fingerprint(self) -> str:
        """Identifies the project on its server without revealing the key."""
        return hashlib.sha256(f"{self.url} {self._key}".encode()).hexdigest()[:16]

    def list(self, answer: Answer, name: str, read: Callable[[Any, str], _T]) -> list[_T]:
        """The members of the list `name` of an answer. Raises ApiError."""

        def every(data: Any) -> list[_T]:
            return [read(member, where) for member, where in Members(data, "").each(name)]

        return self.read(answer, every)

    def read(self, answer: Answer, read: Callable[[Any], _T]) -> _T:
        """Raises ApiError that names the member that is wrong, and the address."""
        data = self.json(answer)
        try:
            return read(data)
        except ValueError as error:
            path = UUID.sub(lambda found: f"{found[0][:8]}...", answer.path)
            where = f"{self.url}/{path}"
            raise ApiError(str(error), status=answer.status, where=where, hint=URL_HINT) from None

    def json(self, answer: Answer) -> dict[str, Any]:
        text = self.good(answer).text
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

    def good(self, answer: Answer) -> Answer:
        if answer.status in (200, 201):
            return answer
        what, hint = problem(answer, self._key, self._setting)
        raise self.error(what, answer, hint)

    def error(self, message: str, answer: Answer, next_step: str) -> ApiError:
        return ApiError(message, status=answer.status, where=self.url, hint=next_step)
