"""What the Management API (v3) returns. Times are seconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

Json = Mapping[str, Any]


@dataclass(frozen=True)
class RemoteCheck:
    """A check as the server has it. Times are seconds since the epoch or seconds."""

    uuid: str  # "" with a read-only key
    unique_key: str  # "" with a read-write key
    name: str
    slug: str
    tags: tuple[str, ...]
    description: str
    status: str  # new, up, grace, down, paused
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
    raw: dict[str, Any]  # all fields of the server

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Raises KeyError, TypeError or ValueError if `data` is not a check."""
        return cls(
            uuid=data.get("uuid", ""),
            unique_key=data.get("unique_key", ""),
            name=data["name"],
            slug=data["slug"],
            tags=tuple(data["tags"].split()),
            description=data["desc"],
            status=data["status"],
            started=data["started"],
            last_ping=_epoch(data["last_ping"]),
            next_ping=_epoch(data["next_ping"]),
            last_duration=data.get("last_duration"),
            pings=data["n_pings"],
            timeout=data.get("timeout"),
            schedule=data.get("schedule", ""),
            zone=data.get("tz", ""),
            grace=data["grace"],
            channels=tuple(filter(None, data.get("channels", "").split(","))),
            manual_resume=data["manual_resume"],
            raw=dict(data),
        )


@dataclass(frozen=True)
class RemotePing:
    """One ping as the server kept it."""

    number: int
    type: str  # success, start, fail, log, ign, ...
    date: float
    rid: str
    duration: float | None
    scheme: str
    address: str
    method: str
    user_agent: str
    has_body: bool

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Raises KeyError, TypeError or ValueError if `data` is not a ping."""
        return cls(
            number=data["n"],
            type=data["type"],
            date=datetime.fromisoformat(data["date"]).timestamp(),
            rid=data["rid"] or "",
            duration=data.get("duration"),
            scheme=data["scheme"],
            address=data["remote_addr"] or "",
            method=data["method"],
            user_agent=data["ua"],
            has_body=data["body_url"] is not None,
        )


@dataclass(frozen=True)
class Flip:
    """A change of a check's state. A pause looks like an outage: `up` is False for both."""

    at: float
    up: bool

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Raises KeyError, TypeError or ValueError if `data` is not a flip."""
        return cls(datetime.fromisoformat(data["timestamp"]).timestamp(), bool(data["up"]))


@dataclass(frozen=True)
class RemoteChannel:
    """Where the server sends alerts."""

    id: str
    name: str
    kind: str

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Raises KeyError if `data` is not a channel."""
        return cls(data["id"], data["name"], data["kind"])


def _epoch(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
