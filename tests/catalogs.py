"""Checks and catalogues built by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hcrun.catalog import Catalog, Check
from hcrun.schedule import Every, Schedule


def check(slug: str, schedule: Schedule | int, *command: str, **more: Any) -> Check:
    """A number is a period in seconds."""
    schedule = Every(schedule) if isinstance(schedule, int) else schedule
    given: dict[str, Any] = {
        "name": slug.title(),
        "zone": "UTC",
        "grace": 120,
        "command": command,
    } | more
    return Check(slug=slug, schedule=schedule, **given)


def catalog(*checks: Check) -> Catalog:
    return Catalog("checks.toml", checks, {}, {}, {})


def write(path: Path, text: str) -> str:
    """A catalogue file, without channels; its name."""
    path.write_text(text)
    return str(path)
