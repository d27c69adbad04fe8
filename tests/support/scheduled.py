"""Checks that are run by cron or systemd, and catalogues of them."""

from typing import Any

from hcrun.catalog import Catalog, Check
from hcrun.catalog.schedule import Every, Schedule
from tests.support.catalogs import a_check


def check(slug: str, schedule: Schedule | int, *command: str, **more: Any) -> Check:
    """A number is a period in seconds."""
    schedule = Every(schedule) if isinstance(schedule, int) else schedule
    usual: dict[str, Any] = {"name": slug.title(), "grace": 120}
    return a_check(slug, **(usual | more), schedule=schedule, command=command)


def catalog(*checks: Check) -> Catalog:
    return Catalog("checks.toml", checks, {}, {}, {})
