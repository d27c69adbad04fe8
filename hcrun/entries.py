"""The tables of checks.toml -> what hcrun.catalog has of them. What is wrong is noted there."""

from __future__ import annotations

import math
import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hcrun import commands, schedule
from hcrun.catalog import (
    ENVIRONMENT_TAG,
    MARKER,
    TIER_TAG,
    Catalog,
    Channel,
    Check,
    Environment,
    Slo,
    Tier,
)
from hcrun.errors import SettingsError
from hcrun.settings import Settings
from hcrun.tables import Source, Table, nearest, shown, text
from hcrun.target import is_uuid

LEVELS = ("info", "warning", "critical", "emergency")
# The server's limits.
LEAST, MOST = 60, 31536000  # seconds of a period or a grace
LONGEST_NAME, LONGEST_SLUG, LONGEST_TAGS = 100, 100, 500
# Ours: what a mail can hold.
LONGEST_DESCRIPTION = 5000
# Of channels, as the server names them.
KINDS = (
    *("apprise", "call", "discord", "email", "github", "googlechat", "gotify", "group", "matrix"),
    *("mattermost", "msteamsw", "ntfy", "opsgenie", "pagertree", "pd", "po", "pushbullet"),
    *("rocketchat", "shell", "signal", "slack", "sms", "spike", "telegram", "trello"),
    *("victorops", "webhook", "whatsapp", "zulip"),
)
_SLUG = re.compile(r"[a-z0-9_][a-z0-9_-]*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_SETTING = re.compile(r"[A-Z][A-Z0-9_]*")
_SECRET_NAME = re.compile(r"(?:^|_)(?:key|token|password|secret|auth)$")
# A URL with a password or of a webhook, or a long word of letters and digits.
_SECRET_VALUE = re.compile(
    r"://[^/\s]*@|hooks?[./]|(?=[\w-]*[0-9])(?=[\w-]*[A-Za-z])[\w-]{24,}", re.ASCII
)
_ZONES = {"Factory", "localtime", "posixrules"}  # files beside the zones
_ACTIONS = {"logs": "Logs", "restart": "Restart", "dependencies": "Depends on"}


def multiplier(settings: Settings) -> float:
    """How many periods the grace is, where none is given. Raises SettingsError."""
    name = "HEALTHCHECKS_GRACE_MULTIPLIER"
    words = settings.get(name, "2")
    try:
        value = float(words)
        if not 0 < value <= 1000:  # neither is NaN
            raise ValueError
    except ValueError:
        raise SettingsError(
            f"{shown(words)} is no number above 0, and 1000 at most", where=name, hint="2 is usual"
        ) from None
    return value


def catalog(source: Source, multiplier: float) -> Catalog:
    """The whole file. Where `source` has problems afterwards, the catalogue is of no use."""
    root = source.root
    channels = {
        name: channel
        for name, table in _named(root, "channels")
        if (channel := _channel(name, table))
    }
    tiers = {name: _tier(name, table, channels) for name, table in _named(root, "tiers")}
    environments = {
        name: _environment(name, table, channels) for name, table in _named(root, "environments")
    }
    reader = _Checks(source, multiplier, tiers, environments, channels, root.table("defaults"))
    checks = tuple(
        check for slug, table in _named(root, "checks") if (check := reader.check(slug, table))
    )
    root.done()
    return Catalog(source.path, checks, tiers, environments, channels)


def _named(root: Table, key: str) -> list[tuple[str, Table]]:
    found = root.table(key)
    return list(found.tables()) if found else []


def _channel(name: str, table: Table) -> Channel | None:
    if (
        len(name) > LONGEST_NAME
        or "," in name
        or not name.strip().isprintable()
        or not name.strip()
    ):
        table.complain("", "is no name of a channel", "100 characters at most, and no comma")
    kind = table.text("kind")
    if not kind:
        if "kind" not in table.values:
            table.complain("kind", "is missing", 'as kind = "email"')
        return None
    if kind not in KINDS:
        table.complain("kind", f"{shown(kind)} is none{nearest(kind, KINDS)}", "as email or slack")
    options = {key: _option(table, key) for key in table.values if key != "kind"}
    return Channel(name, kind, options)


def _option(table: Table, key: str) -> str:
    """Never shows the value: it may be a secret."""

    def parse(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, str) or not value.strip().isprintable() or not value.strip():
            raise ValueError("is neither text nor true or false; put it in quotes")
        value = value.strip()
        if key.endswith("_secret"):
            if not _SETTING.fullmatch(value):
                raise ValueError(
                    "is no name of a setting; write it like SLACK_WEBHOOK_URL, and the secret"
                    " itself into that variable or file"
                )
        elif _SECRET_NAME.search(key) or _SECRET_VALUE.search(value):
            raise ValueError(
                "looks like a secret; put it into a setting, and the setting's name here, as"
                f' {key}_secret = "{table.keys[-1].upper().replace("-", "_")}_{key.upper()}"'
            )
        return str(value)

    return table.parsed(key, parse) or ""


def _tier(name: str, table: Table, channels: dict[str, Channel]) -> Tier:
    _label(name, table)
    tier = Tier(
        name,
        table.parsed("level", _level) or "info",
        _channels(table, channels) or (),
        table.duration("grace", LEAST, MOST),
        table.parsed("slo", _slo),
    )
    table.done()
    return tier


def _environment(name: str, table: Table, channels: dict[str, Channel]) -> Environment:
    _label(name, table)
    environment = Environment(
        name,
        table.parsed("zone", _zone) or "",
        table.parsed("user", _user) or "",
        _channels(table, channels),
    )
    table.done()
    return environment


def _label(name: str, table: Table) -> None:
    """Of a tier or an environment: it becomes a tag."""
    try:
        _tag(name)
    except ValueError as error:
        what, _, hint = str(error).partition("; ")
        table.complain("", what, hint)


def _channels(table: Table, channels: dict[str, Channel]) -> tuple[str, ...] | None:
    found = table.texts("channels")
    for name in found or ():
        if name not in table.source.root.values.get("channels", {}):
            near = nearest(name, channels)
            table.complain("channels", f"there is no [channels.{name}]{near}", "add it")
    return None if found is None else tuple(dict.fromkeys(found))


def _level(value: Any) -> str:
    word = text(value)
    if word not in LEVELS:
        raise ValueError(f"{shown(word)} is no level; it is one of {', '.join(LEVELS)}")
    return word


def _slo(value: Any) -> Slo:
    """`{availability = 99.95}` or `{success = 95}`"""
    right = "write it like {availability = 99.95} or {success = 95}"
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"is not one promise; {right}")
    [(kind, percent)] = value.items()
    if isinstance(percent, bool) or not isinstance(percent, int | float):
        raise ValueError(f"{shown(percent)} is no number; {right}")
    if not (math.isfinite(percent) and 0 < percent <= 100):
        raise ValueError(f"{shown(percent)} is not above 0 and 100 at most; it is in per cent")
    if kind == "availability":
        return Slo("availability", float(percent))
    if kind == "success":
        return Slo("success", float(percent))
    raise ValueError(f"{shown(kind)} is nothing to promise; {right}")


