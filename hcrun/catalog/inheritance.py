"""Environments that inherit the checks of another one: the same checks, with what differs there."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import replace

from hcrun.catalog import Check, Tier
from hcrun.catalog.check_reader import CheckReader
from hcrun.catalog.toml_source import Table, suggestion
from hcrun.units import seconds

Tables = Mapping[str, Table]
_SCHEDULES = ("every", "cron", "calendar")
_OF_ALL = ("zone", "user", "channels")


def completed(tables: Tables) -> dict[str, Table]:
    """The tables of the environments, with what they inherit of one."""
    found = dict(tables)
    for name, table in tables.items():
        given = table.values.get("inherits")
        above = tables.get(given) if isinstance(given, str) else None
        if above and "inherits" not in above.values:
            of_all = {key: above.values[key] for key in _OF_ALL if key in above.values}
            found[name] = Table(table.source, table.keys, {**of_all, **table.values})
        elif given is not None:
            hint = f"inherit from one of {', '.join(n for n in tables if n != name)}"
            what = "it inherits, too" if above else f"there is no environment {given}"
            table.add_problem("inherits", what, suggestion(str(given), tables) or hint)
    return found


def inherit(
    reader: CheckReader, tables: Tables, of_tiers: Tables, checks: Tables, tier: Callable[..., Tier]
) -> tuple[dict[str, Table], list[Check], dict[str, tuple[Check, ...]]]:
    """The tables and the checks that share the project of all, and those of other projects.

    `tables` are those of the environments as they are written; `tier` reads one of a tier.
    """
    shared: list[Check] = []
    shared_tables: dict[str, Table] = {}
    projects: dict[str, tuple[Check, ...]] = {}
    of: dict[str, dict[str, Table]] = {name: {} for name in tables}
    for slug, table in checks.items():
        of.setdefault(str(table.values.get("environment", reader.environment)), {})[slug] = table
    for name, environment in reader.catalog.environments.items():
        if not environment.inherits:
            continue
        above = {
            slug: _adapted(one, tables[name]) for slug, one in of[environment.inherits].items()
        }
        inherited = _replaced("checks", tables[name], above)
        variant, suffix = copy(reader), environment.suffix
        variant.suffix, variant.suffixed = suffix, inherited
        variant.owners = reader.owners if suffix else {}
        tiers = _replaced("tiers", tables[name], of_tiers)
        read = {each: tier(each, one, reader.catalog.channels) for each, one in tiers.items()}
        variant.catalog = replace(reader.catalog, tiers=read)
        named = {slug + suffix: table for slug, table in inherited.items()}
        for slug in named.keys() & checks.keys() if suffix else ():
            what = f"with the suffix of {name}, it has the slug of checks.{slug}"
            named[slug].add_problem("", what, "rename one of them, or choose another suffix")
        named = named if suffix else named | of[name]
        found = tuple(variant.check(slug, table) for slug, table in named.items())
        if suffix:
            shared += found
            shared_tables |= named
        else:
            projects[name] = found
    return shared_tables, shared, projects


def _adapted(table: Table, environment: Table) -> Table:
    """A check as the environment has it by default."""
    values = {**table.values, "environment": environment.keys[-1]}
    if "channels" in environment.values:
        values.pop("channels", None)
    with suppress(KeyError, ValueError, AttributeError):  # there is none, or it is wrong
        if seconds(values["every"]) < seconds(environment.values["every"]):
            values["every"] = environment.values["every"]
    return Table(table.source, table.keys, values)


def _replaced(kind: str, own: Table, inherited: Tables) -> dict[str, Table]:
    """The inherited tables with the keys that [environments.NAME.KIND] replaces."""
    found = dict(inherited)
    for name, table in own.named(kind):
        values = dict(inherited[name].values) if name in inherited else {}
        if name not in inherited:
            hint = suggestion(name, inherited) or "it changes only what is inherited"
            table.add_problem("", f"there is no {name} among the inherited {kind}", hint)
        elif any(key in table.values for key in _SCHEDULES):
            values = {key: value for key, value in values.items() if key not in _SCHEDULES}
        found[name] = Table(table.source, table.keys, {**values, **table.values})
    return found
