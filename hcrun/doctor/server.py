"""The server: does it answer, are the keys right, does it send its alerts, is its clock ours?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from hcrun.api.client import HealthchecksClient, RemoteChannel, RemoteCheck
from hcrun.doctor import alerts, pings
from hcrun.doctor.finding import Finding, error, note, ok, warning
from hcrun.errors import ApiError, HcrunError
from hcrun.settings import Settings
from hcrun.text import counted

_API_KEYS = ("API", "READ", "METRICS")


@dataclass
class Seen:
    """What the server said. None: it was not asked, or did not answer."""

    checks: list[RemoteCheck] | None = None
    channels: list[RemoteChannel] | None = None
    clock: float | None = None  # seconds since the epoch
    silent: bool = False  # whether the API does not answer at all: asking on is of no use


def look(settings: Settings, slugs: Iterable[str], seen: Seen) -> Iterator[Finding]:
    """Ask the server all there is to ask; the facts are put into `seen`.

    `slugs` are those of the catalogue, to try the ping key with where there is no API key.
    """
    if not _configured(settings):
        yield note(
            "no server is set",
            "runs are recorded on this host only, and nobody is alerted",
            "set HEALTHCHECKS_PING_URL and HEALTHCHECKS_PING_KEY_FILE (docs/server.md)",
        )
        return
    reply, found = pings.check_url(settings)
    yield found
    stray = pings.evaluate_api_url(settings)
    if stray and any(_secret(settings, f"HEALTHCHECKS_{kind}_KEY") for kind in _API_KEYS):
        seen.silent = True
        yield stray
    else:
        yield from _look_at_api(settings, seen)
    checks = seen.checks or []
    if found.severity == "ok":
        if key := _secret(settings, "HEALTHCHECKS_PING_KEY"):
            yield pings.check_key(settings, key, checks, slugs)
        if seen.checks is not None:
            yield from pings.evaluate_uuids(settings, checks)
    yield from pings.evaluate_addresses(settings, checks)
    if checks:
        yield alerts.evaluate_overdue(checks, time.time())
    seen.clock = _date(reply.headers.get("date", ""))
    if not seen.silent:
        yield from _look_at_metrics(settings, seen)
    yield alerts.evaluate_clock(seen.clock, time.time())


def _configured(settings: Settings) -> bool:
    names = ("HEALTHCHECKS_PING_URL", "HEALTHCHECKS_API_URL")
    keys = ("HEALTHCHECKS_PING_KEY", "HEALTHCHECKS_API_KEY", "HEALTHCHECKS_READ_KEY")
    return any(map(settings.get, names)) or any(_secret(settings, key) for key in keys)


def _secret(settings: Settings, name: str) -> str:
    """ "" also where it cannot be read: the room of settings says so."""
    try:
        return settings.secret(name)
    except HcrunError:
        return ""


def _date(header: str) -> float | None:
    """An HTTP date, which a proxy adds; the server itself says none."""
    try:
        return parsedate_to_datetime(header).timestamp()
    except (ValueError, TypeError):
        return None


def _look_at_api(settings: Settings, seen: Seen) -> Iterator[Finding]:
    """Both keys: what they may do, and that they are of one project."""
    key, read = (_secret(settings, f"HEALTHCHECKS_{kind}_KEY") for kind in ("API", "READ"))
    if key:
        try:
            client = _client(settings, key)
            seen.checks = client.checks()
            seen.channels = client.channels()
            yield ok(f"the API key is right; {counted(len(seen.checks), 'check')} in its project")
        except ApiError as problem:
            yield _failed("API key", problem, seen)
    if read and not seen.silent:
        try:
            slug = next((check.slug for check in seen.checks or [] if check.slug), "")
            found = _client(settings, read).checks(slug=slug)
            seen.checks = found if seen.checks is None else seen.checks
            yield evaluate_read_key(read, found, slug)
        except ApiError as problem:
            yield _failed("read-only key", problem, seen)
    if not (key or read):
        yield note(
            "no API key",
            "what the server knows of the checks cannot be compared",
            "set HEALTHCHECKS_READ_KEY, or HEALTHCHECKS_API_KEY for all of it",
        )


def _client(settings: Settings, key: str) -> HealthchecksClient:
    url = settings.api_url()
    return HealthchecksClient(url, key, timeout=pings.CALL, tries=1)


def _failed(what: str, problem: ApiError, seen: Seen) -> Finding:
    seen.silent = not problem.status
    where = f"{problem.where} " if problem.where else ""
    return error(
        f"{what}: {where}{problem.what}",
        "hcctl sync, status, report and doctor learn from it what the server knows",
        problem.hint or "look at the server's log",
    )


def evaluate_read_key(key: str, found: list[RemoteCheck], slug: str) -> Finding:
    """`slug` is of a check that the API key sees, "" without one."""
    if key.startswith("hcw_") or any(check.uuid for check in found):
        return warning(
            "HEALTHCHECKS_READ_KEY is a read-write key",
            "probes and reports get more rights than they need",
            "make a read-only key on the project's Settings page",
        )
    if slug and not found:
        return error(
            "the read-only key is of another project than the API key",
            "status and reports show other checks than those that are synchronized",
            "copy both from one project's Settings page",
        )
    of_it = "" if slug else f"; {counted(len(found), 'check')} in its project"
    return ok(f"the read-only key is right{of_it}")


def _look_at_metrics(settings: Settings, seen: Seen) -> Iterator[Finding]:
    key = _secret(settings, "HEALTHCHECKS_METRICS_KEY")
    if not key:
        yield note(
            "no metrics key",
            "whether alerts wait to be sent cannot be known",
            "set HEALTHCHECKS_METRICS_KEY to the METRICS_KEY of the server",
        )
        return
    try:
        client = _client(settings, "-")
        unsent, seen.clock = alerts.numbers(client, key)
        yield alerts.evaluate_unsent(alerts.still_unsent(client, key) if unsent else 0)
    except ApiError as problem:
        yield _failed("metrics", problem, seen)
