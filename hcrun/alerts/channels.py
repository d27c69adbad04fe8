"""Channels of the catalogue against those of the server: which are there, and as what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hcrun.api.models import RemoteChannel
from hcrun.catalog import Catalog

State = Literal["there", "missing", "ambiguous", "kind differs"]
MAKE_THEM = "make it in the web interface, or with hcctl channels bootstrap"


@dataclass(frozen=True)
class Match:
    """A channel of the catalogue, and what the server has under its name."""

    name: str
    kind: str
    state: State
    found: tuple[RemoteChannel, ...]

    @property
    def trouble(self) -> str:
        """Why it cannot be used; "" when it can."""
        if self.state == "missing":
            return f"the server has no channel {self.name} ({self.kind})"
        if self.state == "ambiguous":
            return f"the server has {len(self.found)} channels called {self.name}"
        if self.state == "kind differs":
            return f"channel {self.name} is {self.found[0].kind} on the server, not {self.kind}"
        return ""

    @property
    def remedy(self) -> str:
        if self.state == "ambiguous":
            return "rename all but one of them in the web interface"
        if self.state == "kind differs":
            return "rename one of them, or correct its kind in the catalogue"
        return MAKE_THEM if self.state == "missing" else ""


def match(catalog: Catalog, remote: Iterable[RemoteChannel]) -> list[Match]:
    """All channels of the catalogue, in its order."""
    by_name: dict[str, list[RemoteChannel]] = {}
    for one in remote:
        by_name.setdefault(one.name, []).append(one)
    matches = []
    for name, channel in catalog.channels.items():
        found = tuple(by_name.get(name, ()))
        matches.append(Match(name, channel.kind, _state(channel.kind, found), found))
    return matches


def _state(kind: str, found: tuple[RemoteChannel, ...]) -> State:
    if not found:
        return "missing"
    if len(found) > 1:
        return "ambiguous"
    return "there" if found[0].kind == kind else "kind differs"
