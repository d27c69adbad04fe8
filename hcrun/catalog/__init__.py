"""checks.toml -> Catalog: what is checked, how often, by what, and who hears of it.

Everything that the server limits is checked here, before any call. docs/catalogue.md has the
keys.
"""

from __future__ import annotations

from hcrun.catalog.load import SHIPPED, SYSTEM, default_path, load
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
