"""Checks that have only a name: their UUIDs, and those that the server does not have yet."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from hcrun.api.client import HealthchecksClient
from hcrun.catalog import ALL, load
from hcrun.errors import HcrunError
from hcrun.integrations.log import warn
from hcrun.locks import FileLock
from hcrun.paths import directory_of
from hcrun.settings import Settings
from hcrun.sync.plan import wanted

_PATIENCE = 5.0  # seconds for an answer
_DEFAULTS = {"timeout": 86400, "grace": 3600, "tags": "auto-created", "channels": ""}


def uuid_of(slug: str, settings: Settings, new: Mapping[str, Any] | None) -> str:
    """Return the UUID of a check, "" if there is none; a missing one is created as `new`.

    `new` are the fields of a check that the catalogue does not have. Raises HcrunError.
    """
    once = settings.over({"HEALTHCHECKS_RETRY_COUNT": "1"})
    client = HealthchecksClient(timeout=_PATIENCE, _settings=once)
    check = client.get_check(slug)
    if check is None and new is not None:
        with _alone(settings):  # two checks with one slug would answer 409 to each ping
            check = client.get_check(slug)
            if check is None:
                made = client.create_with(_fields(slug, client, settings, new))
                same = client.list_checks(slug=slug)  # another host may have created it, too
                check = min(same, key=lambda each: each.uuid, default=made)
                if check.uuid != made.uuid:
                    client.delete_check(made.uuid)
    return check.uuid if check else ""


def _alone(settings: Settings) -> AbstractContextManager[object]:
    """One process of this host at a time, if they share a journal."""
    try:
        return FileLock(f"{directory_of(settings)}/creation.lock", wait=True)
    except (HcrunError, OSError):
        return nullcontext()


def _fields(
    slug: str, client: HealthchecksClient, settings: Settings, new: Mapping[str, Any]
) -> dict[str, Any]:
    """Those of the catalogue, if it has the check: never all channels unless it says so."""
    try:
        entries = [check for check in load(settings=settings).checks if check.slug == slug]
    except HcrunError as error:
        warn(f"{slug}: the catalogue was not read: {error}")
        entries = []
    for entry in entries:
        there = client.list_channels()
        ids = {channel.name: channel.id for channel in there}
        ids[ALL] = ",".join(ids.values())
        names = tuple(name for name in entry.channels if name in ids)
        return wanted(replace(entry, channels=names), ids)
    warn(
        f"created the check {slug}, which alerts nobody yet: assign channels on its page, and a"
        " period if it runs less often than once a day; or add it to checks.toml and run hcctl sync"
    )
    return {**_DEFAULTS, "slug": slug, **new}
