"""Options that several commands of hcctl share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from hcrun.catalog import Check
from hcrun.errors import HcrunError

F = TypeVar("F", bound=Callable[..., Any])


def catalog_option(command: F) -> F:
    """`--catalog FILE`, as `catalog`; "" where it is not given."""
    return click.option(
        "--catalog",
        metavar="FILE",
        default="",
        help="The catalogue.  [default: /etc/hcrun/checks.toml, else the one that hcrun has]",
    )(command)


def selection_options(command: F) -> F:
    """`--tag`, `--tier` and `--environment`, as `tags`, `tiers` and `environments`."""
    for flag, plural, text in (
        ("--environment", "environments", "Only those of this environment; repeatable."),
        ("--tier", "tiers", "Only those of this tier; repeatable."),
        ("--tag", "tags", "Only checks with this tag; repeated, with all of them."),
    ):
        command = click.option(flag, plural, metavar="NAME", multiple=True, help=text)(command)
    return command


def none_left(selection: Sequence[Sequence[str]]) -> HcrunError:
    """Of what those options, in that order, chose; silence would read as: all is well."""
    flags = ("--tag", "--tier", "--environment")
    told = zip(flags, selection, strict=True)
    given = [f"{flag} {name}" for flag, names in told for name in names]
    hint = "hcctl status without it shows all"
    return HcrunError("there is no such check", where=" ".join(given), hint=hint)


def select(
    checks: Iterable[Check],
    tags: Iterable[str] = (),
    tiers: Iterable[str] = (),
    environments: Iterable[str] = (),
) -> list[Check]:
    """Those with all of the tags, of one of the tiers, and of one of the environments."""
    wanted, tiers, environments = set(tags), set(tiers), set(environments)
    return [
        check
        for check in checks
        if wanted <= set(check.tags)
        and (not tiers or check.tier in tiers)
        and (not environments or check.environment in environments)
    ]
