"""What the probes of a Healthchecks server share: options, and its management API (v3)."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from hcrun.formats.members import Members
from probes.clients import http
from probes.framework.options import Url
from probes.framework.probe import Context, CriticalError, ProbeError, UnknownError

READ_KEY = "HEALTHCHECKS_READ_KEY"
RIGHT_URL = "HEALTHCHECKS_API_URL must be like https://hc.example.com/api/v3"
CHECKS_CAP = 50_000_000  # bytes; 3,000 checks are 3 MB

URL = Url("HEALTHCHECKS_API_URL", "https://hc.example.com/api/v3", http.split_url)
TYPES = {"--url": http.base_url}


def connect(context: Context) -> http.Site:
    """The server. Raises UnknownError without a URL."""
    url = context.options["url"]
    if not url:
        raise UnknownError("no server", hint="set HEALTHCHECKS_API_URL")
    context.at(url.rstrip("/"))
    return http.Site(
        context, url, http.basic(context), cafile=context.options["tls_ca"], cap=CHECKS_CAP
    )


class Check(NamedTuple):
    name: str
    slug: str
    status: str
    started: bool
    next_ping: float | None  # seconds since the epoch
    grace: int  # seconds
    tags: tuple[str, ...] = ()
    last_ping: float = 0.0
    key: str = ""  # names it in the API

    @classmethod
    def read(cls, data: Any, where: str = "") -> "Check":
        members = Members(data, where)
        return cls(
            name=members.text("name") or "an unnamed check",
            slug=members.text("slug", ""),
            status=members.text("status"),
            started=members.flag("started", False),
            next_ping=members.moment_or_none("next_ping"),
            grace=members.whole("grace", 0),
            tags=tuple(members.text("tags", "").split()),
            last_ping=members.moment_or_none("last_ping") or 0.0,
            key=members.identity("unique_key") or members.identity("uuid"),
        )


def checks(site: http.Site, key: str, tags: Sequence[str] = ()) -> tuple[list[Check], float]:
    """The checks of the key's project that have all the tags, and the seconds of the request."""
    query = urlencode([("tag", tag) for tag in tags])
    path = "/checks/" + (f"?{query}" if query else "")
    answer = site.get(path, headers={"X-Api-Key": key})
    if answer.status != 200:
        raise refused(site, "/checks/", answer, READ_KEY)
    found: list[Check] = read(
        site, "/checks/", answer, lambda data: [Check.read(*each) for each in data.each("checks")]
    )
    return found, answer.seconds


def recovery(site: http.Site, key: str, check: Check, seconds: int) -> float:
    """When the check went up in the last `seconds`; 0 if it did not."""
    path = f"/checks/{check.key}/flips/"
    answer = site.get(f"{path}?seconds={seconds}", headers={"X-Api-Key": key})
    flips = (
        [] if answer.status != 200 else read(site, path, answer, lambda data: data.each("flips"))
    )
    members = [Members(*flip) for flip in flips]
    return max((flip.moment("timestamp") for flip in members if flip.whole("up")), default=0.0)


def read(site: http.Site, path: str, answer: http.Answer, reader: Callable[[Members], Any]) -> Any:
    """Read an object of JSON. Raises CriticalError that names what is wrong."""
    what = site.url + path
    try:
        data = answer.json()
        what += ":"
        return reader(Members(data, ""))
    except ValueError as error:
        raise CriticalError(f"{what} {error}", hint=RIGHT_URL) from None


def refused(site: http.Site, path: str, answer: http.Answer, key: str) -> ProbeError:
    """The error to raise when `path` did not answer 200; `key` names the variable of its key."""
    what = site.url + path
    if answer.status == 400:
        return CriticalError(
            f"{what} answers {answer.phrase}", hint="add its host to ALLOWED_HOSTS"
        )
    if answer.status == 404:
        return CriticalError(f"{what} answers {answer.phrase}", hint=RIGHT_URL)
    return http.refused(answer, what, key, given=True)
