"""The server: does it answer, are the keys right, and is it the one that we think it is?

Looking changes nothing: pings are tried with a rid that is none, which the server refuses
without recording anything, after it has looked for the check.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from hashlib import sha1
from urllib.parse import urlsplit

from hcrun.api import DEFAULT_URL, HealthchecksClient, RemoteChannel, RemoteCheck
from hcrun.call import public
from hcrun.doctor.alerts import (
    judge_clock,
    judge_overdue,
    judge_unsent,
    numbers,
    still_unsent,
)
from hcrun.doctor.finding import Finding, Say, counted, error, listed, note, ok, warning
from hcrun.doctor.settings import check_names
from hcrun.errors import ApiError, HcrunError
from hcrun.http import post
from hcrun.settings import Settings
from hcrun.target import HOSTED, resolve
from hcrun.wire import Reply

CALL = 5.0  # seconds for one call
MOST = 20  # UUIDs that are tried one by one
_NOBODY = "00000000-0000-0000-0000-000000000000"
_NO_RID = "?rid=doctor"


@dataclass
class Seen:
    """What the server said. None: it was not asked, or did not answer."""

    checks: list[RemoteCheck] | None = None
    channels: list[RemoteChannel] | None = None
    clock: float | None = None  # seconds since the epoch
    pings: bool = False  # whether the ping URL leads to a server
    silent: bool = False  # whether the API does not answer at all: asking on is of no use


def look(settings: Settings, slugs: Iterable[str], seen: Seen, say: Say) -> None:
    """Ask the server all there is to ask; `say` gets each finding at once, `seen` the facts.

    `slugs` are those of the catalogue, to try the ping key with where there is no API key.
    """
    if not _configured(settings):
        say(
            note(
                "no server is set",
                "runs are recorded on this host only, and nobody is alerted",
                "set HEALTHCHECKS_PING_URL and HEALTHCHECKS_PING_KEY_FILE (docs/server.md)",
            )
        )
        return
    base = settings.get("HEALTHCHECKS_PING_URL", HOSTED).rstrip("/")
    reply = post(f"{base}/{_NOBODY}{_NO_RID}", b"", CALL)
    finding = judge_ping_url(base, reply)
    seen.pings = finding.severity == "ok"
    say(finding)
    _look_at_api(settings, seen, say)
    key = _secret(settings, "HEALTHCHECKS_PING_KEY")
    if key and seen.pings:
        _look_at_ping_key(base, key, slugs, seen, say)
    if seen.pings and seen.checks is not None:
        for found in judge_uuids(settings, seen.checks, _is_there):
            say(found)
    for found in judge_addresses(settings, seen.checks or []):
        say(found)
    if seen.checks:
        say(judge_overdue(seen.checks, time.time()))
    metrics_key = "" if seen.silent else _secret(settings, "HEALTHCHECKS_METRICS_KEY")
    theirs = _date(reply.headers.get("date", ""))
    if metrics_key:
        _ask(seen, say, "metrics", lambda: _metrics(settings, metrics_key, seen, say))
    elif not seen.silent:
        say(
            note(
                "no metrics key",
                "whether alerts wait to be sent cannot be known",
                "set HEALTHCHECKS_METRICS_KEY to the METRICS_KEY of the server",
            )
        )
    say(judge_clock(seen.clock or theirs, time.time()))


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


# Pings


def judge_ping_url(base: str, reply: Reply) -> Finding:
    """What the answer to a ping of a check that cannot exist says of the address."""
    shown = public(base)
    if reply.status == 404 and reply.text == "not found":
        return ok(f"{shown} takes pings")
    if reply.status == 200 and "not found" in reply.text:  # the hosted service
        return ok(f"{shown} takes pings")
    why = "no result gets to the server; hcrun keeps them on this host"
    if not reply.status:
        return error(
            f"{shown} cannot be reached: {reply.error}",
            why,
            "is HEALTHCHECKS_PING_URL right, and the server up? (docker compose ps)",
        )
    if reply.status == 400:
        host = urlsplit(base).hostname
        return error(
            f"the server of {shown} does not know itself by that name",
            why,
            f"add {host} to ALLOWED_HOSTS of the server",
        )
    if reply.status >= 500:
        return error(f"{shown} answers {reply.status}", why, "look at the server's log")
    return error(
        f"{shown} takes no pings: it answers {reply.status}",
        why,
        "HEALTHCHECKS_PING_URL must be like https://hc.example.com/ping",
    )


def _look_at_ping_key(base: str, key: str, slugs: Iterable[str], seen: Seen, say: Say) -> None:
    """Try it with a check that there is."""
    known = [check.slug for check in seen.checks or [] if check.slug]
    tried = known[:1] or list(slugs)[:3]
    statuses = [post(f"{base}/{key}/{slug}/log{_NO_RID}", b"", CALL).status for slug in tried]
    say(judge_ping_key(statuses, certain=bool(known)))


def judge_ping_key(statuses: list[int], certain: bool) -> Finding:
    """`certain`: the API says that the slug that was tried exists."""
    if {400, 409} & set(statuses):  # the check was found
        return ok("the ping key is right")
    if certain and statuses == [404]:
        return error(
            "the ping key is of another project than the API key, or of none",
            "jobs that are pinged by name answer 404, and their results are dropped",
            "copy the ping key from the project's Settings page to HEALTHCHECKS_PING_KEY",
        )
    return note(
        "whether the ping key is right cannot be known",
        "without a check, a wrong key looks like a right one",
        "hcctl sync, or set HEALTHCHECKS_READ_KEY",
    )


def judge_uuids(
    settings: Settings, checks: Iterable[RemoteCheck], is_there: Callable[[str], bool]
) -> Iterable[Finding]:
    """The UUIDs in HC_CHECK_*; those of other projects are asked for at their ping URL."""
    known = {check.uuid for check in checks} | {check.unique_key for check in checks}
    urls = {name: resolve(name, settings).url for name in check_names(settings)}
    foreign = {name: url for name, url in urls.items() if url and not _keys(url) & known}
    gone = [name for name, url in list(foreign.items())[:MOST] if not is_there(url)]
    if gone:
        yield error(
            f"no check has the UUID in HC_CHECK_* of {listed(gone)}",
            "their pings answer 404, and their results are dropped",
            "hcctl sync --env-file writes the right ones, or copy them from the checks' pages",
        )


def _keys(url: str) -> set[str]:
    """The UUID at the end of a ping URL, and what a read-only key calls it."""
    uuid = url.rpartition("/")[2]
    return {uuid, sha1(uuid.replace("-", "")[:16].encode()).hexdigest()}  # noqa: S324 - the server's


def _is_there(url: str) -> bool:
    return post(f"{url}/log{_NO_RID}", b"", CALL).status != 404


# The management API


def _look_at_api(settings: Settings, seen: Seen, say: Say) -> None:
    """Both keys: what they may do, and that they are of one project."""
    key, read = (_secret(settings, f"HEALTHCHECKS_{kind}_KEY") for kind in ("API", "READ"))
    if not (key or read):
        say(
            note(
                "no API key",
                "what the server knows of the checks cannot be compared",
                "set HEALTHCHECKS_READ_KEY, or HEALTHCHECKS_API_KEY for all of it",
            )
        )
        return
    url = settings.get("HEALTHCHECKS_API_URL", DEFAULT_URL)
    if key:
        _ask(seen, say, "API key", lambda: _read_write(_client(url, key), seen, say))
    if read and not seen.silent:
        _ask(seen, say, "read-only key", lambda: _read_only(_client(url, read), read, seen, say))


def _client(url: str, key: str) -> HealthchecksClient:
    return HealthchecksClient(url, key, timeout=CALL, tries=1)


def _ask(seen: Seen, say: Say, what: str, call: Callable[[], None]) -> None:
    """An ApiError becomes a finding."""
    try:
        call()
    except ApiError as problem:
        seen.silent = not problem.status
        where = f"{problem.where} " if problem.where else ""
        say(
            error(
                f"{what}: {where}{problem.what}",
                "hcctl sync, status, report and doctor learn from it what the server knows",
                problem.hint or "look at the server's log",
            )
        )


def _metrics(settings: Settings, key: str, seen: Seen, say: Say) -> None:
    client = _client(settings.get("HEALTHCHECKS_API_URL", DEFAULT_URL), "-")
    unsent, seen.clock = numbers(client, key)
    say(judge_unsent(still_unsent(client, key) if unsent else 0))


def _date(header: str) -> float | None:
    """An HTTP date, which a proxy adds; the server itself says none."""
    try:
        return parsedate_to_datetime(header).timestamp()
    except (ValueError, TypeError):
        return None


def _read_write(client: HealthchecksClient, seen: Seen, say: Say) -> None:
    seen.checks = client.checks()
    seen.channels = client.channels()
    say(ok(f"the API key is right; {counted(len(seen.checks), 'check')} in its project"))


def _read_only(client: HealthchecksClient, key: str, seen: Seen, say: Say) -> None:
    slug = next((check.slug for check in seen.checks or [] if check.slug), "")
    found = client.checks(slug=slug)
    say(judge_read_key(key, found, slug))
    if seen.checks is None:
        seen.checks = found


def judge_read_key(key: str, found: list[RemoteCheck], slug: str) -> Finding:
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


def judge_addresses(settings: Settings, checks: list[RemoteCheck]) -> Iterable[Finding]:
    """Whether pings go where the API is, and the server calls itself what we call it."""
    pinged = settings.get("HEALTHCHECKS_PING_URL")
    asked = settings.get("HEALTHCHECKS_API_URL")
    if asked and not pinged:
        yield error(
            f"pings go to {HOSTED}, and the API is at {public(asked)}",
            "HEALTHCHECKS_PING_URL is not set, so results get to a server that is not yours",
            "set HEALTHCHECKS_PING_URL to the server's address and /ping",
        )
    if not (pinged and checks):
        return
    # Only the read-write key shows ping URLs; badges begin with SITE_ROOT too.
    theirs = str(checks[0].raw.get("ping_url", "")).rpartition("/")[0]
    ours = pinged.rstrip("/")
    if not theirs:
        theirs, ours = _origin(str(checks[0].raw.get("badge_url", ""))), _origin(ours)
    if theirs and theirs != public(ours):
        why = "its links and the ping URLs that it shows lead elsewhere than this host's pings"
        mend = f"set SITE_ROOT of the server, or HEALTHCHECKS_PING_URL={theirs}"
        if urlsplit(ours).hostname in ("localhost", "127.0.0.1", "::1"):
            yield note(f"the server calls itself {theirs}, and is pinged over loopback")
        else:
            yield warning(
                f"the server calls itself {theirs}, pings go to {public(ours)}", why, mend
            )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
