"""Joins the checks of the catalogue, the server and the journal, which name them differently."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import ENVIRONMENT_TAG, TIER_TAG, Check, Slo
from hcrun.catalog.schedule import Schedule
from hcrun.errors import HcrunError
from hcrun.journal.maintenance import check_key
from hcrun.ping.target import resolve
from hcrun.reports.lateness import Timing
from hcrun.settings import Settings

T = TypeVar("T", Check, "MonitoredCheck")


@dataclass(frozen=True)
class MonitoredCheck:
    """One check, with what the catalogue, the server and the journal know about it."""

    slug: str  # the name that hcrun uses; for a check that only the server has, its slug or name
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
        """Its unique key on the server, whichever API key is used; "" without a server."""
        remote = self.remote
        return (remote.unique_key or check_key(remote.uuid)) if remote else ""

    @property
    def timing(self) -> Timing | None:
        """The server's, else the catalogue's; None: not known."""
        if self.remote:
            return Timing.of_remote(self.remote)
        return Timing.of_entry(self.entry) if self.entry else None

    @property
    def schedule(self) -> Schedule | None:
        """The catalogue's, by which it runs, else the server's."""
        if self.entry:
            return self.entry.schedule
        return self.timing.schedule if self.timing else None

    def as_json(self) -> dict[str, object]:
        """The keys that identify it in JSON output."""
        return {
            "slug": self.slug,
            "name": self.name,
            "tier": self.tier or None,
            "environment": self.environment or None,
            "tags": list(self.tags),
        }


def join(
    entries: Iterable[Check],
    remotes: Iterable[RemoteCheck] | None,
    recorded: Iterable[str],
    aliases: Mapping[str, str],
    *,
    expected: bool = False,
) -> list[MonitoredCheck]:
    """The checks that the server or the journal has, by tier and name.

    `expected` adds the other checks of the catalogue. `aliases` is the result of `aliases_of`. In a
    fleet, HOST/NAME is the check NAME of the catalogue on that host.
    """
    entries_by_slug = {entry.slug: entry for entry in entries}
    names = set(recorded)
    checks: list[MonitoredCheck] = []
    for remote in remotes or ():
        slug = _slug(remote, names, aliases)
        entry = entries_by_slug.pop(slug, None) or entries_by_slug.pop(remote.slug, None)
        checks.append(_check(slug, entry, remote, slug in names))
    plain = {name: name.rpartition("/")[2] for name in names}
    others = names | (entries_by_slug.keys() - plain.values()) if expected else names
    for slug in others - {check.slug for check in checks}:
        entry = entries_by_slug.get(plain.get(slug, slug))
        checks.append(_check(slug, entry, None, slug in names))
    return sorted(checks, key=lambda check: (tier_order(check.tier), check.slug))


def _slug(remote: RemoteCheck, recorded: set[str], aliases: Mapping[str, str]) -> str:
    """The name of its runs on this host, else the server's slug, else its name."""
    alias = aliases.get(remote.uuid or remote.unique_key, "")
    if alias:
        return alias
    if remote.uuid and remote.uuid[:8] in recorded:  # pinged by its uuid
        return remote.uuid[:8]
    return remote.label


def _check(
    slug: str, entry: Check | None, remote: RemoteCheck | None, recorded: bool
) -> MonitoredCheck:
    source = remote or entry
    tags = source.tags if source else ()
    return MonitoredCheck(
        slug=slug,
        name=(entry.name if entry else "") or (remote.name if remote else "") or slug,
        tier=entry.tier if entry else _tagged(tags, TIER_TAG),
        environment=entry.environment if entry else environment_of(tags),
        tags=tags,
        slo=entry.slo if entry else None,
        entry=entry,
        remote=remote,
        recorded=recorded,
    )


def environment_of(tags: Sequence[str]) -> str:
    """That of a check on the server; "" if its tags do not say."""
    return _tagged(tags, ENVIRONMENT_TAG)


def _tagged(tags: Sequence[str], prefix: str) -> str:
    return next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), "")


def tier_order(tier: str) -> tuple[bool, int, str]:
    """A sort key: 1, 2, 10, then words, then checks without a tier."""
    number = int(tier) if tier.isascii() and tier.isdigit() else 10**9
    return not tier, number, tier


def aliases_of(recorded: Iterable[str], settings: Settings) -> dict[str, str]:
    """The uuid and the unique key of each check that is pinged by uuid -> its recorded name."""
    found: dict[str, str] = {}
    for name in recorded:
        target = resolve(name, settings)
        if target.by_uuid:
            uuid = target.secrets[0]
            found[uuid] = found[check_key(uuid)] = name
    return found


class Selection(NamedTuple):
    """What `--tag`, `--tier` and `--environment` select; empty: everything."""

    tags: tuple[str, ...]
    tiers: tuple[str, ...]
    environments: tuple[str, ...]

    def select(self, checks: Iterable[T]) -> list[T]:
        """The checks that have all of the tags, one of the tiers, and one of the environments."""
        return [
            check
            for check in checks
            if set(self.tags) <= set(check.tags)
            and (not self.tiers or check.tier in self.tiers)
            and (not self.environments or check.environment in self.environments)
        ]

    def no_match(self) -> HcrunError:
        """The error if it selects nothing: silence would read as if all were well."""
        flags = zip(("--tag", "--tier", "--environment"), self, strict=True)
        options = [f"{flag} {name}" for flag, names in flags for name in names]
        hint = "run hcctl status to see all checks"
        return HcrunError("no such check", where=" ".join(options), hint=hint)
