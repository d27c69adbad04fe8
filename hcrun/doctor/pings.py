"""Where pings go: is it a server, is the key right, are the UUIDs those of checks?

Nothing is recorded by looking: pings are sent with a rid that is none, which the server refuses
after it has found the check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha1
from urllib.parse import urlsplit

from hcrun.api.answer import public
from hcrun.api.client import RemoteCheck, missing_address
from hcrun.doctor.finding import Finding, error, note, ok, warning
from hcrun.doctor.settings import check_names
from hcrun.ping.http import post
from hcrun.ping.target import resolve
from hcrun.ping.wire import Reply
from hcrun.settings import HOSTED, Settings
from hcrun.text import listed

CALL = 5.0  # seconds for one call
MOST = 20  # UUIDs that are tried one by one
_RIGHT_URL = "HEALTHCHECKS_PING_URL must be like https://hc.example.com/ping"
_NOBODY = "00000000-0000-0000-0000-000000000000"


def attempt(url: str) -> Reply:
    """Ping it in vain: 400 when there is such a check, 409 when there are several, 404 for none."""
    return post(f"{url}/log?rid=doctor", b"", CALL)


def check_url(settings: Settings) -> tuple[Reply, Finding]:
    where = settings.ping_url()
    if not where.startswith(("http://", "https://")):
        why = "no result gets to the server; hcrun keeps them on this host"
        return Reply(), error("HEALTHCHECKS_PING_URL is no http(s) URL", why, _RIGHT_URL)
    reply = attempt(f"{where}/{_NOBODY}")
    return reply, evaluate_url(where, reply)


def evaluate_url(base: str, reply: Reply) -> Finding:
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
        return error(
            f"the server of {shown} does not know itself by that name",
            why,
            f"add {urlsplit(base).hostname} to ALLOWED_HOSTS of the server",
        )
    if reply.status >= 500:
        return error(f"{shown} answers {reply.status}", why, "look at the server's log")
    return error(
        f"{shown} takes no pings: it answers {reply.status}",
        why,
        _RIGHT_URL,
    )


def check_key(
    settings: Settings, key: str, checks: Iterable[RemoteCheck], slugs: Iterable[str]
) -> Finding:
    """Try it with a check that there is, else with some of the catalogue's `slugs`."""
    known = [check.slug for check in checks if check.slug][:1]
    tried = known or list(slugs)[:3]
    statuses = [attempt(f"{settings.ping_url()}/{key}/{slug}").status for slug in tried]
    return evaluate_key(statuses, certain=bool(known))


def evaluate_key(statuses: list[int], certain: bool) -> Finding:
    """`certain`: the API says that the slug that was tried exists."""
    if {400, 409} & set(statuses):
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


def evaluate_uuids(
    settings: Settings,
    checks: Iterable[RemoteCheck],
    is_there: Callable[[str], bool] = lambda url: attempt(url).status != 404,
) -> Iterator[Finding]:
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


def evaluate_api_url(settings: Settings) -> Finding | None:
    """Keys of one's own server are not for the hosted one, which is asked by default."""
    address = missing_address(settings)
    if not address:
        return None
    return error(
        f"pings go to {public(settings.ping_url())}, and HEALTHCHECKS_API_URL is not set",
        "hcctl asks no server, as keys are not for the hosted one, which it would ask",
        f"set HEALTHCHECKS_API_URL={address}",
    )


def evaluate_addresses(settings: Settings, checks: list[RemoteCheck]) -> Iterator[Finding]:
    """Whether pings go where the API is, and the server calls itself what we call it."""
    pinged = settings.get("HEALTHCHECKS_PING_URL")
    asked = settings.get("HEALTHCHECKS_API_URL")
    if asked and not pinged:
        yield error(
            f"pings go to {HOSTED}, and the API is at {public(asked)}",
            "HEALTHCHECKS_PING_URL is not set, so results get to a server that is not yours",
            "set HEALTHCHECKS_PING_URL to the server's address and /ping",
        )
    if not (checks and "://" in pinged):
        return
    # Only the read-write key shows ping URLs; badges begin with SITE_ROOT too.
    theirs = str(checks[0].raw.get("ping_url", "")).rpartition("/")[0]
    ours = public(pinged.rstrip("/"))
    if not theirs:
        theirs, ours = _origin(str(checks[0].raw.get("badge_url", ""))), _origin(ours)
    if not theirs or theirs == ours:
        return
    if _origin(theirs) == _origin(ours):
        yield error(
            f"the server takes pings at {theirs}, and they go to {ours}",
            "they answer 404, and nothing is recorded",
            f"set HEALTHCHECKS_PING_URL={theirs}",
        )
        return
    if urlsplit(ours).hostname in ("localhost", "127.0.0.1", "::1"):
        yield note(f"the server calls itself {theirs}, and is pinged over loopback")
        return
    yield warning(
        f"the server calls itself {theirs}, and pings go to {ours}",
        "its links and the ping URLs that it shows lead elsewhere than this host's pings",
        f"set SITE_ROOT of the server, or HEALTHCHECKS_PING_URL={theirs}",
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
