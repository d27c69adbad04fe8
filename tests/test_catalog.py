"""checks.toml: what it may say, and the whole line for each thing that it may not."""

from __future__ import annotations

from hcrun import catalog


def test_the_shipped_catalogue_loads() -> None:
    assert len(catalog.load(catalog.SHIPPED).checks) == 29
