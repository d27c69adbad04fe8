"""The channels of the catalogue: which the server has, and their ids.

Checks have ids of channels where the catalogue has names. The ids are cached for a day in the
state directory, so that a sync without changes needs one call. After renaming channels on the
server so that an old name now means another one, run `hcctl channels`.
"""

import contextlib
import json
import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from hcrun import files
from hcrun.api.client import HealthchecksClient
from hcrun.api.models import RemoteChannel
from hcrun.catalog import Catalog
from hcrun.errors import HcrunError
from hcrun.paths import state_directory

State = Literal["there", "missing", "ambiguous", "kind differs"]
_CACHE = "channels.json"
_CACHE_TIME = 86400.0  # seconds


@dataclass(frozen=True)
class Match:
    """A channel of the catalogue, and the channels of the server with its name."""

    name: str
    kind: str
    found: tuple[RemoteChannel, ...]
    state: State = "there"
    trouble: str = ""  # why it cannot be used
    remedy: str = ""


def match(catalog: Catalog, remote: Iterable[RemoteChannel]) -> list[Match]:
    """All channels of the catalogue, in its order."""
    by_name: dict[str, list[RemoteChannel]] = {}
    for channel in remote:
        by_name.setdefault(channel.name, []).append(channel)
    return [
        _match(name, channel.kind, tuple(by_name.get(name, ())))
        for name, channel in catalog.channels.items()
    ]


def _match(name: str, kind: str, found: tuple[RemoteChannel, ...]) -> Match:
    if not found:
        trouble = f"the server has no channel {name} ({kind})"
        remedy = "create it in the web interface, or with hcctl channels bootstrap"
        return Match(name, kind, found, "missing", trouble, remedy)
    if len(found) > 1:
        trouble = f"the server has {len(found)} channels named {name}"
        remedy = "rename all but one of them in the web interface"
        return Match(name, kind, found, "ambiguous", trouble, remedy)
    if found[0].kind != kind:
        trouble = f"channel {name} is {found[0].kind} on the server, not {kind}"
        remedy = "rename one of them, or correct its kind in the catalogue"
        return Match(name, kind, found, "kind differs", trouble, remedy)
    return Match(name, kind, found)


def cached_ids(client: HealthchecksClient, names: Collection[str]) -> dict[str, str] | None:
    """The ids of these names if all are in the cache, else None."""
    try:
        with open(_cache_path(), encoding="utf-8") as file:
            cache = json.load(file)
        ids = dict(cache["ids"])
        age = time.time() - cache["at"]
        valid = cache["project"] == client.fingerprint and 0 <= age < _CACHE_TIME
    except (OSError, ValueError, TypeError, KeyError, HcrunError):
        return None
    return ids if valid and all(isinstance(ids.get(name), str) for name in names) else None


def ask(client: HealthchecksClient, catalog: Catalog) -> list[Match]:
    """Compare the channels with the server's, and cache the ids of those that are there."""
    return compare(client, catalog, client.channels())


def compare(
    client: HealthchecksClient, catalog: Catalog, remote: Iterable[RemoteChannel]
) -> list[Match]:
    """As `ask`, with the server's channels."""
    matches = match(catalog, remote)
    ids = {one.name: one.found[0].id for one in matches if one.state == "there"}
    cache = {"project": client.fingerprint, "at": time.time(), "ids": ids}
    with contextlib.suppress(OSError, HcrunError):  # the next sync asks again
        files.write(_cache_path(), json.dumps(cache), 0o600)
    return matches


def remedies(matches: Iterable[Match]) -> str:
    return " or ".join(dict.fromkeys(one.remedy for one in matches))


def _cache_path() -> str:
    directory = state_directory()
    os.makedirs(directory, mode=0o700, exist_ok=True)
    return os.path.join(directory, _CACHE)
