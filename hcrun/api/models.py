"""What the management API (v3) answers, as types. Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
    methods: str
    manual_resume: bool
    raw: dict[str, Any]  # everything the server said

    @classmethod
    def from_json(cls, said: Json) -> RemoteCheck:
        """Raises KeyError, TypeError or ValueError when `said` is no check."""
        return cls(
            uuid=said.get("uuid", ""),
            unique_key=said.get("unique_key", ""),
            name=said["name"],
            slug=said["slug"],
            tags=tuple(said["tags"].split()),
            description=said["desc"],
            status=said["status"],
            started=said["started"],
            last_ping=_epoch(said["last_ping"]),
            next_ping=_epoch(said["next_ping"]),
            last_duration=said.get("last_duration"),
            pings=said["n_pings"],
            timeout=said.get("timeout"),
            schedule=said.get("schedule", ""),
            zone=said.get("tz", ""),
            grace=said["grace"],
            channels=tuple(filter(None, said.get("channels", "").split(","))),
            methods=said["methods"],
            manual_resume=said["manual_resume"],
            raw=dict(said),
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
    def from_json(cls, said: Json) -> RemotePing:
        """Raises KeyError, TypeError or ValueError when `said` is no ping."""
        return cls(
            number=said["n"],
            type=said["type"],
            date=datetime.fromisoformat(said["date"]).timestamp(),
            rid=said["rid"] or "",
            duration=said.get("duration"),
            scheme=said["scheme"],
            address=said["remote_addr"] or "",
            method=said["method"],
            user_agent=said["ua"],
            has_body=said["body_url"] is not None,
        )


@dataclass(frozen=True)
class Flip:
    """A change of a check's state. A pause looks like an outage: `up` is False for both."""

    at: float
    up: bool

    @classmethod
    def from_json(cls, said: Json) -> Flip:
        """Raises KeyError, TypeError or ValueError when `said` is no flip."""
        return cls(datetime.fromisoformat(said["timestamp"]).timestamp(), bool(said["up"]))


@dataclass(frozen=True)
class RemoteChannel:
    """Where the server sends alerts."""

    id: str
    name: str
    kind: str

    @classmethod
    def from_json(cls, said: Json) -> RemoteChannel:
        """Raises KeyError when `said` is no channel."""
        return cls(said["id"], said["name"], said["kind"])


def _epoch(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
