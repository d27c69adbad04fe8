"""Catalogue, server and journal each know checks by a name of their own: who is who."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hcrun.api.models import RemoteCheck
from hcrun.catalog import Catalog, Check, Slo
from hcrun.errors import HcrunError
from hcrun.journal.maintenance import check_key
from hcrun.ping.target import resolve
from hcrun.settings import Settings

_TIER, _ENVIRONMENT = "tier:", "env:"


@dataclass(frozen=True)
class MonitoredCheck:
    """One check, as far as each of the three knows it."""

    slug: str  # what hcrun calls it; on the server's side only, its slug or its name
    name: str
    tier: str
    environment: str
    tags: tuple[str, ...]
    slo: Slo | None
    entry: Check | None  # in the catalogue
    remote: RemoteCheck | None  # on the server
    recorded: bool  # in this host's journal

    @property
    def key(self) -> str:
        """What the server calls it whatever key is used; "" when the server has none."""
        remote = self.remote
        return (remote.unique_key or check_key(remote.uuid)) if remote else ""

    def plain(self) -> dict[str, object]:
        """Which one it is, for programs."""
        return {
            "slug": self.slug,
            "name": self.name,
            "tier": self.tier or None,
            "environment": self.environment or None,
            "tags": list(self.tags),
        }


def join(
    catalog: Catalog | None,
    remotes: Iterable[RemoteCheck] | None,
    recorded: Iterable[str],
    aliases: Mapping[str, str],
    *,
    expected: bool = False,
) -> list[MonitoredCheck]:
    """Checks that the server or the journal knows, by tier and name; `expected`: also the others
    of the catalogue. `aliases` as `pinged_as` gives them.
    """
    entries = {check.slug: check for check in catalog.checks} if catalog else {}
    names = set(recorded)
    subjects: list[MonitoredCheck] = []
    for remote in remotes or ():
        slug = _slug(remote, names, aliases)
        entry = entries.pop(slug, None) or entries.pop(remote.slug, None)
        subjects.append(_subject(slug, entry, remote, slug in names))
    told = {subject.slug for subject in subjects}
    others = names | entries.keys() if expected else names
    for slug in sorted(others - told):
        subjects.append(_subject(slug, entries.get(slug), None, slug in names))
    return sorted(subjects, key=lambda subject: (order(subject.tier), subject.slug))


def _slug(remote: RemoteCheck, recorded: set[str], aliases: Mapping[str, str]) -> str:
    """The name that this host's runs of it have, else the server's slug, else its name."""
    ours = aliases.get(remote.uuid or remote.unique_key, "")
    if ours:
        return ours
    if remote.uuid and remote.uuid[:8] in recorded:  # pinged by its uuid
        return remote.uuid[:8]
    return remote.slug or remote.name or remote.uuid[:8] or remote.unique_key[:8]


def _subject(
    slug: str, entry: Check | None, remote: RemoteCheck | None, recorded: bool
) -> MonitoredCheck:
    tags = remote.tags if remote else entry.tags if entry else ()
    return MonitoredCheck(
        slug=slug,
        name=(entry.name if entry else "") or (remote.name if remote else "") or slug,
        tier=entry.tier if entry else _tagged(tags, _TIER),
        environment=entry.environment if entry else _tagged(tags, _ENVIRONMENT),
        tags=tags,
        slo=entry.slo if entry else None,
        entry=entry,
        remote=remote,
        recorded=recorded,
    )


def _tagged(tags: Sequence[str], prefix: str) -> str:
    return next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), "")


def order(tier: str) -> tuple[bool, int, str]:
    """1, 2, 10, then words, then those without a tier."""
    number = int(tier) if tier.isascii() and tier.isdigit() else 10**9
    return not tier, number, tier


def pinged_as(recorded: Iterable[str], settings: Settings) -> dict[str, str]:
    """uuid and unique key of a check -> the name under which its runs are recorded."""
    found: dict[str, str] = {}
    for name in recorded:
        target = resolve(name, settings)
        if target.by_uuid:
            uuid = target.secrets[0]
            found[uuid] = found[check_key(uuid)] = name
    return found


def chosen(
    subjects: Iterable[MonitoredCheck],
    tags: Collection[str] = (),
    tiers: Collection[str] = (),
    environments: Collection[str] = (),
) -> list[MonitoredCheck]:
    """Those with all of the tags, of one of the tiers, and of one of the environments."""
    return [
        subject
        for subject in subjects
        if set(tags) <= set(subject.tags)
        and (not tiers or subject.tier in tiers)
        and (not environments or subject.environment in environments)
    ]


def none_left(selection: Sequence[Sequence[str]]) -> HcrunError:
    """Of what those options, in that order, chose; silence would read as: all is well."""
    flags = ("--tag", "--tier", "--environment")
    told = zip(flags, selection, strict=True)
    given = [f"{flag} {name}" for flag, names in told for name in names]
    hint = "hcctl status without it shows all"
    return HcrunError("there is no such check", where=" ".join(given), hint=hint)
