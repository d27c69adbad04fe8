"""The catalogue, checks.toml: what is checked, how often, by what command, and who is alerted.

All limits of the server are checked here, before any call. docs/catalogue.md lists the keys.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import Literal

from hcrun.catalog.schedule import Schedule
from hcrun.errors import CatalogError, SettingsError
from hcrun.paths import CATALOG
from hcrun.settings import Settings, refused

SYSTEM = CATALOG
SHIPPED = os.path.join(os.path.dirname(os.path.dirname(__file__)), "checks.toml")
ENVIRONMENT = "HEALTHCHECKS_ENVIRONMENT"  # whose project the settings are for
_INSTALL = "install -D -m 0644"
# The settings that switch off all channels of a kind.
SWITCHES = {"slack": "HEALTHCHECKS_SLACK_ENABLED", "pd": "HEALTHCHECKS_PAGERDUTY_ENABLED"}
# Tags that hcctl adds to those of a check.
ALL = "*"  # instead of names of channels: every channel of the project
MARKER = "managed:hcrun"  # hcctl deletes only checks with it
HOLD_TAG = "hold-until:"  # the end of hcctl hold --all, seconds since the epoch
TIER_TAG = "tier:"
ENVIRONMENT_TAG = "env:"
SEVERITY_TAG = "severity:"
NEEDS_TAG = "needs:"  # probe-escalation reads them


@dataclass(frozen=True)
class Slo:
    """An objective: up for `percent` of the time, or `percent` of the runs successful."""

    kind: Literal["availability", "success"]
    percent: float


@dataclass(frozen=True)
class Channel:
    """Where alerts go. The API cannot create channels; see `hcctl channels bootstrap`."""

    name: str
    kind: str  # the server's name for it: email, slack, pd, webhook, ...
    options: dict[str, str]  # NAME_secret names the setting with the secret
    is_off: bool = False  # a setting has switched off its kind


@dataclass(frozen=True)
class Tier:
    """The importance of checks, with their defaults."""

    name: str
    level: str  # info, warning, critical, emergency
    channels: tuple[str, ...]
    grace: int | None = None  # seconds
    slo: Slo | None = None
    dampening: Mapping[str, int] = field(default_factory=dict)  # fail_after, retries, ...


@dataclass(frozen=True)
class Environment:
    """Production, staging, ..., with the defaults of their checks."""

    name: str
    zone: str = ""
    user: str = ""
    channels: tuple[str, ...] | None = None  # None: those of the tier
    inherits: str = ""  # another environment, whose checks it has as well
    suffix: str = ""  # of the slugs of inherited checks; "": they are in another project
    env_file: str = ""  # the settings of its project, for hcctl --environment


@dataclass(frozen=True)
class Check:
    """A check with all defaults applied. Times are in whole seconds."""

    slug: str
    name: str
    schedule: Schedule
    zone: str  # IANA
    grace: int
    timeout: int | None = None  # of hcrun
    description: str = ""
    tags: tuple[str, ...] = ()  # with those of the tier and the environment, and MARKER
    tier: str = ""
    severity: str = ""  # the level of the tier
    environment: str = ""
    command: tuple[str, ...] = ()  # empty: the application pings the check
    options: tuple[str, ...] = ()  # of hcrun
    user: str = ""
    mailto: str = ""  # cron mails the output to these addresses
    slo: Slo | None = None
    channels: tuple[str, ...] = ()  # ("*",): all of the project
    was: str = ""  # the slug that it had before
    needs: tuple[str, ...] = ()  # slugs of the checks that it cannot work without
    settle: int = 0  # seconds after their recovery in which its failures are still due to them
    line: int = 0  # of its table in checks.toml

    @property
    def title(self) -> str:
        """Its name on the server, which a call and the subject of a mail have: `[critical] A`."""
        words = " ".join(filter(None, (self.severity, self.environment)))
        return f"[{words}] {self.name}" if words else self.name


@dataclass(frozen=True)
class Catalog:
    """The contents of checks.toml."""

    path: str
    checks: tuple[Check, ...]
    tiers: dict[str, Tier]
    environments: dict[str, Environment]
    channels: dict[str, Channel]
    projects: dict[str, tuple[Check, ...]] = field(default_factory=dict)  # of other environments
    drills: dict[str, str] = field(default_factory=dict)  # arguments of `hcctl drill`, by name

    @property
    def renamed(self) -> dict[str, str]:
        """The new slugs by the old ones."""
        return {check.was: check.slug for check in self.checks if check.was}

    def roots(self, needs: Iterable[str]) -> list[Check]:
        """Returns the checks of these slugs and all that they need in turn, the deepest first."""
        by_slug = {check.slug: check for check in self.checks}
        found: dict[str, tuple[str, ...]] = {}
        waiting = [slug for slug in needs if slug in by_slug]
        while waiting:
            slug = waiting.pop()
            if slug not in found:
                found[slug] = by_slug[slug].needs
                waiting += found[slug]
        return [by_slug[slug] for slug in TopologicalSorter(found).static_order()]


def default_path() -> str:
    """Returns the path of this host's catalogue, else of the built-in one."""
    return SYSTEM if os.path.lexists(SYSTEM) else SHIPPED


def load(path: str = "", settings: Settings | None = None, *, obeyed: bool = False) -> Catalog:
    """Returns the catalogue at `path`, by default this host's, else the built-in one.

    It has the checks of the project that the settings are for.
    Raises CatalogError with all its problems, and SettingsError. One that is `obeyed`, not only
    shown, must be a file on this host that only root can change.
    """
    from hcrun.catalog import parse, toml_source  # here, because they need the types above

    settings = settings or Settings.load()
    multiplier, zone = parse.grace_multiplier(settings), parse.usual_zone(settings)
    if obeyed and not path and default_path() == SHIPPED:
        hint = "write one with hcctl init, or give --catalog FILE; the built-in one is an example"
        raise CatalogError("this host has no catalogue", where=SYSTEM, hint=hint)
    path = path or default_path()
    if obeyed and path != SHIPPED and (refusal := refused(path, f"{_INSTALL} {path} {SYSTEM}")):
        raise CatalogError(refusal[0], where=path, hint=refusal[1])
    source = toml_source.read(path)
    off = [kind for kind, switch in SWITCHES.items() if not settings.flag(switch, True)]
    catalog = parse.parse_catalog(source, multiplier, zone, off)
    source.raise_problems()
    environment = settings.get(ENVIRONMENT)
    if environment and environment not in catalog.environments and path != SHIPPED:
        hint = f"choose one of {', '.join(catalog.environments)}" if catalog.environments else ""
        what = f"{path} has no environment {environment}"
        raise SettingsError(what, where=ENVIRONMENT, hint=hint or "unset it")
    return replace(catalog, checks=catalog.projects.get(environment, catalog.checks))
