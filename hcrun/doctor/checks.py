"""The checks of the server, compared with the catalogue and with the longest runs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from hcrun.alerts.channels import match
from hcrun.api.models import Channel as RemoteChannel
from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import SHIPPED, Catalog, Check
from hcrun.doctor.finding import Finding, any_of, finding, ok
from hcrun.sync.plan import differing, wanted

# The fields that decide when an alert is sent, and to whom.
_COMPARED = {"timeout", "schedule", "tz", "grace", "channels"}


def evaluate(
    catalog: Catalog,
    checks: Sequence[RemoteCheck],
    channels: Sequence[RemoteChannel] | None,
    longest: Mapping[str, float],
) -> list[Finding]:
    """`channels` is None if the key does not show them; `longest` is in seconds, by slug."""
    counts = Counter(check.slug for check in checks if check.slug)
    return [
        *evaluate_catalog(catalog, checks),
        *any_of("duplicates", sorted(slug for slug, n in counts.items() if n > 1)),
        *evaluate_status(checks),
        *evaluate_filters(checks),
        *evaluate_grace(catalog, checks, longest),
        *evaluate_channels(catalog, checks, channels),
        *evaluate_drift(catalog, checks, channels),
    ]


def in_use(catalog: Catalog, checks: Iterable[RemoteCheck]) -> bool:
    """Whether this host uses the catalogue: the shipped one only if the server has its checks."""
    slugs = {check.slug for check in checks}
    return catalog.path != SHIPPED or any(check.slug in slugs for check in catalog.checks)


def evaluate_catalog(catalog: Catalog, checks: Sequence[RemoteCheck]) -> Iterator[Finding]:
    if not catalog.checks:
        return
    slugs = {check.slug for check in checks}
    missing = [check.slug for check in catalog.checks if check.slug not in slugs]
    total = len(catalog.checks)
    if not in_use(catalog, checks):
        yield finding("no-catalogue-in-use")
    elif missing:
        counts = {"number": len(missing), "total": total}
        yield finding("missing-checks", names=missing, path=catalog.path, **counts)
    else:
        yield ok(f"all {total} checks of {catalog.path} exist on the server")


def evaluate_status(checks: Sequence[RemoteCheck]) -> Iterator[Finding]:
    """Checks that cannot alert, because they expect no ping."""
    found: dict[str, list[str]] = {}
    for check in checks:
        name = ""
        if check.status == "new":
            name = "resumed" if check.pings else "never-pinged"
        elif check.status == "paused":
            name = "paused-by-hand" if check.manual_resume else "paused"
        found.setdefault(name, []).append(check.label)
    for name in ("never-pinged", "resumed", "paused-by-hand", "paused"):
        yield from any_of(name, found.get(name, []))


def evaluate_filters(checks: Sequence[RemoteCheck]) -> Iterator[Finding]:
    """Checks whose keywords change the meaning of a ping; methods=POST suits hcrun."""
    filtered = [
        f"{check.label} ({', '.join(filter(None, check.keywords)) or 'no keywords'})"
        for check in checks
        if check.keywords is not None
    ]
    yield from any_of("keywords", filtered)


def evaluate_grace(
    catalog: Catalog, checks: Iterable[RemoteCheck], longest: Mapping[str, float]
) -> Iterator[Finding]:
    """The grace time is also the longest time that a run may take, once start pings are sent."""
    lines = {check.slug: check.line for check in catalog.checks}
    for check in checks:
        seconds = max(longest.get(check.slug, 0.0), check.last_duration or 0.0)
        if not check.slug or seconds <= check.grace:
            continue
        fix = "raise the grace time on the check's page"
        if line := lines.get(check.slug):
            fix = f"raise grace in {catalog.path} line {line}, then hcctl sync"
        known = {"slug": check.slug, "grace": check.grace}
        yield finding("short-grace", seconds=seconds, fix=fix, **known)


def evaluate_channels(
    catalog: Catalog, checks: Sequence[RemoteCheck], channels: Sequence[RemoteChannel] | None
) -> Iterator[Finding]:
    if channels is None:
        yield finding("unseen-channels")
        return
    if not channels:
        yield finding("no-channels")
        return
    yield from any_of("mute", [check.label for check in checks if not check.channels])
    if in_use(catalog, checks):
        used = {name for check in catalog.checks for name in check.channels}
        for channel in match(catalog, channels):
            if channel.trouble and channel.name in used:
                yield finding("unusable-channel", channel=channel)


def evaluate_drift(
    catalog: Catalog, checks: Sequence[RemoteCheck], channels: Sequence[RemoteChannel] | None
) -> Iterator[Finding]:
    """Checks that alert at another time, or by other channels, than the catalogue says."""
    usable = [channel for channel in match(catalog, channels or ()) if not channel.trouble]
    ids = {channel.name: channel.ids for channel in usable}
    counts = Counter(check.slug for check in checks)
    by_slug = {check.slug: check for check in checks if counts[check.slug] == 1}
    drifted = [
        check.slug
        for check in catalog.checks
        if check.slug in by_slug and _differs(check, by_slug[check.slug], ids)
    ]
    yield from any_of("drift", drifted)


def _differs(check: Check, remote: RemoteCheck, ids: Mapping[str, str]) -> bool:
    """Ignores channels that the server lacks, and checks without any: see evaluate_channels."""
    known = tuple(name for name in check.channels if name in ids)
    fields = differing(wanted(replace(check, channels=known), ids), remote)
    if check.needs and remote.grace > check.grace:  # see hcrun.doctor.needs
        fields.pop("grace", None)
    if known != check.channels or not remote.channels:
        fields.pop("channels", None)
    return bool(fields.keys() & _COMPARED)
