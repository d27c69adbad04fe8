"""The tables of checks.toml -> what hcrun.catalog has of them. What is wrong is noted there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from hcrun.catalog import schedule, values
from hcrun.catalog.model import (
    ENVIRONMENT_TAG,
    MARKER,
    TIER_TAG,
    Catalog,
    Channel,
    Check,
    Environment,
    Tier,
)
from hcrun.catalog.toml_source import Source, Table, dotted, nearest, shown, text, what_and_hint
from hcrun.errors import SettingsError
from hcrun.settings import Settings

# The server's limits.
LEAST, MOST = 60, 31536000  # seconds of a period or a grace
# Ours: what a mail can hold.
LONGEST_DESCRIPTION = 5000
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
    channels = {name: _channel(name, table) for name, table in root.named("channels")}
    tiers = {name: _tier(name, table, channels) for name, table in root.named("tiers")}
    environments = {
        name: _environment(name, table, channels) for name, table in root.named("environments")
    }
    around = Catalog(source.path, (), tiers, environments, channels)
    defaults = root.table("defaults") or Table(source, ("defaults",), {})
    reader = _Checks(around, multiplier, defaults)
    checks = tuple(reader.check(slug, table) for slug, table in root.named("checks"))
    root.done()
    return replace(around, checks=checks)


def _channel(name: str, table: Table) -> Channel:
    if not name.strip() or not name.isprintable() or "," in name or len(name) > values.LONGEST_NAME:
        table.complain("", "is no name of a channel", "no comma, and 100 characters at most")
    if "kind" not in table.values:
        table.complain("kind", "is missing", 'as kind = "email"')
    kind = table.parsed("kind", values.kind) or ""
    options = {}
    for key in table.values:
        if key.endswith("_secret"):
            options[key] = table.parsed(key, values.setting) or ""
        elif key != "kind":
            read = partial(values.channel_option, key=key, channel=name)
            options[key] = table.parsed(key, read) or ""
    return Channel(name, kind, options)


def _tier(name: str, table: Table, channels: dict[str, Channel]) -> Tier:
    _label(name, table)
    tier = Tier(
        name,
        table.parsed("level", values.level) or "info",
        _channels(table, channels) or (),
        table.duration("grace", LEAST, MOST),
        table.parsed("slo", values.slo),
    )
    table.done()
    return tier


def _environment(name: str, table: Table, channels: dict[str, Channel]) -> Environment:
    _label(name, table)
    environment = Environment(
        name,
        table.parsed("zone", values.zone) or "",
        table.parsed("user", values.user) or "",
        _channels(table, channels),
    )
    table.done()
    return environment


def _label(name: str, table: Table) -> None:
    """Of a tier or an environment: it becomes a tag."""
    try:
        values.tag(name)
    except ValueError as error:
        table.complain("", *what_and_hint(error))


def _channels(table: Table, channels: dict[str, Channel]) -> tuple[str, ...] | None:
    found = table.texts("channels")
    for name in found or ():
        _must_be(name, channels, table, "channels")
    return None if found is None else tuple(dict.fromkeys(found))


def _must_be(name: str, known: Iterable[str], table: Table, key: str) -> None:
    """One of the known channels, tiers or environments."""
    if name not in known:
        place = dotted(key if key.endswith("s") else f"{key}s", name)
        near = nearest(name, known)
        others = f", or take one of {', '.join(known)}" if known and not near else ""
        table.complain(key, f"there is no [{place}]{near}", f"add it{others}")


class _Checks:
    """Reads checks one after the other, and sees what two of them may not share."""

    def __init__(self, around: Catalog, multiplier: float, defaults: Table) -> None:
        """`around`: the catalogue, still without checks."""
        self.around = around
        self.multiplier = multiplier
        self.names: dict[str, str] = {}  # name -> slug
        self.variables: dict[str, str] = {}  # HC_CHECK_<NAME> -> slug
        self.tier = self._choice(defaults, "tier", around.tiers)
        self.environment = self._choice(defaults, "environment", around.environments)
        self.zone = defaults.parsed("zone", values.zone) or "UTC"
        self.user = defaults.parsed("user", values.user) or ""
        self.tags = defaults.parsed("tags", values.tags) or ()
        self.options = defaults.parsed("options", values.hcrun_options) or ()
        defaults.done()

    def check(self, slug: str, table: Table) -> Check:
        around = self.around
        tier = around.tiers.get(self._choice(table, "tier", around.tiers) or self.tier)
        named = self._choice(table, "environment", around.environments) or self.environment
        environment = around.environments.get(named, Environment(""))
        when = _schedule(table)
        timeout = table.duration("timeout", 1, MOST)
        command = table.parsed("command", values.words) or ()
        options = table.parsed("options", values.hcrun_options) or ()
        user = table.parsed("user", values.user) or environment.user or self.user
        channels = _channels(table, around.channels)
        if channels is None:
            channels = environment.channels
        if channels is None:
            channels = tier.channels if tier else ()
        self._slug(slug, table)
        if "command" not in table.values:
            for key in {"timeout", "options", "user"} & set(table.values):
                hint = "leave it out, or give the command"
                table.complain(key, "is for a command, and there is none", hint)
        check = Check(
            slug=slug,
            name=self._name(slug, table),
            schedule=when or schedule.Every(LEAST),
            zone=table.parsed("zone", values.zone) or environment.zone or self.zone,
            grace=self._grace(table, tier, timeout, when),
            timeout=timeout,
            description=_description(table),
            tags=self._all_tags(table, tier, environment),
            tier=tier.name if tier else "",
            environment=environment.name,
            command=command,
            options=(*self.options, *options) if command else (),
            user=user if command else "",
            slo=table.parsed("slo", values.slo) or (tier.slo if tier else None),
            channels=channels,
            line=table.line,
        )
        table.done()
        return check

    def _choice(self, table: Table, key: str, known: Iterable[str]) -> str:
        name = table.text(key)
        if name:
            _must_be(name, known, table, key)
        return name

    def _slug(self, slug: str, table: Table) -> None:
        if not values.is_slug(slug):
            hint = "use a-z, 0-9, _ and -, not - at the start, at most 100 characters and no UUID"
            table.complain("", f"{shown(slug)} is not a valid slug", hint)
        variable = slug.upper().replace("-", "_")
        if (other := self.variables.setdefault(variable, slug)) != slug:
            hint = "rename one of them"
            table.complain("", f"shares HC_CHECK_{variable} with checks.{other}", hint)

    def _name(self, slug: str, table: Table) -> str:
        name = table.text("name", slug, values.LONGEST_NAME)
        if (other := self.names.setdefault(name, slug)) != slug:
            table.complain("name", f"{shown(name)} is that of checks.{other} too", "change one")
        return name

    def _all_tags(
        self, table: Table, tier: Tier | None, environment: Environment
    ) -> tuple[str, ...]:
        tags = [*self.tags, *(table.parsed("tags", values.tags) or ())]
        tags += [TIER_TAG + tier.name] if tier else []
        tags += [ENVIRONMENT_TAG + environment.name] if environment.name else []
        tags = list(dict.fromkeys([*tags, MARKER]))
        if (length := len(" ".join(tags))) > values.LONGEST_TAGS:
            table.complain(
                "tags", f"have {length} characters in all", f"{values.LONGEST_TAGS} is the most"
            )
        return tuple(tags)

    def _grace(
        self, table: Table, tier: Tier | None, timeout: int | None, when: schedule.Schedule | None
    ) -> int:
        """As given; else the tier's, else so many periods; never under the time-out then.

        Once start pings are sent, the grace is the longest time that a run may take, too.
        """
        given = table.duration("grace", LEAST, MOST)
        minimum = max(LEAST, timeout or 0)
        if given is not None:
            if given < minimum:
                hint = "a run may take as long as the grace: make it longer than the time-out"
                table.complain("grace", f"{given} s is under the time-out of {timeout} s", hint)
            return given
        usual = tier.grace if tier else None
        if usual is None:
            usual = math.ceil(self.multiplier * schedule.period(when)) if when else LEAST
        return min(max(usual, minimum), MOST)


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
    parts = [table.text("description", maximum=LONGEST_DESCRIPTION, more="\n\t")]
    actions = {
        label: table.text(key, maximum=values.LONGEST_NAME * 5) for key, label in _ACTIONS.items()
    }
    parts += ["\n".join(f"{label}: {words}" for label, words in actions.items() if words)]
    return "\n\n".join(part for part in parts if part)
