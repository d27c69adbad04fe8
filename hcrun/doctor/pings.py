"""Where pings go: whether a server accepts them, the ping key is valid, and the UUIDs exist.

Nothing is recorded: the pings have a malformed rid, which the server rejects once it has found
the check.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha1
from urllib.parse import urlsplit

from hcrun.api.answer import public
from hcrun.api.models import Check as RemoteCheck
from hcrun.doctor.finding import Finding, error, note, ok, warning
from hcrun.doctor.settings import check_names
from hcrun.ping.http import Reply, post
from hcrun.ping.target import resolve
from hcrun.settings import HOSTED, Settings
from hcrun.text import listed

TIMEOUT = 5.0  # seconds for one call
_MAX_UUIDS = 20  # that are tried one by one
_RIGHT_URL = "HEALTHCHECKS_PING_URL must look like https://hc.example.com/ping"
_UNREACHED = "no result reaches the server; hcrun keeps the results on this host"
_DROPPED = "their pings answer 404, and their results are dropped"
_NO_CHECK = "00000000-0000-0000-0000-000000000000"


def attempt(url: str) -> Reply:
    """Send a ping that cannot be recorded: 400 if the check exists, 409 if several do, else 404."""
    return post(f"{url}/log?rid=doctor", b"", TIMEOUT)


def check_url(settings: Settings) -> tuple[Reply, Finding]:
    url = settings.ping_url()
    if not url.startswith(("http://", "https://")):
        what = "HEALTHCHECKS_PING_URL is not an http(s) URL"
        return Reply(), error(what, _UNREACHED, _RIGHT_URL)
    reply = attempt(f"{url}/{_NO_CHECK}")
    return reply, evaluate_url(url, reply)


def evaluate_url(base: str, reply: Reply) -> Finding:
    """`reply` is the answer to a ping of a check that cannot exist."""
    shown = public(base)
    hosted = reply.status == 200 and "not found" in reply.text
    if hosted or (reply.status == 404 and reply.text == "not found"):
        return ok(f"{shown} accepts pings")
    if not reply.status:
        fix = "check HEALTHCHECKS_PING_URL, and that the server runs: docker compose ps"
        return error(f"cannot reach {shown}: {reply.error}", _UNREACHED, fix)
    if reply.status == 400:
        host = urlsplit(base).hostname
        fix = f"add {host} to ALLOWED_HOSTS of the server"
        return error(f"the server does not accept the host name {host}", _UNREACHED, fix)
    if reply.status >= 500:
        fix = "see the server's log: docker compose logs healthchecks"
        return error(f"{shown} answers {reply.status}", _UNREACHED, fix)
    return error(
        f"{shown} does not accept pings: it answers {reply.status}", _UNREACHED, _RIGHT_URL
    )


def check_key(
    settings: Settings, key: str, checks: Iterable[RemoteCheck], slugs: Iterable[str]
) -> Finding:
    """Try the key with one of the server's checks, else with some `slugs` of the catalogue."""
    known = [check.slug for check in checks if check.slug][:1]
    tried = known or list(slugs)[:3]
    statuses = [attempt(f"{settings.ping_url()}/{key}/{slug}").status for slug in tried]
    return evaluate_key(statuses, certain=bool(known))


def evaluate_key(statuses: list[int], certain: bool) -> Finding:
    """`certain`: the API says that the slug exists."""
    if {400, 409} & set(statuses):
        return ok("the ping key is valid")
    if certain and statuses == [404]:
        return error(
            "the ping key does not belong to the project of the API key",
            "pings by slug answer 404, and their results are dropped",
            "copy the ping key from the project's Settings page to HEALTHCHECKS_PING_KEY",
        )
    return note(
        "cannot verify the ping key",
        "without a known check, a wrong key gets the same answer as the right one",
        "run hcctl sync, or set HEALTHCHECKS_READ_KEY",
    )


def evaluate_uuids(
    settings: Settings,
    checks: Iterable[RemoteCheck],
    exists: Callable[[str], bool] = lambda url: attempt(url).status != 404,
) -> Iterator[Finding]:
    """The UUIDs in HC_CHECK_*; `exists` asks for those of other projects by their ping URL."""
    known = {check.uuid for check in checks} | {check.unique_key for check in checks}
    urls = {name: resolve(name, settings).url for name in check_names(settings)}
    foreign = {name: url for name, url in urls.items() if url and not _keys(url) & known}
    gone = [name for name, url in list(foreign.items())[:_MAX_UUIDS] if not exists(url)]
    if gone:
        yield error(
            f"HC_CHECK_*: no check has the UUID of {listed(gone)}",
            _DROPPED,
            "run hcctl sync --env-file FILE, or copy the UUIDs from the checks' pages",
        )


def _keys(url: str) -> set[str]:
    """The UUID at the end of a ping URL, and its unique_key for read-only API keys."""
    uuid = url.rpartition("/")[2]
    return {uuid, sha1(uuid.replace("-", "")[:16].encode()).hexdigest()}  # noqa: S324 - the server's


def evaluate_addresses(settings: Settings, checks: list[RemoteCheck]) -> Iterator[Finding]:
    """Whether pings and API calls go to one server, by the address that it uses itself."""
    pinged = settings.get("HEALTHCHECKS_PING_URL")
    asked = settings.get("HEALTHCHECKS_API_URL")
    if asked and not pinged:
        yield error(
            f"HEALTHCHECKS_PING_URL is not set: pings go to {HOSTED}, API calls to {public(asked)}",
            "results reach a server that is not yours",
            "set HEALTHCHECKS_PING_URL to the server's address and /ping",
        )
    if not (checks and "://" in pinged):
        return
    # Only the read-write key shows ping URLs; badge URLs begin with SITE_ROOT too.
    theirs = checks[0].ping_url.rpartition("/")[0]
    ours = public(pinged.rstrip("/"))
    if not theirs:
        theirs, ours = _origin(checks[0].badge_url), _origin(ours)
    if not theirs or theirs == ours:
        return
    if _origin(theirs) == _origin(ours):
        yield error(
            f"the server accepts pings at {theirs}, but they go to {ours}",
            "they answer 404, and nothing is recorded",
            f"set HEALTHCHECKS_PING_URL={theirs}",
        )
    elif urlsplit(ours).hostname in ("localhost", "127.0.0.1", "::1"):
        yield note(f"the server's own address is {theirs}; this host pings it over loopback")
    else:
        yield warning(
            f"the server's own address is {theirs}, but pings go to {ours}",
            "the links and ping URLs that the server shows lead to another address",
            f"set SITE_ROOT of the server, or HEALTHCHECKS_PING_URL={theirs}",
        )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
