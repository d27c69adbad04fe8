"""The checks of the server, compared with the catalogue and with the longest runs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from hcrun.alerts.channels import match
from hcrun.api.models import Channel as RemoteChannel
from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import SHIPPED, Catalog, Check
from hcrun.doctor.finding import Finding, error, note, ok, warning
from hcrun.sync.plan import differing, wanted
from hcrun.text import counted, listed
from hcrun.units import span

# The fields that decide when an alert is sent, and to whom.
_COMPARED = {"timeout", "schedule", "tz", "grace", "channels"}


def evaluate(
    catalog: Catalog,
    checks: Sequence[RemoteCheck],
    channels: Sequence[RemoteChannel] | None,
    longest: Mapping[str, float],
) -> list[Finding]:
    """`channels` is None if the key does not show them; `longest` is in seconds, by slug."""
    return [
        *evaluate_catalog(catalog, checks),
        *evaluate_duplicates(checks),
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
        yield note(
            "no catalogue is in use: the server has none of the shipped checks",
            "its checks were created by other means",
            "to use a catalogue: hcctl init, then hcctl sync",
        )
    elif missing:
        yield error(
            f"{len(missing)} of {total} checks of {catalog.path} do not exist on the server:"
            f" {listed(missing)}",
            "their pings answer 404, and nobody is alerted when their jobs do not run",
            "hcctl sync",
        )
    else:
        yield ok(f"all {total} checks of {catalog.path} exist on the server")


def evaluate_duplicates(checks: Iterable[RemoteCheck]) -> Iterator[Finding]:
    counts = Counter(check.slug for check in checks if check.slug)
    duplicates = sorted(slug for slug, count in counts.items() if count > 1)
    if duplicates:
        yield error(
            f"several checks have the slug {listed(duplicates)}",
            "every ping by this slug answers 409 and is lost",
            "in the web interface, give all but one another slug, or delete them",
        )


def evaluate_status(checks: Sequence[RemoteCheck]) -> Iterator[Finding]:
    """Checks that cannot alert, because they expect no ping."""
    new = [check for check in checks if check.status == "new"]
    paused = [check for check in checks if check.status == "paused"]
    for make, found, what, why, fix in (
        (
            warning,
            [check for check in new if not check.pings],
            "never pinged",
            "a check does not alert before its first ping",
            "run the job once, or hcctl ping {}",
        ),
        (
            warning,
            [check for check in new if check.pings],
            "resumed and not pinged since",
            "a resumed check does not alert before its next ping",
            "hcctl ping {}",
        ),
        (
            warning,
            [check for check in paused if check.manual_resume],
            "paused until resumed by hand",
            "the server ignores their pings",
            "hcctl resume {}",
        ),
        (
            note,
            [check for check in paused if not check.manual_resume],
            "paused until the next ping",
            "",
            "",
        ),
    ):
        if names := [_name(check) for check in found]:
            what = f"{counted(len(names), 'check')} {what}: {listed(names)}"
            yield make(what, why, fix.format(names[0]))


def evaluate_filters(checks: Sequence[RemoteCheck]) -> Iterator[Finding]:
    """Checks whose keywords change the meaning of a ping; methods=POST suits hcrun."""
    filtered = []
    for check in checks:
        if check.keywords is not None:
            words = ", ".join(filter(None, check.keywords))
            filtered.append(f"{_name(check)} ({words or 'no keywords'})")
    if filtered:
        yield warning(
            f"{counted(len(filtered), 'check')} filtered by keywords: {listed(filtered)}",
            "keywords override /fail and exit statuses; a ping without one is ignored or a failure",
            "switch off Filtering Rules, HTTP request body, on the checks' pages",
        )


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
        yield warning(
            f"{check.slug} has a grace time of {span(check.grace)}, but a run took {span(seconds)}",
            "a run that takes longer than the grace time alerts while it is in progress",
            fix,
        )


def evaluate_channels(
    catalog: Catalog, checks: Sequence[RemoteCheck], channels: Sequence[RemoteChannel] | None
) -> Iterator[Finding]:
    if channels is None:
        yield note(
            "channels are not checked: a read-only key does not show them",
            "doctor cannot tell whether alerts reach anybody",
            "set HEALTHCHECKS_API_KEY",
        )
        return
    if not channels:
        fix = "hcctl channels bootstrap"
        yield error("the project has no channels", "alerts reach nobody", fix)
        return
    if mute := [_name(check) for check in checks if not check.channels]:
        yield warning(
            f"{counted(len(mute), 'check')} without a channel: {listed(mute)}",
            "their alerts reach nobody",
            "name channels in the catalogue, then hcctl sync",
        )
    if in_use(catalog, checks):
        used = {name for check in catalog.checks for name in check.channels}
        for channel in match(catalog, channels):
            if channel.trouble and channel.name in used:
                why = "checks of the catalogue use this channel, so hcctl sync refuses them"
                yield error(channel.trouble, why, channel.remedy)


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
    if drifted:
        yield warning(
            f"{counted(len(drifted), 'check')} not as in the catalogue: {listed(drifted)}",
            "they alert at other times, or by other channels, than the catalogue says",
            "hcctl sync (hcctl sync --plan shows the differences)",
        )


def _differs(check: Check, remote: RemoteCheck, ids: Mapping[str, str]) -> bool:
    """Ignores channels that the server lacks, and checks without any: see evaluate_channels."""
    known = tuple(name for name in check.channels if name in ids)
    fields = differing(wanted(replace(check, channels=known), ids), remote)
    if check.needs and remote.grace > check.grace:  # see hcrun.doctor.needs
        fields.pop("grace", None)
    if known != check.channels or not remote.channels:
        fields.pop("channels", None)
    return bool(fields.keys() & _COMPARED)


def _name(check: RemoteCheck) -> str:
    return check.slug or check.name or "(no name)"
