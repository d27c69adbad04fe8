"""Time zones under several names: servers replace old names, as Europe/Kiev by Europe/Kyiv."""

from __future__ import annotations

import os
from functools import cache
from zoneinfo import TZPATH, ZoneInfo


def same_zone(one: str, other: str) -> bool:
    """Whether both names mean the same rules, so that no schedule can tell them apart."""
    return one == other or _rules(one) == _rules(other)


@cache
def _rules(name: str) -> bytes:
    try:
        ZoneInfo(name)  # refuses what is no name of a zone
        for directory in TZPATH:
            path = os.path.join(directory, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    return file.read()
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        pass
    return name.encode("utf-8", "replace")
