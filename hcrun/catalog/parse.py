"""Makes the Catalog from the tables of checks.toml. Problems are added to the Source."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from graphlib import CycleError, TopologicalSorter

from hcrun.catalog import Catalog, Channel, Check, Environment, Tier, values
from hcrun.catalog.check_reader import MAXIMUM, MINIMUM, CheckReader, channels_of, dampening_of
from hcrun.catalog.inheritance import completed, inherit
from hcrun.catalog.toml_source import Source, Table, suggestion, toml_key, toml_value, what_and_hint
from hcrun.errors import SettingsError
from hcrun.settings import Settings

DRILLS = ("alert", "outage", "restore", "load")  # the commands of `hcctl drill`


def grace_multiplier(settings: Settings) -> float:
    """Returns how many periods the default grace is. Raises SettingsError."""
    name = "HEALTHCHECKS_GRACE_MULTIPLIER"
    words = settings.get(name, "2")
    try:
        value = float(words)
        if not 0 < value <= 1000:  # also rejects NaN, because every comparison with it is false
            raise ValueError
    except ValueError:
        what = f"{toml_value(words)} is not a number above 0 and up to 1000"
        raise SettingsError(what, where=name, hint="the default is 2") from None
    return value


def usual_zone(settings: Settings) -> str:
    """Returns the time zone of checks whose catalogue names none. Raises SettingsError."""
    name = "HEALTHCHECKS_TIMEZONE"
    try:
        return values.zone(settings.get(name, "UTC"))
    except ValueError as error:
        what, hint = what_and_hint(error)
        raise SettingsError(what, where=name, hint=hint) from None


def parse_catalog(
    source: Source, multiplier: float, zone: str = "UTC", off: Iterable[str] = ()
) -> Catalog:
    """Returns the catalogue, which is valid only if `source` has no problems afterwards."""
    root = source.root
    channels = {name: _channel(name, table, off) for name, table in root.named("channels")}
    of_tiers = dict(root.named("tiers"))
    tiers = {name: _tier(name, table, channels) for name, table in of_tiers.items()}
    of_environments = dict(root.named("environments"))
    environments = {
        name: _environment(name, table, channels)
        for name, table in completed(of_environments).items()
    }
    drills = _drills(root.table("drills"))
    without_checks = Catalog(source.path, (), tiers, environments, channels, drills=drills)
    defaults = root.table("defaults") or Table(source, ("defaults",), {})
    reader = CheckReader(without_checks, multiplier, zone, defaults)
    tables = dict(root.named("checks"))
    checks = [reader.check(slug, table) for slug, table in tables.items()]
    projects: dict[str, tuple[Check, ...]] = {}
    if not source.problems:  # each would be found again
        more, inherited, projects = inherit(reader, of_environments, of_tiers, tables, _tier)
        tables |= more
        checks += inherited
    _check_former_slugs(checks, tables)
    _check_needs({check.slug: check.needs for check in checks}, tables)
    for found in projects.values():
        _check_needs({check.slug: check.needs for check in found}, tables)
    root.check_keys()
    on = {name: channel for name, channel in channels.items() if not channel.is_off}
    return replace(without_checks, checks=tuple(checks), channels=on, projects=projects)


def _channel(name: str, table: Table, off: Iterable[str]) -> Channel:
    if not name.strip() or not name.isprintable() or "," in name or len(name) > values.LONGEST_NAME:
        table.add_problem("", "invalid channel name", "use at most 100 characters and no comma")
    if "kind" not in table.values:
        table.add_problem("kind", "is missing", 'add kind = "email"')
    kind = table.read("kind", values.kind) or ""
    options = {}
    for key in table.values:
        if key.endswith("_secret"):
            options[key] = table.read(key, values.setting) or ""
        elif key != "kind":
            read = partial(values.channel_option, key=key, channel=name)
            options[key] = table.read(key, read) or ""
    if kind == "webhook":
        table.read("body", lambda _: values.webhook_body(options["body"]))
    return Channel(name, kind, options, kind in off)


def _tier(name: str, table: Table, channels: dict[str, Channel]) -> Tier:
    _check_label(name, table)
    level = table.read("level", values.level) or "info"
    channel_names = channels_of(table, channels) or ()
    grace = table.duration("grace", MINIMUM, MAXIMUM)
    slo = table.read("slo", values.slo)
    dampening = dampening_of(table)
    table.check_keys()
    return Tier(name, level, channel_names, grace, slo, dampening)


def _environment(name: str, table: Table, channels: dict[str, Channel]) -> Environment:
    _check_label(name, table)
    zone, user = table.read("zone", values.zone) or "", table.read("user", values.user) or ""
    channel_names = channels_of(table, channels)
    inherits = table.text("inherits")
    suffix = table.text("suffix")
    table.duration("every", 1, MAXIMUM)
    env_file = table.text("env_file")
    for key in ("suffix", "every", "checks", "tiers"):
        if table.read(key, lambda value: value) is not None and not inherits:
            hint = 'add inherits = "production" or remove this'
            table.add_problem(key, "is for an environment that inherits", hint)
    if env_file and not env_file.startswith("/"):
        table.add_problem("env_file", "is not an absolute path", "begin it with /")
    table.check_keys()
    return Environment(name, zone, user, channel_names, inherits, suffix, env_file)


def _drills(table: Table | None) -> dict[str, str]:
    if table is None:
        return {}
    for name in table.values:
        words = table.text(name).split()
        if not words or words[0] not in DRILLS or (len(words) < 2 and words[0] != "restore"):
            table.add_problem(name, "is not a drill", 'write it like "alert redis"')
    return {name: str(value) for name, value in table.values.items()}


def _check_label(name: str, table: Table) -> None:
    """Checks the name of a tier or an environment, which becomes a tag."""
    try:
        values.tag(name)
    except ValueError as error:
        table.add_problem("", *what_and_hint(error))


def _check_former_slugs(checks: Iterable[Check], tables: dict[str, Table]) -> None:
    owners: dict[str, str] = {}
    for check in checks:
        was, slug = check.was, check.slug
        if not was:
            continue
        if not values.is_slug(was):
            tables[slug].add_problem("was", f"{toml_value(was)} is not a slug", "write its old one")
        elif was in tables:
            tables[slug].add_problem("was", f"there still is a check {was}", "remove one of them")
        elif (other := owners.setdefault(was, slug)) != slug:
            tables[slug].add_problem("was", f"checks.{other} has it, too", "remove one of them")


def _check_needs(needs: dict[str, tuple[str, ...]], tables: dict[str, Table]) -> None:
    """Adds a problem for each need that is no check, and one for a circle of needs."""
    for slug, slugs in needs.items():
        for need in slugs:
            if need not in needs:
                what = f"there is no table [{toml_key('checks', need)}]"
                hint = suggestion(need, needs) or "add it, or remove the need"
                tables[slug].add_problem("needs", what, hint)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]
        what = f"{' needs '.join(circle)}, a circle"
        tables[circle[0]].add_problem("needs", what, "remove one of these needs")
