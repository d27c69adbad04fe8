"""Options that several commands of hcctl share."""

import os
import sys
from collections.abc import Collection, Iterable

import click

from hcrun.catalog import ENVIRONMENT, Catalog, Check, load
from hcrun.catalog.toml_source import suggestion
from hcrun.ctl.table import options
from hcrun.errors import HcrunError, UsageError
from hcrun.reports.checks import Selection
from hcrun.settings import CHECK_PREFIX, PREFIX, Settings
from hcrun.text import listed

# `--catalog FILE`, as `catalog`; the default is "".
catalog_option = options("catalog")
# `--tag`, `--tier` and `--environment`, as `tags`, `tiers` and `environments`.
selection_options = options("selection")


def use_project(path: str, environments: Collection[str]) -> None:
    """Use the settings of the project of the environment that --environment names.

    Raises UsageError for several, of which one has a project of its own.
    """
    if not environments:
        return
    present, loaded = Settings.load().get(ENVIRONMENT), load(path)
    known = [loaded.environments[name] for name in environments if name in loaded.environments]
    own = [each.name for each in known if each.env_file or each.name in loaded.projects]
    if own and len(set(environments)) > 1:
        what = f"{own[0]} has a project of its own"
        raise UsageError(what, where="--environment", hint="name one environment at a time")
    for environment in known[:1]:
        if environment.env_file and environment.name != present:
            for name in tuple(os.environ):
                if name.startswith((PREFIX, CHECK_PREFIX)) or name == "CREDENTIALS_DIRECTORY":
                    del os.environ[name]
            os.environ["HCRUN_ENV_FILE"] = environment.env_file
            if problems := Settings.load().problems:
                raise HcrunError(problems[0])
        os.environ[ENVIRONMENT] = environment.name


def select(catalog: Catalog, selection: Selection) -> list[Check]:
    """The selected checks. Raises UsageError for a name that the catalogue does not have."""
    _must_be("--tag", selection.tags, {tag for check in catalog.checks for tag in check.tags})
    _must_be("--tier", selection.tiers, catalog.tiers)
    _must_be("--environment", selection.environments, catalog.environments)
    return selection.select(catalog.checks)


def _must_be(option: str, given: Iterable[str], known: Collection[str]) -> None:
    for name in sorted(given):
        if name not in known:
            others = f"it has {listed(sorted(known))}" if known else ""
            hint = suggestion(name, known) or others
            raise UsageError(f"{name!r} is not in the catalogue", where=option, hint=hint)


def confirm(question: str, doing: str) -> None:
    """Ask at the terminal before `doing` something. Raises UsageError without one."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"not a terminal: add --yes to {doing} without asking")
    click.confirm(question, abort=True, err=True)
