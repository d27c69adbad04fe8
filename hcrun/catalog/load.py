"""Finds checks.toml and reads it."""

from __future__ import annotations

import os

from hcrun.catalog import parse, toml_source
from hcrun.catalog.model import Catalog
from hcrun.settings import Settings

SYSTEM = "/etc/hcrun/checks.toml"
SHIPPED = os.path.join(os.path.dirname(os.path.dirname(__file__)), "checks.toml")


def default_path() -> str:
    """This host's catalogue, else the shipped one."""
    return SYSTEM if os.path.lexists(SYSTEM) else SHIPPED


def load(path: str = "", settings: Settings | None = None) -> Catalog:
    """The catalogue at `path`; without one that of this host, else the shipped one.

    Raises CatalogError, whose `problems` are all that is wrong with it, and SettingsError.
    """
    multiplier = parse.multiplier(settings or Settings.load())
    source = toml_source.read(path or default_path())
    catalog = parse.catalog(source, multiplier)
    source.check()
    return catalog
