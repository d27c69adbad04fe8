"""Catalog: what is checked, how often, by what, and who hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hcrun.catalog.schedule import Schedule

# Tags that a check has on the server beside its own.
MARKER = "managed:hcrun"  # only such checks are ever deleted
TIER_TAG = "tier:"
ENVIRONMENT_TAG = "env:"


@dataclass(frozen=True)
class Slo:
    """What a service promises: `percent` of the time up, or of its runs a success."""

    kind: Literal["availability", "success"]
    percent: float


@dataclass(frozen=True)
class Channel:
    """Where alerts go. Channels cannot be made by the API; see `hcctl channels bootstrap`."""

    name: str
    kind: str  # as the server names it: email, slack, pd, webhook, ...
    options: dict[str, str]  # what it needs; NAME_secret has the name of a setting with the secret


@dataclass(frozen=True)
class Tier:
    """How much a check matters, and what follows from it."""

    name: str
    level: str  # info, warning, critical, emergency
    channels: tuple[str, ...]
    grace: int | None = None  # seconds
    slo: Slo | None = None


@dataclass(frozen=True)
class Environment:
    """Production, staging, ...: what is the same for all checks of one of them."""

    name: str
    zone: str = ""
    user: str = ""
    channels: tuple[str, ...] | None = None  # instead of the tier's


@dataclass(frozen=True)
class Check:
    """One check, with all defaults applied. Times are whole seconds."""

    slug: str
    name: str
    schedule: Schedule
    zone: str  # IANA
    grace: int
    timeout: int | None = None  # of a run; hcrun's --timeout
    description: str = ""
    tags: tuple[str, ...] = ()  # all that the server gets: those of tier, environment, marker too
    tier: str = ""
    environment: str = ""
    command: tuple[str, ...] = ()  # empty: pinged by the application itself
    options: tuple[str, ...] = ()  # of hcrun
    user: str = ""
    slo: Slo | None = None
    channels: tuple[str, ...] = ()
    line: int = 0  # of its table in the file


@dataclass(frozen=True)
class Catalog:
    """All of checks.toml."""

    path: str
    checks: tuple[Check, ...]
    tiers: dict[str, Tier]
    environments: dict[str, Environment]
    channels: dict[str, Channel]
