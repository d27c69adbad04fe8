"""The catalogue, checks.toml: what is checked, how often, by what command, and who is alerted.

All limits of the server are checked here, before any call. docs/catalogue.md lists the keys.
"""

import os

from hcrun.catalog import parse, toml_source
from hcrun.catalog.model import (
    ENVIRONMENT_TAG,
    MARKER,
    TIER_TAG,
    Catalog,
    Channel,
    Check,
    Environment,
    Slo,
    Tier,
)
from hcrun.settings import Settings

__all__ = [
    "ENVIRONMENT_TAG",
    "MARKER",
    "SHIPPED",
    "SYSTEM",
    "TIER_TAG",
    "Catalog",
    "Channel",
    "Check",
    "Environment",
    "Slo",
    "Tier",
    "default_path",
    "load",
]

SYSTEM = "/etc/hcrun/checks.toml"
SHIPPED = os.path.join(os.path.dirname(os.path.dirname(__file__)), "checks.toml")


def default_path() -> str:
    """Returns the path of this host's catalogue, else of the built-in one."""
    return SYSTEM if os.path.lexists(SYSTEM) else SHIPPED


def load(path: str = "", settings: Settings | None = None) -> Catalog:
    """Returns the catalogue at `path`, by default this host's, else the built-in one.

    Raises CatalogError with all its problems, and SettingsError.
    """
    multiplier = parse.grace_multiplier(settings or Settings.load())
    source = toml_source.read(path or default_path())
    catalog = parse.parse_catalog(source, multiplier)
    source.raise_problems()
    return catalog
