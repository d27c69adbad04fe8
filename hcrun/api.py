"""The management API of a Healthchecks server, version 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RemoteCheck:
    """A check as the server has it. Times are seconds since the epoch or seconds."""

    uuid: str  # "" with a read-only key
    unique_key: str
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
    channels: tuple[str, ...]  # ids
    methods: str
    manual_resume: bool
    raw: dict[str, Any]  # everything the server said


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


@dataclass(frozen=True)
class Flip:
    """A change of a check's state. A pause looks like an outage: `up` is False for both."""

    at: float
    up: bool


@dataclass(frozen=True)
class RemoteChannel:
    """Where the server sends alerts."""

    id: str
    name: str
    kind: str


class HealthchecksClient:
    """The management API. Its methods are written out by whoever owns this module next.

    checks(*tags, slug=""), check(uuid), find(slug), create(fields), update(uuid, fields),
    delete(uuid), pause(uuid), resume(uuid), pings(uuid), ping_body(uuid, number),
    flips(uuid, start, end), channels(), status(), metrics().
    """
