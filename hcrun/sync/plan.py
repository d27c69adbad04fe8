"""What has to change on the server for its checks to be those of the catalogue. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import ALL, HOLD_TAG, MARKER, Check
from hcrun.catalog.schedule import Every
from hcrun.catalog.timezones import same_zone
from hcrun.units import span

Action = Literal["create", "update", "adopt", "rename", "delete"]
PAST: dict[Action, str] = {
    "create": "created",
    "update": "updated",
    "adopt": "adopted",
    "rename": "renamed",
    "delete": "deleted",
}
SHORTEST = 60  # seconds; the server accepts no shorter period

# The fields whose name in the catalogue differs from the server's.
_LABELS = {"desc": "description", "timeout": "every", "tz": "zone"}


@dataclass(frozen=True)
class Change:
    """One call. `fields` are sent; `differences` are shown, each with field, before and after."""

    action: Action
    slug: str
    uuid: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    differences: tuple[tuple[str, str, str], ...] = ()
    was: str = ""  # the slug that it had before


@dataclass(frozen=True)
class Plan:
    """All changes, and the checks that cannot be changed or are left alone."""

    changes: tuple[Change, ...]
    unchanged: int
    ambiguous: Mapping[str, str]  # the slugs that several checks have, and what to do
    extra: tuple[RemoteCheck, ...]  # created by sync, and no longer in the catalogue
    uuids: Mapping[str, str]  # of the catalogue's checks that the server has, by slug

    @property
    def needs_channels(self) -> bool:
        """Whether a change sends the ids of channels, or takes channels away."""
        return any(
            change.fields.get("channels", "") or (change.uuid and "channels" in change.fields)
            for change in self.changes
        )


def wanted(check: Check, ids: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a check of the catalogue; `ids` are those of channels by name, ALL: of all.

    Fields that the catalogue does not have (methods, keywords, manual_resume) keep their values.
    """
    fields: dict[str, Any] = {
        "name": check.title,
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
    """Those of the fields that differ on the server."""
    before = _fields_of(remote)
    return {name: value for name, value in fields.items() if not _same(name, value, before[name])}


def _fields_of(remote: RemoteCheck) -> dict[str, Any]:
    return {
        "name": remote.name,
        "slug": remote.slug,
        "tags": " ".join(remote.tags),
        "desc": remote.description,
        "grace": remote.grace,
        "channels": ",".join(remote.channels),
        "timeout": remote.timeout,
        "schedule": remote.schedule,
        "tz": remote.zone,
    }


def _same(name: str, value: Any, before: Any) -> bool:
    if name in ("tags", "channels"):  # in any order
        separator = "," if name == "channels" else None
        names = set(value.split(separator)) ^ set(before.split(separator))
        return all(not name or name.startswith(HOLD_TAG) for name in names)
    if name == "tz":
        return same_zone(value, before)
    return bool(value == before)


def compare(
    checks: Iterable[Check],
    remote: Iterable[RemoteCheck],
    ids: Mapping[str, str],
    known: Collection[Check] = (),
    prune: bool = False,
) -> Plan:
    """What has to change for the server's checks to be those of the catalogue.

    `known` are all checks of the catalogue if `checks` are only some of them: no check of the
    server that is one of them is extra.
    """
    by_slug: dict[str, list[RemoteCheck]] = {}
    for existing in remote:
        by_slug.setdefault(existing.slug, []).append(existing)
    changes: list[Change] = []
    ambiguous: dict[str, str] = {}
    uuids: dict[str, str] = {}
    unchanged = 0
    wanted_checks = list(checks)
    # The slug on the server of each check: the former one until it is renamed.
    slugs = {
        check.slug: check.was if check.was in by_slug and check.slug not in by_slug else check.slug
        for check in (*known, *wanted_checks)
    }
    for check in wanted_checks:
        slug = check.slug
        there = by_slug.get(slugs[slug], [])
        if len(there) > 1:
            ambiguous[slug] = (
                f"{len(there)} checks of the server have this slug, so its pings answer 409;"
                " give all but one another slug"
            )
            continue
        fields = wanted(check, ids)
        if not there:
            changes.append(Change("create", slug, "", fields, _differences(fields, None, ids)))
            continue
        existing = there[0]
        uuids[slug] = existing.uuid
        different = differing(fields, existing)
        if different:
            action: Action = "update" if MARKER in existing.tags else "adopt"
            if "slug" in different:
                action = "rename"
            texts = _differences(different, existing, ids)
            was = existing.slug if action == "rename" else ""
            changes.append(Change(action, slug, existing.uuid, different, texts, was))
        else:
            unchanged += 1
    extra = [
        check
        for slug, there in sorted(by_slug.items())
        for check in there
        if slug not in slugs.values() and MARKER in check.tags
    ]
    if prune:
        changes += [Change("delete", check.label, check.uuid) for check in extra]
        extra = []
    return Plan(tuple(changes), unchanged, ambiguous, tuple(extra), uuids)


def _differences(
    fields: Mapping[str, Any], before: RemoteCheck | None, ids: Mapping[str, str]
) -> tuple[tuple[str, str, str], ...]:
    """Each field with its old and new value, and the schedule of the other kind that is lost."""
    names = {one: name for name, value in ids.items() if name != ALL for one in value.split(",")}
    old = _fields_of(before) if before else {}
    kinds = {"timeout": ("schedule", "tz"), "schedule": ("timeout",)}
    lost = [name for new in kinds if new in fields for name in kinds[new] if old.get(name)]
    after = dict(fields) | dict.fromkeys(lost, "")
    return tuple(
        (_LABELS.get(name, name), _text(name, old.get(name), names), _text(name, value, names))
        for name, value in after.items()
        if name != "slug" or before
    )


def _text(name: str, value: Any, names: Mapping[str, str]) -> str:
    """A value for people, in one line."""
    if value in (None, ""):
        return "none"
    if name in ("grace", "timeout"):
        return span(value)
    if name == "channels":
        return " ".join(sorted({names.get(one, one[:8]) for one in value.split(",")}))
    if name == "tags":
        return " ".join(sorted(set(value.split())))
    return str(value)
