"""The checks: those of the catalogue against those of the server, and against the longest runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from hcrun.alerts.channels import match
from hcrun.api.client import RemoteChannel, RemoteCheck
from hcrun.catalog import SHIPPED, Catalog, Check
from hcrun.doctor.finding import Finding, error, note, ok, warning
from hcrun.sync.plan import differing, wanted
from hcrun.text import counted, listed
from hcrun.units import span

# What decides when an alert is sent, and to whom.
_MATTERS = {"timeout", "schedule", "tz", "grace", "channels"}


def evaluate(
    catalog: Catalog,
    checks: Sequence[RemoteCheck],
    channels: Sequence[RemoteChannel] | None,
    longest: Mapping[str, float],
) -> list[Finding]:
    """`channels`: None where the key does not show them; `longest`: seconds, by slug."""
    found = [*evaluate_catalog(catalog, checks)]
    found += evaluate_duplicates(checks)
    found += evaluate_pings(checks)
    found += evaluate_swallowing(checks)
    found += evaluate_grace(catalog, checks, longest)
    found += evaluate_channels(catalog, checks, channels)
    found += evaluate_drift(catalog, checks, channels)
    return found


def in_use(catalog: Catalog, checks: Iterable[RemoteCheck]) -> bool:
    """Whether the catalogue is this host's: the shipped one is, when a check of it was made."""
    slugs = {check.slug for check in checks}
    return catalog.path != SHIPPED or any(check.slug in slugs for check in catalog.checks)


def evaluate_catalog(catalog: Catalog, checks: Sequence[RemoteCheck]) -> Iterator[Finding]:
    if not catalog.checks:
        return
    slugs = {check.slug for check in checks}
    missing = [check.slug for check in catalog.checks if check.slug not in slugs]
    if not in_use(catalog, checks):
        yield note(
            "the catalogue is not in use",
            "the checks of the server are made by other means; none of the shipped ones is there",
            "hcctl init, then hcctl sync",
        )
    elif missing:
        yield error(
            f"{len(missing)} of {len(catalog.checks)} checks of {catalog.path} are not on the"
            f" server: {listed(missing)}",
            "their jobs answer 404, and nobody is alerted when they do not run",
            "hcctl sync",
        )
    else:
        yield ok(f"all {len(catalog.checks)} checks of {catalog.path} are on the server")


def evaluate_duplicates(checks: Iterable[RemoteCheck]) -> Iterator[Finding]:
    counts = Counter(check.slug for check in checks if check.slug)
    twice = sorted(slug for slug, count in counts.items() if count > 1)
    if twice:
        yield error(
            f"several checks have the slug {listed(twice)}",
            "every ping by such a name answers 409 and is lost",
            "give all but one another slug, or delete them, in the web interface",
        )


def evaluate_pings(checks: Sequence[RemoteCheck]) -> Iterator[Finding]:
    """Those that cannot alert, as they expect nothing."""
    never = [_name(check) for check in checks if check.status == "new" and not check.pings]
    if never:
        yield warning(
            f"{counted(len(never), 'check')} never pinged: {listed(never)}",
            "a check that was never pinged never alerts",
            f"run the job once, or hcctl ping {never[0]}",
        )
    resumed = [_name(check) for check in checks if check.status == "new" and check.pings]
    if resumed:
        yield warning(
            f"{counted(len(resumed), 'check')} resumed and not pinged since: {listed(resumed)}",
            "a resumed check expects nothing before its next ping, and does not alert",
            f"hcctl ping {resumed[0]}",
        )
    paused = [check for check in checks if check.status == "paused"]
    deaf = [_name(check) for check in paused if check.manual_resume]
    if deaf:
        yield warning(
            f"{counted(len(deaf), 'check')} paused until resumed by hand: {listed(deaf)}",
            "their pings are ignored",
            f"hcctl resume {deaf[0]}",
        )
    quiet = [_name(check) for check in paused if not check.manual_resume]
    if quiet:
        yield note(f"{counted(len(quiet), 'check')} paused until the next ping: {listed(quiet)}")


