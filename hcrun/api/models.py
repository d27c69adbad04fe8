"""What the Management API (v3) returns. Times are seconds since the epoch.

The value of a field says which member of the answer it is, and how that is read.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

from hcrun.formats.members import Members

State = Literal["new", "up", "grace", "down", "paused"]


def _member(name: str, read: Callable[..., Any], *more: object, shown: bool = True) -> Any:
    return field(repr=shown, metadata={"read": lambda members: read(members, name, *more)})


def _keywords(check: Members, _name: str) -> tuple[str, ...] | None:
    words = tuple(check.text(f"{kind}_kw", "") for kind in ("failure", "success", "start"))
    return words if check.flag("filter_http_body", False) else None


@dataclass(frozen=True)
class _Answer:
    @classmethod
    def from_json(cls, data: Any, where: str = "", **more: Any) -> Self:
        """Raises ValueError if `data` is no such thing; `where` is its name in the answer."""
        members = Members(data, where)
        read = [each for each in fields(cls) if each.metadata]
        return cls(**{each.name: each.metadata["read"](members) for each in read}, **more)


@dataclass(frozen=True)
class Check(_Answer):
    """A check as the server has it.

    Times are in seconds since the epoch, durations in seconds. `check["methods"]` and
    `check.get("methods")` are the fields of the API, as the server sent them.
    """

    uuid: str = _member("uuid", Members.identity)  # "" with a read-only key
    unique_key: str = _member("unique_key", Members.identity)  # "" with a read-write key
    name: str = _member("name", Members.text)
    slug: str = _member("slug", Members.text)
    tags: tuple[str, ...] = _member("tags", Members.words)
    description: str = _member("desc", Members.text)
    status: State = _member("status", Members.choice, get_args(State))  # noqa: RUF009 - makes a field
    started: bool = _member("started", Members.flag)
    last_ping: float | None = _member("last_ping", Members.moment_or_none)
    next_ping: float | None = _member("next_ping", Members.moment_or_none)
    last_duration: float | None = _member("last_duration", Members.number)
    pings: int = _member("n_pings", Members.whole)
    timeout: int | None = _member(  # of a simple check
        "timeout", lambda check, name: check.whole(name, 0) or None
    )
    schedule: str = _member("schedule", Members.text, "")  # of a cron or OnCalendar check, else ""
    zone: str = _member("tz", Members.text, "")
    grace: int = _member("grace", Members.whole)
    # ids; none with a read-only key
    channels: tuple[str, ...] = _member("channels", Members.words, "", ",")
    manual_resume: bool = _member("manual_resume", Members.flag)
    ping_url: str = _member("ping_url", Members.url)  # "" with a read-only key
    badge_url: str = _member("badge_url", Members.url)
    # Those that decide what a ping's body means; None: none decides.
    keywords: tuple[str, ...] | None = _member("", _keywords)
    # All fields of the server, as they came.
    raw: dict[str, Any] = _member("", lambda check, _: dict(check.data), shown=False)  # noqa: RUF009

    def __getitem__(self, name: str) -> Any:
        return self.raw[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A field of the API, `default` if the server did not send it."""
        return self.raw.get(name, default)

    @property
    def label(self) -> str:
        """Its slug, else its name, else the beginning of its key."""
        return self.slug or self.name or self.uuid[:8] or self.unique_key[:8]


@dataclass(frozen=True)
class Ping(_Answer):
    """One ping as the server kept it; `body()` asks for its text."""

    ask: Callable[[int], str] = field(repr=False, compare=False)  # fetches the text of one
    number: int = _member("n", Members.whole)
    type: str = _member("type", Members.text)  # success, start, fail, log, ign, ...
    date: float = _member("date", Members.moment)
    rid: str = _member("rid", Members.identity)
    duration: float | None = _member("duration", Members.number)
    has_body: bool = _member("body_url", lambda ping, name: bool(ping.text(name, "")))

    def body(self) -> str:
        """Its text; "" if it had none, or the server no longer keeps it. Raises ApiError."""
        return self.ask(self.number) if self.has_body else ""


@dataclass(frozen=True)
class Flip(_Answer):
    """A change of a check's state. A pause looks like an outage: `up` is False for both."""

    when: float = _member("timestamp", Members.moment)
    up: bool = _member("up", Members.flag)


@dataclass(frozen=True)
class Channel(_Answer):
    """Where the server sends alerts."""

    id: str = _member("id", Members.identity)
    name: str = _member("name", Members.text)
    kind: str = _member("kind", Members.text)
