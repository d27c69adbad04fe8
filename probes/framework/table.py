"""The tables of the probes: tables/NAME.toml has the help, the options and the thresholds of one.

A table names what it shares with others: in `options` another table, whose help and options come
too; in `thresholds` one of COMMON.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import click

from hcrun.units import size
from probes.framework.options import (
    FILE,
    Argument,
    Option,
    Threshold,
    duration,
    names,
    positive,
    text_or_file,
)
from probes.framework.texts import text_of, unwrapped

# People notice half a second. A slow answer is an answer: it is never CRITICAL by default.
LATENCY = Threshold("latency", "s", "500ms", "off", "time to answer")
# Automatic renewal happens 30 days before the end, so it has failed.
CERTIFICATE = Threshold("certificate", "s", "14d:", "3d:", "time until the certificate expires")
COMMON = {each.name: each for each in (LATENCY, CERTIFICATE)}
TYPES: Mapping[str, Any] = {
    "int": int,
    "file": FILE,
    "names": names,
    "duration": duration,
    "size": positive(size),
    "text": text_or_file,
}
METAVARS = {"names": "NAME,...", "duration": "DURATION"}  # by type

Types = Mapping[str, Callable[[str], Any]]  # of one probe alone, by flag
Callbacks = Mapping[str, Callable[[click.Context, click.Parameter, Any], Any]]


class Table(NamedTuple):
    summary: str  # for the help: what the probe checks, and which variables hold the secrets
    options: Sequence[Option | Argument] = ()
    thresholds: Sequence[Threshold] = ()


def table(
    name: str, types: Types = MappingProxyType({}), callbacks: Callbacks = MappingProxyType({})
) -> Table:
    """The table of a probe. `types` and `callbacks` are those that only code can give."""
    content = _load(name)
    summary = [content["about"]]
    options = list(_options(content, summary, types, callbacks))
    thresholds = [
        COMMON[row] if isinstance(row, str) else Threshold(**row)
        for row in content.get("thresholds", ())
    ]
    return Table(unwrapped("\n".join(summary)), options, thresholds)


def _options(
    content: Mapping[str, Any], summary: list[str], types: Types, callbacks: Callbacks
) -> Iterator[Option | Argument]:
    for row in content.get("options", ()):
        if isinstance(row, str):
            shared = _load(row)
            summary += filter(None, [shared.get("about")])
            yield from _options(shared, summary, types, callbacks)
        elif argument := row.get("argument"):
            yield Argument([argument], envvar=row["variable"])
        else:
            flag = row["flag"]
            yield _option(**row, own=types.get(flag), callback=callbacks.get(flag))


def _option(flag: str, variable: str, type: str = "", own: Any = None, **more: Any) -> Option:  # noqa: A002 - as in the tables
    """An option, whose help names its variable. `1..100` is the type of a count."""
    if type in METAVARS:
        more["metavar"] = METAVARS[type]
    minimum, is_range, maximum = type.partition("..")
    if choices := more.pop("choices", ()):
        own = click.Choice(choices, more.pop("case_sensitive", True))
    elif is_range:
        own = click.IntRange(int(minimum), int(maximum) if maximum else None)
    return Option([flag], envvar=variable, show_envvar=True, type=own or TYPES.get(type), **more)


def _load(name: str) -> dict[str, Any]:
    return tomllib.loads(text_of(f"tables/{name}.toml"))