def evaluate_swallowing(checks: Sequence[RemoteCheck]) -> Iterator[Finding]:
    """Those that make something else of a ping than it says. methods=POST is right for hcrun."""
    filtered = [check for check in checks if check.raw.get("filter_http_body")]
    for check in filtered[:5]:
        words = [check.raw.get(f"{kind}_kw", "") for kind in ("failure", "success", "start")]
        default = "a failure" if check.raw.get("filter_default_fail") else "ignored"
        yield warning(
            f"{_name(check)} filters by body keywords ({', '.join(filter(None, words)) or 'none'})",
            f"they overrule even /fail and exit statuses; a ping without them is {default}",
            "switch off Filtering Rules, HTTP request body, on the check's page",
        )
    if filtered[5:]:
        yield warning(
            f"so do {listed(_name(check) for check in filtered[5:])}", "the same", "the same"
        )


def evaluate_grace(
    catalog: Catalog, checks: Iterable[RemoteCheck], longest: Mapping[str, float]
) -> Iterator[Finding]:
    """Grace is also the longest time that a run may take, once start pings are sent."""
    lines = {check.slug: check.line for check in catalog.checks}
    for check in checks:
        seconds = max(longest.get(check.slug, 0.0), check.last_duration or 0.0)
        if check.slug and seconds > check.grace:
            line = lines.get(check.slug)
            yield warning(
                f"{check.slug} has a grace of {span(check.grace)}, and took {span(seconds)}",
                "a run longer than the grace time alerts while it is still going",
                f"raise grace in {catalog.path} line {line}, then hcctl sync"
                if line
                else "raise the grace time on the check's page",
            )


def evaluate_channels(
    catalog: Catalog, checks: Sequence[RemoteCheck], channels: Sequence[RemoteChannel] | None
) -> Iterator[Finding]:
    if channels is None:
        yield note(
            "channels are not shown to a read-only key",
            "whether anybody is told cannot be known",
            "set HEALTHCHECKS_API_KEY",
        )
        return
    if not channels:
        yield error(
            "the project has no channels",
            "nobody is alerted of anything",
            "hcctl channels bootstrap",
        )
        return
    mute = [_name(check) for check in checks if not check.channels]
    if mute:
        yield warning(
            f"{counted(len(mute), 'check')} without a channel: {listed(mute)}",
            "nobody is alerted when they are down",
            "name channels in the catalogue, then hcctl sync",
        )
    if in_use(catalog, checks):
        wanted = {name for check in catalog.checks for name in check.channels}
        for one in match(catalog, channels):
            if one.trouble and one.name in wanted:
                why = "checks of the catalogue alert there, and hcctl sync refuses them"
                yield error(one.trouble, why, one.remedy)


def evaluate_drift(
    catalog: Catalog, checks: Sequence[RemoteCheck], channels: Sequence[RemoteChannel] | None
) -> Iterator[Finding]:
    """Where the server would alert at another time, or tell others, than the catalogue says."""
    there = [one for one in match(catalog, channels or ()) if one.state == "there"]
    ids = {one.name: one.found[0].id for one in there}
    counts = Counter(check.slug for check in checks)
    by_slug = {check.slug: check for check in checks if counts[check.slug] == 1}
    drifted = [
        check.slug
        for check in catalog.checks
        if check.slug in by_slug and _drifted(check, by_slug[check.slug], ids)
    ]
    if drifted:
        yield warning(
            f"{counted(len(drifted), 'check')} not as in the catalogue: {listed(drifted)}",
            "the server expects other times, or tells others, than the catalogue says",
            "hcctl sync --plan shows it, hcctl sync mends it",
        )


def _drifted(check: Check, remote: RemoteCheck, ids: Mapping[str, str]) -> bool:
    """Channels that the server has not, or a check without any, are spoken of elsewhere."""
    known = tuple(name for name in check.channels if name in ids)
    fields = differing(wanted(replace(check, channels=known), ids), remote)
    if known != check.channels or not remote.channels:
        fields.pop("channels", None)
    return bool(fields.keys() & _MATTERS)


def _name(check: RemoteCheck) -> str:
    return check.slug or check.name or "(no name)"
