"""Catalogue and server -> what has to change there. Nothing here asks or tells the server."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hcrun.api.models import RemoteCheck
from hcrun.catalog import MARKER, Check
from hcrun.catalog.schedule import Every
from hcrun.catalog.timezones import same_zone
from hcrun.units import span

# What can be done with a check, and how it is said: before, after.
ACTIONS = {
    "create": ("create", "created"),
    "update": ("update", "updated"),
    "adopt": ("adopt", "adopted"),
    "delete": ("delete", "deleted"),
}
SHORTEST = 60  # seconds; the server takes no shorter period

# What the server calls a field -> what people call it.
_LABELS = {"desc": "description", "timeout": "every", "tz": "zone"}


@dataclass(frozen=True)
class Change:
    """One call. `fields` are what is sent, `differences` what is said: field, before, after."""

    action: Literal["create", "update", "adopt", "delete"]
    slug: str
    uuid: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    differences: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Plan:
    """All that has to change, and what cannot be told or is left alone."""

    changes: tuple[Change, ...]
    unchanged: int
    ambiguous: Mapping[str, int]  # slug -> how many checks of the server have it
    extra: tuple[RemoteCheck, ...]  # made by sync, and no longer in the catalogue
    uuids: Mapping[str, str]  # of the catalogue's checks that the server has, by slug

    @property
    def needs_channels(self) -> bool:
        """Whether a change sends ids of channels."""
        return any("channels" in change.fields for change in self.changes)


def wanted(check: Check, ids: Mapping[str, str]) -> dict[str, Any]:
    """A check of the catalogue as the server takes it; `ids` are those of channels by name.

    What the catalogue does not know (methods, keywords, manual_resume) is not in it, and so
    stays as people have set it.
    """
    fields: dict[str, Any] = {
        "name": check.name,
        "slug": check.slug,
        "tags": " ".join(check.tags),
        "desc": check.description,
        "grace": check.grace,
        "channels": ",".join(sorted(ids[name] for name in check.channels)),
    }
    if isinstance(check.schedule, Every):
        return fields | {"timeout": max(SHORTEST, check.schedule.seconds)}
    return fields | {"schedule": check.schedule.expression, "tz": check.zone}


def differing(fields: Mapping[str, Any], remote: RemoteCheck) -> dict[str, Any]:
    """Those of the fields that say something else than the server has."""
    same = {
        "name": fields["name"] == remote.name,
        "slug": fields["slug"] == remote.slug,
        "tags": set(fields["tags"].split()) == set(remote.tags),
        "desc": fields["desc"] == remote.description,
        "grace": fields["grace"] == remote.grace,
        "channels": set(fields["channels"].split(",")) - {""} == set(remote.channels),
        "timeout": fields.get("timeout") == remote.timeout,
        "schedule": fields.get("schedule") == remote.schedule,
        "tz": same_zone(fields.get("tz", ""), remote.zone),
    }
    return {name: value for name, value in fields.items() if not same[name]}


def compare(
    checks: Iterable[Check],
    remote: Iterable[RemoteCheck],
    ids: Mapping[str, str],
    known: Collection[str] = (),
    prune: bool = False,
) -> Plan:
    """What makes the server's checks those of the catalogue.

    `known` are the slugs of the whole catalogue, when `checks` are only some of it: what it has
    is never extra.
    """
    by_slug: dict[str, list[RemoteCheck]] = {}
    for one in remote:
        by_slug.setdefault(one.slug, []).append(one)
    changes: list[Change] = []
    ambiguous: dict[str, int] = {}
    uuids: dict[str, str] = {}
    unchanged = 0
    slugs = set(known)
    for check in checks:
        slugs.add(check.slug)
        there = by_slug.get(check.slug, [])
        if len(there) > 1:
            ambiguous[check.slug] = len(there)
            continue
        fields = wanted(check, ids)
        if not there:
            changes.append(Change("create", check.slug, "", fields, _said(fields, None, ids)))
            continue
        uuids[check.slug] = there[0].uuid
        different = differing(fields, there[0])
        if different:
            action: Literal["update", "adopt"] = "update" if MARKER in there[0].tags else "adopt"
            said = _said(different, there[0], ids)
            changes.append(Change(action, check.slug, there[0].uuid, different, said))
        else:
            unchanged += 1
    extra = tuple(
        one
        for slug, there in sorted(by_slug.items())
        if slug not in slugs
        for one in there
        if MARKER in one.tags
    )
    if prune:
        changes += [Change("delete", one.slug or one.name, one.uuid) for one in extra]
        extra = ()
    return Plan(tuple(changes), unchanged, ambiguous, extra, uuids)


def _said(
    fields: Mapping[str, Any], before: RemoteCheck | None, ids: Mapping[str, str]
) -> tuple[tuple[str, str, str], ...]:
    names = {value: name for name, value in ids.items()}
    old = _as_fields(before) if before else {}
    return tuple(
        (_LABELS.get(name, name), _word(name, old.get(name), names), _word(name, value, names))
        for name, value in fields.items()
        if name != "slug"
    )


def _as_fields(remote: RemoteCheck) -> dict[str, Any]:
    return {
        "name": remote.name,
        "tags": " ".join(remote.tags),
        "desc": remote.description,
        "grace": remote.grace,
        "channels": ",".join(remote.channels),
        "timeout": remote.timeout,
        "schedule": remote.schedule,
        "tz": remote.zone,
    }


def _word(name: str, value: Any, names: Mapping[str, str]) -> str:
    """A value as people read it, in one line."""
    if value in (None, ""):
        return "none"
    if name in ("grace", "timeout"):
        return span(value)
    if name == "channels":
        return " ".join(sorted(names.get(one, one[:8]) for one in value.split(",")))
    if name == "tags":
        return " ".join(sorted(set(value.split())))
    if name == "desc":
        return f"{len(value)} characters"
    return str(value)
