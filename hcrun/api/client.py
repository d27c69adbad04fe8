"""`HealthchecksClient`: pings, and the Management API of a Healthchecks server, version 3.

A key belongs to one project. A read-only key lists checks and flips; checks then have a
`unique_key` instead of a uuid, and no channels.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from hcrun.api.answer import Answer, problem
from hcrun.api.connection import UUID, Connection
from hcrun.api.fields import slug_of, timing, validate
from hcrun.api.models import Channel, Check, Flip, Ping
from hcrun.errors import ApiError, UsageError
from hcrun.ping.target import resolve
from hcrun.ping.target import validate as validate_name
from hcrun.settings import Settings

if TYPE_CHECKING:
    from hcrun.api.pinging import PingedRun

_T = TypeVar("_T")


class HealthchecksClient:
    """Pings and the Management API of one project.

    Values that are not given come from `configure`, the environment and hcrun.env, at each call.
    With `read_only`, HEALTHCHECKS_READ_KEY is used if it is set.

    `ping` and its like return whether the server accepted the ping; they never raise, and the
    logger `hcrun` says why a ping was not accepted. `check_id` is a name, UUID or ping URL, as for
    `hcrun`. The other methods take a UUID, a unique key or a slug, and raise ApiError, or
    SettingsError if there is no key.

    A temporary failure (no connection, 408, 429, 5xx) is retried, as HEALTHCHECKS_RETRY_COUNT and
    _DELAY say, for up to three times `timeout` (seconds).

    With HEALTHCHECKS_ENABLED=false no server is asked: pings return True, lists are empty,
    `create_check` and `get_check` return None, and changes return a check as they ask for.
    """

    def __init__(
        self,
        *,
        api_url: str | None = None,
        api_key: str | None = None,
        ping_url: str | None = None,
        ping_key: str | None = None,
        timeout: float = 10.0,
        read_only: bool = False,
        _settings: Settings | None = None,  # instead of those of the moment
    ) -> None:
        given = {"API_URL": api_url, "API_KEY": api_key, "READ_KEY": api_key}
        given |= {"PING_URL": ping_url, "PING_KEY": ping_key}
        self._given = {f"HEALTHCHECKS_{name}": text for name, text in given.items() if text}
        self._timeout, self._read_only, self._fixed = timeout, read_only, _settings
        self.calls = 0  # requests that were sent

    def _settings(self) -> Settings:
        return (self._fixed or Settings.load()).over(self._given)

    @property
    def enabled(self) -> bool:
        """Whether the server is pinged and asked: HEALTHCHECKS_ENABLED."""
        return self._settings().enabled()

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        self._given["HEALTHCHECKS_ENABLED"] = str(enabled).lower()

    @property
    def api_url(self) -> str:
        """The address of the management API, without a password."""
        return self.connect().url

    def connect(self) -> Connection:
        """The server and the key of the present settings. Raises SettingsError, ApiError."""
        return Connection(self._settings(), self._read_only, self._timeout)

    # Pings

    def ping(
        self, check_id: str, status: str | int = "", text: str = "", *, run_id: str = ""
    ) -> bool:
        """Send any ping: "", "start", "fail", "log" (a leading / is fine), or an exit status.

        `text` is its body: secrets are removed, and a long text is cut to what the server keeps.
        `run_id` is a UUID, the same in all pings of a run that sent an accepted start ping.
        """
        from hcrun.api import pinging  # not for hcctl

        return pinging.ping(self._settings(), check_id, status, text, run_id, 3 * self._timeout)

    def ping_start(self, check_id: str, text: str = "", *, run_id: str = "") -> bool:
        """Report the start of a run. Its end must follow within the check's grace time."""
        return self.ping(check_id, "start", text, run_id=run_id)

    def ping_success(self, check_id: str, text: str = "", *, run_id: str = "") -> bool:
        """Report success."""
        return self.ping(check_id, "", text, run_id=run_id)

    def ping_fail(self, check_id: str, text: str = "", *, run_id: str = "") -> bool:
        """Report failure."""
        return self.ping(check_id, "fail", text, run_id=run_id)

    def ping_log(self, check_id: str, text: str, *, run_id: str = "") -> bool:
        """Add a line to the check's log. The state of the check does not change."""
        return self.ping(check_id, "log", text, run_id=run_id)

    def run(self, check_id: str) -> "PingedRun":
        """`with client.run("x") as run:` pings by hand, waiting for the server."""
        from hcrun.api.pinging import PingedRun  # not for hcctl

        return PingedRun(self, check_id)

    # Checks

    def list_checks(self, tag: str | None = None, *, slug: str = "") -> list[Check]:
        """All checks, or those with all the tags in `tag`, and with that slug."""
        query = [("tag", each) for each in (tag or "").split()] + ([("slug", slug)] if slug else [])
        return self._list("checks/", "checks", Check.from_json, query)

    def get_check(self, check_id: str) -> Check | None:
        """By UUID, unique key or slug; None if there is no such check.

        Raises ApiError if several checks have the slug.
        """
        identity = self._identity(check_id)
        if not self.enabled:
            return None
        if not UUID.fullmatch(identity):
            return self._find(identity)
        connection, answer = self._ask("GET", f"checks/{identity}")
        if answer.status == 404 and (not answer.text or "<h1>Not Found" in answer.text):
            return None
        return connection.read(answer, Check.from_json)

    def create_check(
        self,
        name: str,
        tags: str = "",
        schedule: str | int = 86400,
        tz: str = "UTC",
        grace: int = 3600,
        *,
        slug: str = "",
        desc: str = "",
        channels: str = "*",
        exist_ok: bool = True,
    ) -> Check | None:
        """Create a check, or return the existing one with this slug, unchanged.

        `schedule`: seconds ("300"), a cron line or OnCalendar; the server's least period and grace
        time are 60 seconds. `slug`: made of the name if it is not given. `channels`: "*" for all,
        "" for none, or names and ids, separated by commas. With `exist_ok=False`, an existing check
        is an ApiError.
        """
        slug = slug or slug_of(name)
        if not slug:
            raise ApiError(
                f"the name {name!r} has no letter or digit for a slug", hint="give slug="
            )
        if not self.enabled:
            return None
        if existing := self._find(slug):
            if exist_ok:
                return existing
            raise ApiError(f"a check with the slug {slug} exists", status=409, hint="update it")
        fields = {"name": name, "slug": slug, "tags": tags, "desc": desc, "channels": channels}
        return self.create_with(fields | timing(schedule, tz, grace))

    def create_with(self, fields: Mapping[str, Any]) -> Check:
        """Create a check with these FIELDS of the API, whether one exists or not.

        The request is not repeated if it may have worked: then the check is looked up by its slug
        and updated.
        """
        validate(fields)
        connection, answer = self._ask("POST", "checks/", body=dict(fields), repeatable=False)
        if not answer.uncertain:
            return connection.read(answer, Check.from_json)
        slug = fields.get("slug", "")
        existing = self._find(slug) if slug else None
        if existing:
            return self.update_check(existing.uuid, **fields)
        raise connection.error(
            f"the check may or may not have been created: {problem(answer)[0]}",
            answer,
            "look for it before you create it again",
        )

    def update_check(self, check_id: str, **fields: Any) -> Check:
        """Change these fields only; the state stays. The names are those of the API."""
        validate(fields)
        return self._change(self._path(check_id), fields)

    def pause_check(self, check_id: str) -> Check:
        """Pause alerts until the check is resumed or, unless it has `manual_resume`, pinged."""
        return self._change(f"{self._path(check_id)}/pause", {})

    def resume_check(self, check_id: str) -> Check:
        """Resume a check: it is new, without a deadline until its next ping.

        It is no error if the check was not paused.
        """
        path = self._path(check_id)
        connection, answer = self._ask("POST", f"{path}/resume", body={})
        if answer.status == 409:  # it is not paused
            connection, answer = self._ask("GET", path)
        return connection.read(answer, Check.from_json)

    def delete_check(self, check_id: str) -> None:
        """Delete a check with its history."""
        connection, answer = self._ask("DELETE", self._path(check_id))
        if answer.status == 404 and answer.tries > 1:  # the first try did it
            return
        connection.good(answer)

    # History

    def list_pings(self, check_id: str) -> list[Ping]:
        """The pings that the server keeps, newest first. Needs the read-write key."""
        path = f"{self._path(check_id)}/pings/"
        read = partial(Ping.from_json, ask=partial(self._body, path))
        return self._list(path, "pings", read)

    def list_flips(
        self, check_id: str, start: float | None = None, end: float | None = None
    ) -> list[Flip]:
        """State changes between two times (seconds since the epoch), newest first."""
        limits = {"start": start, "end": end}
        query = [(name, str(int(value))) for name, value in limits.items() if value is not None]
        return self._list(f"{self._path(check_id)}/flips/", "flips", Flip.from_json, query)

    def list_channels(self) -> list[Channel]:
        """Where alerts can go. Needs the read-write key."""
        return self._list("channels/", "channels", Channel.from_json)

    # Requests

    def _ask(self, method: str, path: str, **parts: Any) -> tuple[Connection, Answer]:
        connection = self.connect()
        self.calls += 1  # before Ctrl-C
        answer = connection.ask(method, path, **parts)
        self.calls += answer.tries - 1
        return connection, answer

    def _list(
        self,
        path: str,
        name: str,
        read: Callable[[Any, str], _T],
        query: Sequence[tuple[str, str]] = (),
    ) -> list[_T]:
        connection, answer = self._ask("GET", path, query=query)
        return connection.list(answer, name, read)

    def _change(self, path: str, fields: Mapping[str, Any]) -> Check:
        connection, answer = self._ask("POST", path, body=dict(fields))
        return connection.read(answer, Check.from_json)

    def _body(self, path: str, number: int) -> str:
        connection, answer = self._ask("GET", f"{path}{number}/body")
        return "" if answer.status == 404 else connection.good(answer).text

    def _find(self, slug: str) -> Check | None:
        checks = self.list_checks(slug=slug)
        if len(checks) > 1:
            message = f"{len(checks)} checks have the slug {slug}, and its pings answer 409"
            raise ApiError(message, where=self.api_url, hint="give all but one another slug")
        return checks[0] if checks else None

    def _identity(self, check_id: str) -> str:
        """The uuid, unique key or slug of a check, which may be given as for a ping."""
        name = check_id.strip("/").lower()
        if UUID.fullmatch(name):
            return name
        try:
            validate_name(name)  # an update of "" would create a check
        except UsageError as error:
            raise ApiError(error.what, where="check_id", hint=error.hint) from None
        return resolve(name, self._settings()).url.rpartition("/")[2] or name

    def _path(self, check_id: str) -> str:
        identity = self._identity(check_id)
        if not UUID.fullmatch(identity) and self.enabled:
            found = self._find(identity)
            if not found:
                message = f"has no check with the slug {identity}"
                raise ApiError(message, status=404, where=self.api_url)
            identity = found.uuid or found.unique_key
        return f"checks/{identity}"


healthchecks = HealthchecksClient()  # reads the settings when it is used
