"""Where pings go: whether a server accepts them, the ping key is valid, and the UUIDs exist.

Nothing is recorded: the pings have a malformed rid, which the server rejects once it has found
the check.
"""

from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit

from hcrun.api.answer import public
from hcrun.api.models import Check as RemoteCheck
from hcrun.doctor.finding import Finding, any_of, finding, ok
from hcrun.doctor.settings import check_names
from hcrun.journal import maintenance
from hcrun.ping.http import Reply, post
from hcrun.ping.target import resolve
from hcrun.settings import HOSTED, Settings

TIMEOUT = 5.0  # seconds for one call
_MAX_UUIDS = 20  # that are tried one by one
_NO_CHECK = "00000000-0000-0000-0000-000000000000"


def attempt(url: str) -> Reply:
    """Send a ping that cannot be recorded: 400 if the check exists, 409 if several do, else 404."""
    return post(f"{url}/log?rid=doctor", b"", TIMEOUT)


def check_url(settings: Settings) -> tuple[Reply, Finding]:
    url = settings.ping_url()
    if not url.startswith(("http://", "https://")):
        return Reply(), finding("no-url")
    reply = attempt(f"{url}/{_NO_CHECK}")
    return reply, evaluate_url(url, reply)


def evaluate_url(base: str, reply: Reply) -> Finding:
    """`reply` is the answer to a ping of a check that cannot exist."""
    shown = public(base)
    hosted = reply.status == 200 and "not found" in reply.text
    if hosted or (reply.status == 404 and reply.text == "not found"):
        return ok(f"{shown} accepts pings")
    if not reply.status:
        return finding("unreached", url=shown, error=reply.error)
    if reply.status == 400:
        return finding("host-refused", host=urlsplit(base).hostname)
    name = "server-fails" if reply.status >= 500 else "no-pings"
    return finding(name, url=shown, status=reply.status)


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
    is_wrong = certain and statuses == [404]
    return finding("wrong-ping-key" if is_wrong else "unverified-ping-key")


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
    yield from any_of("unknown-uuids", gone)


def _keys(url: str) -> set[str]:
    """The UUID at the end of a ping URL, and its unique_key for read-only API keys."""
    uuid = url.rpartition("/")[2]
    return {uuid, maintenance.check_key(uuid)}


def evaluate_addresses(settings: Settings, checks: list[RemoteCheck]) -> Iterator[Finding]:
    """Whether pings and API calls go to one server, by the address that it uses itself."""
    pinged = settings.get("HEALTHCHECKS_PING_URL")
    asked = settings.get("HEALTHCHECKS_API_URL")
    if asked and not pinged:
        yield finding("two-servers", hosted=HOSTED, url=public(asked))
    if not (checks and "://" in pinged):
        return
    # Only the read-write key shows ping URLs; badge URLs begin with SITE_ROOT too.
    theirs = checks[0].ping_url.rpartition("/")[0]
    ours = public(pinged.rstrip("/"))
    if not theirs:
        theirs, ours = _origin(checks[0].badge_url), _origin(ours)
    if not theirs or theirs == ours:
        return
    is_local = urlsplit(ours).hostname in ("localhost", "127.0.0.1", "::1")
    name = "loopback" if is_local else "other-address"
    name = "other-path" if _origin(theirs) == _origin(ours) else name
    yield finding(name, theirs=theirs, ours=ours)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
