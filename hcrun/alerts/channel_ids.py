"""The ids of channels by name: from the server, or for a day from a note in the state directory.

Checks have ids where the catalogue has names; with the note, a sync that has nothing to change
needs one call. Who renames a channel on the server so that its old name means another one may
wait that day, or run `hcctl channels`.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Collection

from hcrun import files
from hcrun.alerts.channels import Match, match
from hcrun.api.client import HealthchecksClient
from hcrun.catalog import Catalog
from hcrun.errors import ApiError, HcrunError
from hcrun.paths import state_directory

_FILE = "channels.json"
_GOOD_FOR = 86400.0  # seconds


def noted(client: HealthchecksClient, names: Collection[str]) -> dict[str, str] | None:
    """The ids of these names as they were within the last day; None when one is not known."""
    try:
        with open(_path(), encoding="utf-8") as file:
            note = json.load(file)
        ids = dict(note["ids"])
        fresh = note["project"] == client.fingerprint and 0 <= time.time() - note["at"] < _GOOD_FOR
    except (OSError, ValueError, TypeError, KeyError, HcrunError):
        return None
    return ids if fresh and all(isinstance(ids.get(name), str) for name in names) else None


def ask(client: HealthchecksClient, catalog: Catalog) -> list[Match]:
    """What the server has of the catalogue's channels; those that are there are noted."""
    matches = match(catalog, client.channels())
    ids = {one.name: one.found[0].id for one in matches if one.state == "there"}
    note = {"project": client.fingerprint, "at": time.time(), "ids": ids}
    with contextlib.suppress(OSError, HcrunError):  # the next sync asks again
        files.write(_path(), json.dumps(note), 0o600)
    return matches


def usable(matches: list[Match], names: Collection[str]) -> dict[str, str]:
    """The ids of these names. Raises ApiError, with all that is wrong with them."""
    wrong = [one for one in matches if one.name in names and one.trouble]
    if wrong:
        raise ApiError(
            "; ".join(one.trouble for one in wrong),
            hint=" or ".join(dict.fromkeys(one.remedy for one in wrong)) + ". Nothing was changed",
        )
    return {one.name: one.found[0].id for one in matches if one.name in names}


def _path() -> str:
    directory = state_directory()
    os.makedirs(directory, mode=0o700, exist_ok=True)
    return os.path.join(directory, _FILE)
