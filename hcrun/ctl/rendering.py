"""What `hcctl render` and `hcctl install` share: options, and the catalogue made into files."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from hcrun import catalog as catalogs
from hcrun.catalog import Catalog
from hcrun.ctl.options import select
from hcrun.errors import HcrunError, UsageError
from hcrun.schedulers import crontab, systemd
from hcrun.schedulers.invocation import Rendered
from hcrun.schedulers.stamp import stamped

_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_@=,.+-]+)+")  # it is in PATH, and in units unquoted

Selection = tuple[Iterable[str], Iterable[str], Iterable[str]]  # tags, tiers, environments
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kind:
    """What files are made for."""

    render: Callable[[Catalog, str], Rendered]
    directory: str  # where they belong
    names: tuple[str, ...]  # globs of those that may be ours


KINDS = {
    "crontab": Kind(crontab.render, "/etc/cron.d", (crontab.NAME,)),
    "systemd": Kind(
        systemd.render,
        "/etc/systemd/system",
        (
            systemd.TARGET,
            "hcrun-*@*.service",
            "hcrun-*@*.timer",
            f"hcrun-*@*.service.d/{systemd.DROP_IN}",
        ),
    ),
}

kind_argument = click.argument("kind", type=click.Choice(list(KINDS)))


def hcrun_option(command: F) -> F:
    """`--hcrun PATH`, as `hcrun`; "" where it is not given."""
    return click.option(
        "--hcrun",
        metavar="PATH",
        default="",
        help="Where hcrun is on the host that these are for.  [default: the one beside hcctl]",
    )(command)


def find_hcrun() -> str:
    """The absolute path of the hcrun that belongs to this hcctl. Raises HcrunError."""
    places = [os.path.dirname(sys.argv[0]), os.path.dirname(sys.executable)]
    path = os.pathsep.join([*filter(None, places), os.environ.get("PATH", os.defpath)])
    found = shutil.which("hcrun", path=path)
    if not found:
        raise HcrunError("hcrun is neither beside hcctl nor in PATH", hint="give --hcrun PATH")
    return os.path.abspath(found)


def make(kind: Kind, path: str, hcrun: str, selection: Selection) -> tuple[Catalog, Rendered]:
    """The catalogue at `path`, or what is selected of it, and its files, stamped.

    Says on stderr what was left out. Raises CatalogError and UsageError.
    """
    if not _PLAIN_PATH.fullmatch(hcrun):
        raise UsageError(
            f"{hcrun!r} is no absolute path", where="--hcrun", hint="without spaces and the like"
        )
    catalog = catalogs.load(path)
    chosen = tuple(select(catalog, *selection))
    if not any(check.command for check in chosen):
        raise HcrunError("no check with a command is left", where=catalog.path)
    catalog = replace(catalog, checks=chosen)
    rendered = kind.render(catalog, hcrun)
    for note in rendered.notes:
        click.echo(f"hcctl: {note}", err=True)
    ours = os.path.samefile(catalog.path, catalogs.SHIPPED)
    source = "hcrun's own checks.toml" if ours else os.path.abspath(catalog.path)
    for name, text in rendered.files.items():
        rendered.files[name] = stamped(text, source)
    return catalog, rendered


def present(kind: Kind, directory: str) -> list[str]:
    """The names of the files in `directory` that may be ours."""
    return [
        str(path.relative_to(directory))
        for pattern in kind.names
        for path in sorted(Path(directory).glob(pattern))
    ]
