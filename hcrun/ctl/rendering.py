"""What `hcctl render` and `hcctl install` share: options, and the files made of the catalogue."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import click

from hcrun import catalog as catalogs
from hcrun.catalog import Catalog
from hcrun.ctl.options import select, use_project
from hcrun.errors import HcrunError, UsageError
from hcrun.reports.checks import Selection
from hcrun.schedulers import crontab, systemd
from hcrun.schedulers.invocation import Rendered
from hcrun.schedulers.managed_files import stamped

_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_@=,.+-]+)+")  # it is in PATH, and in units unquoted


@dataclass(frozen=True)
class Kind:
    """A scheduler that files are made for."""

    render: Callable[[Catalog, str], Rendered]
    directory: str  # of its files
    patterns: tuple[str, ...]  # of the names of our files

    def present(self, directory: str) -> list[str]:
        """Returns the names of the files in `directory` that may be ours."""
        return [
            str(path.relative_to(directory))
            for pattern in self.patterns
            for path in sorted(Path(directory).glob(pattern))
        ]


_UNITS = (systemd.TARGET, "hcrun-*@*.service", "hcrun-*@*.timer")
_DROP_INS = f"hcrun-*@*.service.d/{systemd.DROP_IN}"
KINDS = {
    "crontab": Kind(crontab.render, "/etc/cron.d", (crontab.NAME,)),
    "systemd": Kind(systemd.render, "/etc/systemd/system", (*_UNITS, _DROP_INS)),
}


def find_hcrun() -> str:
    """Returns the absolute path of hcrun. Raises HcrunError."""
    places = [os.path.dirname(sys.argv[0]), os.path.dirname(sys.executable)]
    path = os.pathsep.join([*filter(None, places), os.environ.get("PATH", os.defpath)])
    found = shutil.which("hcrun", path=path)
    if not found:
        raise HcrunError("hcrun is neither beside hcctl nor in PATH", hint="give --hcrun PATH")
    return os.path.abspath(found)


@dataclass(frozen=True)
class Request:
    """The argument and the options that both commands have."""

    kind: str
    hcrun: str  # "" for the one beside hcctl
    catalog: str
    tags: tuple[str, ...]
    tiers: tuple[str, ...]
    environments: tuple[str, ...]

    def render(self, *, obeyed: bool = False) -> tuple[Catalog, Rendered]:
        """Returns the selected part of the catalogue, and its files with their stamps.

        Prints on stderr what was left out. Raises CatalogError and UsageError.
        """
        hcrun = self.hcrun or find_hcrun()
        if not _PLAIN_PATH.fullmatch(hcrun):
            hint = "give one without spaces and quotes"
            raise UsageError(f"{hcrun!r} is not an absolute path", where="--hcrun", hint=hint)
        use_project(self.catalog, self.environments)
        catalog = catalogs.load(self.catalog, obeyed=obeyed)
        chosen = tuple(select(catalog, Selection(self.tags, self.tiers, self.environments)))
        if not any(check.command for check in chosen):
            raise HcrunError("no selected check has a command", where=catalog.path)
        catalog = replace(catalog, checks=chosen)
        rendered = KINDS[self.kind].render(catalog, hcrun)
        for note in rendered.notes:
            click.echo(f"hcctl: {note}", err=True)
        built_in = os.path.samefile(catalog.path, catalogs.SHIPPED)
        source = "hcrun's own checks.toml" if built_in else os.path.abspath(catalog.path)
        for name, text in rendered.files.items():
            rendered.files[name] = stamped(text, source)
        return catalog, rendered
