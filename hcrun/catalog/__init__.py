"""The catalogue, checks.toml: what is checked, how often, by what command, and who is alerted.

All limits of the server are checked here, before any call. docs/catalogue.md lists the keys.
"""

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
from hcrun.catalog.reader import SHIPPED, SYSTEM, default_path, load

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
