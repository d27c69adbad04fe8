"""What the Management API (v3) returns. Times are seconds since the epoch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self, cast, get_args

from hcrun.formats.members import Members

State = Literal["new", "up", "grace", "down", "paused"]


@dataclass(frozen=True)
class Check:
    """A check as the server has it.

    Times are in seconds since the epoch, durations in seconds. `check["methods"]` and
    `check.get("methods")` are the fields of the API, as the server sent them.
    """

    uuid: str  # "" with a read-only key
    unique_key: str  # "" with a read-write key
    name: str
    slug: str
    tags: tuple[str, ...]
    description: str
    status: State
    started: bool
    last_ping: float | None
    next_ping: float | None
    last_duration: float | None
    pings: int
    timeout: int | None  # of a simple check
    schedule: str  # of a cron or OnCalendar check, else ""
    zone: str
    grace: int
    channels: tuple[str, ...]  # ids; none with a read-only key
    manual_resume: bool
    ping_url: str  # "" with a read-only key
    badge_url: str
    keywords: tuple[str, ...] | None  # that decide what a ping's body means; None: none decides
    raw: dict[str, Any] = field(repr=False)  # all fields of the server, as they came

    def __getitem__(self, name: str) -> Any:
        return self.raw[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A field of the API, `default` if the server did not send it."""
        return self.raw.get(name, default)

    @property
    def label(self) -> str:
        """Its slug, else its name, else the beginning of its key."""
        return self.slug or self.name or self.uuid[:8] or self.unique_key[:8]

    @classmethod
    def from_json(cls, data: Any, where: str = "") -> Self:
        """Raises ValueError if `data` is not a check; `where` is its name in the answer."""
        check = Members(data, where)
        words = tuple(check.text(f"{kind}_kw", "") for kind in ("failure", "success", "start"))
        return cls(
            uuid=check.identity("uuid"),
            unique_key=check.identity("unique_key"),
            name=check.text("name"),
            slug=check.text("slug"),
            tags=tuple(check.text("tags").split()),
            description=check.text("desc"),
            status=cast(State, check.choice("status", get_args(State))),
            started=check.flag("started"),
            last_ping=check.moment_or_none("last_ping"),
            next_ping=check.moment_or_none("next_ping"),
            last_duration=check.number("last_duration"),
            pings=check.whole("n_pings"),
            timeout=check.whole("timeout", 0) or None,
            schedule=check.text("schedule", ""),
            zone=check.text("tz", ""),
            grace=check.whole("grace"),
            channels=tuple(filter(None, check.text("channels", "").split(","))),
            manual_resume=check.flag("manual_resume"),
            ping_url=check.url("ping_url"),
            badge_url=check.url("badge_url"),
            keywords=words if check.flag("filter_http_body", False) else None,
            raw=dict(data),
        )


@dataclass(frozen=True)
class Ping:
    """One ping as the server kept it; `body()` asks for its text."""

    number: int
    type: str  # success, start, fail, log, ign, ...
    date: float
    rid: str
    duration: float | None
    has_body: bool
    _ask: Callable[[int], str] = field(repr=False, compare=False)

    def body(self) -> str:
        """Its text; "" if it had none, or the server no longer keeps it. Raises ApiError."""
        return self._ask(self.number) if self.has_body else ""

    @classmethod
    def from_json(cls, data: Any, where: str, ask: Callable[[int], str]) -> Self:
        """Raises ValueError if `data` is not a ping; `ask` fetches the text of one."""
        ping = Members(data, where)
        return cls(
            number=ping.whole("n"),
            type=ping.text("type"),
            date=ping.moment("date"),
            rid=ping.identity("rid"),
            duration=ping.number("duration"),
            has_body=bool(ping.text("body_url", "")),
            _ask=ask,
        )


@dataclass(frozen=True)
class Flip:
    """A change of a check's state. A pause looks like an outage: `up` is False for both."""

    when: float
    up: bool

    @classmethod
    def from_json(cls, data: Any, where: str = "") -> Self:
        """Raises ValueError if `data` is not a flip."""
        flip = Members(data, where)
        return cls(flip.moment("timestamp"), flip.flag("up"))


@dataclass(frozen=True)
class Channel:
    """Where the server sends alerts."""

    id: str
    name: str
    kind: str

    @classmethod
    def from_json(cls, data: Any, where: str = "") -> Self:
        """Raises ValueError if `data` is not a channel."""
        channel = Members(data, where)
        return cls(channel.identity("id"), channel.text("name"), channel.text("kind"))