def _zone(value: Any) -> str:
    name = text(value)
    try:
        if name not in _ZONES and not name.startswith(("posix/", "right/")):
            ZoneInfo(name)
            return name
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory
        pass
    raise ValueError(f"{shown(name)} is no time zone; write it like Europe/Riga or UTC")


def _user(value: Any) -> str:
    name = text(value)
    if not _USER.fullmatch(name):
        raise ValueError(f"{shown(name)} can be no user's name; see adduser(8)")
    return name


def _tag(value: Any) -> str:
    word = text(value, LONGEST_TAGS)
    if "," in word or word != "".join(word.split()):
        raise ValueError(f"{shown(word)} is no tag; it has a space or a comma in it")
    return word


def _tags(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f'{shown(value)} is no list; write it like ["one", "two"]')
    found = tuple(_tag(each) for each in value)
    for tag in found:
        if tag == MARKER or tag.startswith((TIER_TAG, ENVIRONMENT_TAG)):
            raise ValueError(f"{shown(tag)} is given by hcctl itself; leave it out")
    return found


class _Checks:
    """Reads checks one after the other, and sees what two of them may not share."""

    def __init__(
        self,
        source: Source,
        multiplier: float,
        tiers: dict[str, Tier],
        environments: dict[str, Environment],
        channels: dict[str, Channel],
        defaults: Table | None,
    ) -> None:
        self.source = source
        self.multiplier = multiplier
        self.tiers = tiers
        self.environments = environments
        self.channels = channels
        self.names: dict[str, str] = {}  # name -> slug
        self.variables: dict[str, str] = {}  # HC_CHECK_<NAME> -> slug
        table = defaults or Table(source, ("defaults",), {})
        self.tier = self._choice(table, "tier", tiers)
        self.environment = self._choice(table, "environment", environments)
        self.zone = table.parsed("zone", _zone) or "UTC"
        self.user = table.parsed("user", _user) or ""
        self.tags = table.parsed("tags", _tags) or ()
        self.options = table.parsed("options", commands.hcrun_options) or ()
        table.done()

    def check(self, slug: str, table: Table) -> Check | None:
        self._slug(slug, table)
        tier = self.tiers.get(self._choice(table, "tier", self.tiers) or self.tier)
        environment = self.environments.get(
            self._choice(table, "environment", self.environments) or self.environment
        )
        when = _schedule(table)
        timeout = table.duration("timeout", 1, MOST)
        command = table.parsed("command", commands.words) or ()
        grace = self._grace(table, tier, timeout, when)
        slo = table.parsed("slo", _slo)
        channels = _channels(table, self.channels)
        if channels is None and environment:
            channels = environment.channels
        if channels is None:
            channels = tier.channels if tier else ()
        check = Check(
            slug=slug,
            name=self._name(slug, table),
            schedule=when or schedule.Every(LEAST),
            zone=table.parsed("zone", _zone) or (environment and environment.zone) or self.zone,
            grace=grace,
            timeout=timeout,
            description=_description(table),
            tags=self._all_tags(table, tier, environment),
            tier=tier.name if tier else "",
            environment=environment.name if environment else "",
            command=command,
            options=self._options(table, command),
            user=self._user(table, command, environment),
            slo=slo or (tier.slo if tier else None),
            channels=channels,
            line=table.line,
        )
        if not command and "command" not in table.values and timeout:
            table.complain("timeout", "ends nothing without a command", "leave it out")
        table.done()
        return check if when else None

    def _choice(self, table: Table, key: str, known: dict[str, Any]) -> str:
        name = table.text(key)
        if name and name not in known:
            table.complain(key, f"there is no [{key}s.{name}]{nearest(name, known)}", "add it")
        return name

    def _slug(self, slug: str, table: Table) -> None:
        if not _SLUG.fullmatch(slug) or len(slug) > LONGEST_SLUG:
            hint = "a-z, 0-9, - and _, no - at its beginning, 100 characters at most"
            table.complain("", f"{shown(slug)} is no name of a check", hint)
        elif is_uuid(slug):
            table.complain("", "looks like a UUID, and would be pinged as one", "take another name")
        variable = slug.upper().replace("-", "_")
        if (other := self.variables.setdefault(variable, slug)) != slug:
            hint = "rename one of them"
            table.complain("", f"shares HC_CHECK_{variable} with [checks.{other}]", hint)

    def _name(self, slug: str, table: Table) -> str:
        name = table.text("name", slug, LONGEST_NAME)
        if (other := self.names.setdefault(name, slug)) != slug:
            table.complain("name", f"{shown(name)} is that of [checks.{other}] too", "change one")
        return name

    def _all_tags(
        self, table: Table, tier: Tier | None, environment: Environment | None
    ) -> tuple[str, ...]:
        tags = [*self.tags, *(table.parsed("tags", _tags) or ())]
        tags += [TIER_TAG + tier.name] if tier else []
        tags += [ENVIRONMENT_TAG + environment.name] if environment else []
        tags = list(dict.fromkeys([*tags, MARKER]))
        if (length := len(" ".join(tags))) > LONGEST_TAGS:
            table.complain(
                "tags", f"have {length} characters in all", f"{LONGEST_TAGS} is the most"
            )
        return tuple(tags)

    def _grace(
        self, table: Table, tier: Tier | None, timeout: int | None, when: schedule.Schedule | None
    ) -> int:
        """As given; else the tier's, else so many periods; never under the time-out then.

        Once start pings are sent, the grace is the longest time that a run may take, too.
        """
        given = table.duration("grace", LEAST, MOST)
        least = max(LEAST, timeout or 0)
        if given is not None:
            if given < least:
                hint = "a run may take as long as the grace: make it longer than the time-out"
                table.complain("grace", f"{given} s is under the time-out of {timeout} s", hint)
            return given
        usual = tier.grace if tier else None
        if usual is None:
            usual = math.ceil(self.multiplier * schedule.period(when)) if when else LEAST
        return min(max(usual, least), MOST)

    def _options(self, table: Table, command: tuple[str, ...]) -> tuple[str, ...]:
        own = table.parsed("options", commands.hcrun_options) or ()
        if own and not command:
            table.complain("options", "are for a command, and there is none", "leave them out")
        return (*self.options, *own) if command else ()

    def _user(self, table: Table, command: tuple[str, ...], environment: Environment | None) -> str:
        own = table.parsed("user", _user)
        if own and not command:
            table.complain("user", "is for a command, and there is none", "leave it out")
        return (own or (environment and environment.user) or self.user) if command else ""


def _schedule(table: Table) -> schedule.Schedule | None:
    every = table.duration("every", 1, MOST)
    found = [
        None if every is None else schedule.Every(every),
        table.parsed("cron", lambda value: schedule.cron(text(value))),
        table.parsed("calendar", lambda value: schedule.calendar(text(value))),
    ]
    given = [key for key in ("every", "cron", "calendar") if key in table.values]
    if len(given) > 1:
        table.complain(given[1], f"there is {given[0]} too", "one of them is enough")
    if not given:
        hint = 'as every = "5m", cron = "*/5 * * * *" or calendar = "*:0/5"'
        table.complain("", "does not say when it runs", hint)
    return next((each for each in found if each), None)


def _description(table: Table) -> str:
    """With the actions that somebody takes who was woken up by it."""
    parts = [table.text("description", most=LONGEST_DESCRIPTION, more="\n\t")]
    actions = {label: table.text(key, most=LONGEST_NAME * 5) for key, label in _ACTIONS.items()}
    parts += ["\n".join(f"{label}: {words}" for label, words in actions.items() if words)]
    return "\n\n".join(part for part in parts if part)
