"""The channels of the catalogue: which the server has, and their ids.

Checks have ids of channels where the catalogue has names. The ids are cached for a day in the
state directory, so that a sync without changes needs one call. After renaming channels on the
server so that an old name now means another one, run `hcctl channels`.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from hcrun import files
from hcrun.api.client import HealthchecksClient
from hcrun.api.models import Channel as RemoteChannel
from hcrun.catalog import Catalog
from hcrun.errors import HcrunError
from hcrun.paths import state_directory

State = Literal["there", "missing", "ambiguous", "kind differs", "failing"]
REMEDY = "correct it, and see hcctl channels test"
_FURTHER = re.compile(r"(.+) \((\S+@\S+|\+[0-9]+)\)")  # "email (b@example.com)"
_CACHE = "channels.json"
_CACHE_TIME = 86400.0  # seconds


@dataclass(frozen=True)
class Match:
    """A channel of the catalogue, and those of the server: with its name, or a further address."""

    name: str
    kind: str
    found: tuple[RemoteChannel, ...]
    state: State = "there"
    trouble: str = ""  # why it cannot be used
    remedy: str = ""
    sent: str = ""  # when it last sent an alert, or never; "" if that is not known

    @property
    def ids(self) -> str:
        """As a check has them: separated by commas."""
        return ",".join(channel.id for channel in self.found)


def match(catalog: Catalog, remote: Iterable[RemoteChannel]) -> list[Match]:
    """All channels of the catalogue, in its order."""
    by_name: dict[str, list[RemoteChannel]] = {}
    for channel in remote:
        further = None if channel.name in catalog.channels else _FURTHER.fullmatch(channel.name)
        by_name.setdefault(further[1] if further else channel.name, []).append(channel)
    return [
        _match(name, channel.kind, by_name.get(name, []))
        for name, channel in catalog.channels.items()
    ]


def _match(name: str, kind: str, channels: list[RemoteChannel]) -> Match:
    found = tuple(one for one in channels if one.name == name)
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
    further = (one for one in channels if one.name != name and one.kind == kind)
    return Match(name, kind, (*found, *further))


def with_state(match: Match, states: Mapping[str, tuple[str, str]]) -> Match:
    """The same with its last alert; in trouble if that of one of its addresses is."""
    known = [(one.name, *states[one.id]) for one in match.found if one.id in states]
    match = replace(match, sent=max((sent for _, sent, _ in known), default=""))
    failing = [f"channel {name} {trouble}" for name, _, trouble in known if trouble]
    if failing and not match.trouble:
        return replace(match, state="failing", trouble=failing[0], remedy=REMEDY)
    return match


def cached_ids(client: HealthchecksClient, names: Collection[str]) -> dict[str, str] | None:
    """The ids of these names if all are in the cache, else None."""
    try:
        with open(_cache_path(), encoding="utf-8") as file:
            cache = json.load(file)
        ids = dict(cache["ids"])
        age = time.time() - cache["at"]
        valid = cache["project"] == client.connect().fingerprint and 0 <= age < _CACHE_TIME
    except (OSError, ValueError, TypeError, KeyError, HcrunError):
        return None
    return ids if valid and all(isinstance(ids.get(name), str) for name in names) else None


def ask(
    client: HealthchecksClient, catalog: Catalog, remote: Iterable[RemoteChannel] | None = None
) -> list[Match]:
    """Compare the channels with the server's, and cache the ids of those that are there."""
    matches = match(catalog, client.list_channels() if remote is None else remote)
    ids = {one.name: one.ids for one in matches if one.state == "there"}
    cache = {"project": client.connect().fingerprint, "at": time.time(), "ids": ids}
    with contextlib.suppress(OSError, HcrunError):  # the next sync asks again
        files.write(_cache_path(), json.dumps(cache), 0o600)
    return matches


def remedies(matches: Iterable[Match]) -> str:
    return " or ".join(dict.fromkeys(one.remedy for one in matches))


def _cache_path() -> str:
    directory = state_directory()
    os.makedirs(directory, mode=0o700, exist_ok=True)
    return os.path.join(directory, _CACHE)
