"""Environments that inherit the checks of another one: the same checks, with what differs there."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from hcrun.catalog import Check, Environment, Tier
from hcrun.catalog.check_reader import CheckReader
from hcrun.catalog.toml_source import Table, suggestion
from hcrun.units import seconds

Tables = Mapping[str, Table]
_SCHEDULES = ("every", "cron", "calendar")


def resolve(environments: dict[str, Environment], tables: Tables) -> list[str]:
    """Complete those that inherit; returns their names, after the ones that they inherit from."""
    inheriting = {name: each for name, each in environments.items() if each.inherits}
    for name, each in inheriting.items():
        if each.inherits not in environments:
            hint = suggestion(each.inherits, environments) or "add it"
            what = f"there is no table [environments.{each.inherits}]"
            tables[name].add_problem("inherits", what, hint)
    try:
        found = [
            *TopologicalSorter({n: {e.inherits} for n, e in inheriting.items()}).static_order()
        ]
    except CycleError as error:
        what = f"{' inherits from '.join(error.args[1][::-1])}, a circle"
        tables[error.args[1][0]].add_problem("inherits", what, "remove one of these")
        return []
    names = [name for name in found if name in inheriting]
    for name in names:
        own = environments[name]
        if above := environments.get(own.inherits):
            channels = above.channels if own.channels is None else own.channels
            zone, user = own.zone or above.zone, own.user or above.user
            environments[name] = replace(own, zone=zone, user=user, channels=channels)
    return names


def merged(kind: str, own: Table, inherited: Tables) -> dict[str, Table]:
    """The inherited tables with the keys that [environments.NAME.KIND] replaces."""
    found = dict(inherited)
    for name, table in own.named(kind):
        if name not in inherited:
            hint = suggestion(name, inherited) or "it changes only what is inherited"
            table.add_problem("", f"there is no {name} among the inherited {kind}", hint)
            continue
        values = dict(inherited[name].values)
        if any(key in table.values for key in _SCHEDULES):
            values = {key: value for key, value in values.items() if key not in _SCHEDULES}
        found[name] = Table(table.source, table.keys, {**values, **table.values})
    return found


def inherit(
    names: Iterable[str],
    reader: CheckReader,
    tables: Tables,
    of_tiers: Tables,
    checks: Tables,
    tier: Callable[..., Tier],
) -> tuple[dict[str, Table], list[Check], dict[str, tuple[Check, ...]]]:
    """The tables and the checks that share the project of all, and those of other projects.

    `tables` are those of the environments; `tier` reads one of a tier.
    """
    catalog = reader.catalog
    tiers = dict.fromkeys(catalog.environments, of_tiers)
    of: dict[str, dict[str, Table]] = {name: {} for name in catalog.environments}
    for slug, table in checks.items():
        name = str(table.values.get("environment", reader.environment))
        of.setdefault(name, {})[slug] = table
    shared: list[Check] = []
    shared_tables: dict[str, Table] = {}
    projects: dict[str, tuple[Check, ...]] = {}
    for name in names:
        environment, own = catalog.environments[name], of[name]
        silent = "channels" in tables[name].values
        defaults = {
            slug: _adapted(table, environment, silent)
            for slug, table in of[environment.inherits].items()
        }
        inherited = merged("checks", tables[name], defaults)
        tiers[name] = merged("tiers", tables[name], tiers[environment.inherits])
        of[name] = inherited | own
        variant = copy(reader)
        variant.suffix, variant.suffixed = environment.suffix, inherited
        if not environment.suffix:
            variant.owners = {}
        read = {each: tier(each, table, catalog.channels) for each, table in tiers[name].items()}
        variant.catalog = replace(catalog, tiers=read)
        named = {slug + environment.suffix: table for slug, table in inherited.items()}
        for slug in named.keys() & checks.keys() if environment.suffix else ():
            what = f"with the suffix of {name}, it has the slug of checks.{slug}"
            named[slug].add_problem("", what, "rename one of them, or choose another suffix")
        found = [variant.check(slug, table) for slug, table in named.items()]
        if environment.suffix:
            shared += found
            shared_tables |= named
        else:
            projects[name] = (*found, *(variant.check(slug, own[slug]) for slug in own))
    return shared_tables, shared, projects


def _adapted(table: Table, environment: Environment, silent: bool) -> Table:
    """The check as the environment has it by default."""
    values: dict[str, Any] = {**table.values, "environment": environment.name}
    if silent:  # it has channels of its own
        values.pop("channels", None)
    with suppress(KeyError, ValueError, AttributeError):  # it has none, or the check is wrong
        if environment.every and seconds(values["every"]) < environment.every:
            values["every"] = f"{environment.every}s"
    return Table(table.source, table.keys, values)
