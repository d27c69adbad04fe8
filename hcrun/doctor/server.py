"""The server: whether it answers, its keys are valid, it sends its alerts, its clock is right."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from hcrun.alerts import inside
from hcrun.api.client import HealthchecksClient
from hcrun.api.models import Channel as RemoteChannel
from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import TIER_TAG
from hcrun.doctor import pings
from hcrun.doctor.finding import Finding, error, finding, ok
from hcrun.errors import ApiError, HcrunError
from hcrun.formats.members import Members
from hcrun.settings import Settings
from hcrun.text import counted

_ALERT_TIME = 5.0  # seconds that an alert may take; sendalerts looks every 2
_OVERDUE = 60.0  # seconds after which an alert is overdue
_SKEW_WARNING, _SKEW_ERROR = 10.0, 120.0  # seconds


@dataclass
class ServerData:
    """What the server knows. None: it was not asked, or did not answer."""

    checks: list[RemoteCheck] | None = None
    channels: list[RemoteChannel] | None = None
    clock: float | None = None  # seconds since the epoch
    silent: bool = False  # the API does not answer: further calls are useless


def check_server(settings: Settings, slugs: Iterable[str], data: ServerData) -> Iterator[Finding]:
    """Ask the server, and fill `data` with its answers.

    `slugs` are those of the catalogue; without an API key the ping key is tried with them.
    """
    if not configured(settings):
        yield finding("no-server")
        return
    reply, url_finding = pings.check_url(settings)
    yield url_finding
    yield from _check_api(settings, data)
    checks = data.checks or []
    if url_finding.severity == "ok":
        if key := _secret(settings, "HEALTHCHECKS_PING_KEY"):
            yield pings.check_key(settings, key, checks, slugs)
        if data.checks is not None:
            yield from pings.evaluate_uuids(settings, checks)
    yield from pings.evaluate_addresses(settings, checks)
    if checks:
        yield evaluate_overdue(checks, time.time())
    data.clock = _date(reply.headers.get("date", ""))
    if not data.silent:
        yield from _check_metrics(settings, data)
    yield evaluate_clock(data.clock, time.time())


def configured(settings: Settings) -> bool:
    urls = ("HEALTHCHECKS_PING_URL", "HEALTHCHECKS_API_URL")
    keys = ("HEALTHCHECKS_PING_KEY", "HEALTHCHECKS_API_KEY", "HEALTHCHECKS_READ_KEY")
    return any(map(settings.get, urls)) or any(_secret(settings, key) for key in keys)


def _secret(settings: Settings, name: str) -> str:
    """The secret, or "" if it cannot be read: the settings section reports that."""
    try:
        return settings.secret(name)
    except HcrunError:
        return ""


def _date(header: str) -> float | None:
    """An HTTP date, which proxies add; Healthchecks itself sends none."""
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def _check_api(settings: Settings, data: ServerData) -> Iterator[Finding]:
    key, read_key = (_secret(settings, f"HEALTHCHECKS_{kind}_KEY") for kind in ("API", "READ"))
    if key:
        try:
            client = _client(settings, key)
            data.checks = client.list_checks()
            data.channels = client.list_channels()
            yield ok(f"the API key is valid; its project has {counted(len(data.checks), 'check')}")
        except ApiError as problem:
            yield _failed("API key", problem, data)
    if read_key and not data.silent:
        try:
            slug = next((check.slug for check in data.checks or [] if check.slug), "")
            checks = _client(settings, read_key).list_checks(slug=slug)
            data.checks = checks if data.checks is None else data.checks
            yield evaluate_read_key(read_key, checks, slug)
        except ApiError as problem:
            yield _failed("read-only key", problem, data)
    if not (key or read_key):
        yield finding("no-api-key")


def _client(settings: Settings, key: str) -> HealthchecksClient:
    # It asks once, whatever HEALTHCHECKS_ENABLED says.
    settings = settings.over({"HEALTHCHECKS_RETRY_COUNT": "1", "HEALTHCHECKS_ENABLED": "true"})
    return HealthchecksClient(api_key=key, timeout=pings.TIMEOUT, _settings=settings)


def _failed(subject: str, problem: ApiError, data: ServerData) -> Finding:
    data.silent = not problem.status
    where = f"{problem.where} " if problem.where else ""
    return error(
        f"{subject}: {where}{problem.what}",
        "hcctl sync, status, report and doctor need it",
        problem.hint or "see the server's log: docker compose logs healthchecks",
    )


def evaluate_read_key(key: str, checks: list[RemoteCheck], slug: str) -> Finding:
    """`checks` are those with this `slug`, which the API key sees; all if it is ""."""
    if key.startswith("hcw_") or any(check.uuid for check in checks):
        return finding("read-write-key")
    if slug and not checks:
        return finding("other-read-key")
    size = "" if slug else f"; its project has {counted(len(checks), 'check')}"
    return ok(f"the read-only key is valid{size}")


def evaluate_overdue(checks: Iterable[RemoteCheck], now: float) -> Finding:
    """A check that is down and still expects a ping has not been alerted.

    A check with a run in progress expects its end, alerted or not.
    """
    waiting = [one for one in checks if one.status == "down" and not one.started]
    late = [(now - c.next_ping - c.grace, c.label) for c in waiting if c.next_ping]
    seconds, name = max(late, default=(0.0, ""))
    if seconds < _OVERDUE:
        return ok("no alert is overdue")
    return finding("overdue-alerts", number=len(late), name=name, seconds=seconds)


def _check_metrics(settings: Settings, data: ServerData) -> Iterator[Finding]:
    key = _secret(settings, "HEALTHCHECKS_METRICS_KEY")
    if not key:
        yield finding("no-metrics-key")
        return
    try:
        client = _client(settings, "-")
        unsent, data.clock = _metrics(client, key)
        until = time.monotonic() + _ALERT_TIME
        while unsent and time.monotonic() < until:  # some may just have come up
            time.sleep(0.5)
            unsent = min(unsent, _metrics(client, key)[0])
        yield finding("unsent", number=unsent) if unsent else ok("the server sends its alerts")
    except ApiError as problem:
        yield _failed("metrics", problem, data)


def _metrics(client: HealthchecksClient, key: str) -> tuple[int, float]:
    """State changes without an alert yet, and the server's clock."""
    connection = client.connect()
    answer = connection.ask("GET", "metrics/", headers={"X-Metrics-Key": key})
    if answer.status == 403:
        raise connection.error(
            "the server does not accept the metrics key",
            answer,
            "set HEALTHCHECKS_METRICS_KEY to METRICS_KEY of the server",
        )
    try:
        members = Members(connection.json(answer), "")
        return members.whole("num_unprocessed_flips"), members.number("ts") or 0.0
    except ValueError:
        raise ApiError("are not those of Healthchecks 4", status=200) from None


def evaluate_clock(theirs: float | None, ours: float) -> Finding:
    """Compare the clocks, in seconds since the epoch; `theirs` is None if it is not known."""
    if theirs is None:
        return finding("no-clock")
    ahead = ours - theirs
    if abs(ahead) < _SKEW_WARNING:
        return ok("the clocks of this host and the server agree")
    severity = "error" if abs(ahead) >= _SKEW_ERROR else "warning"
    direction = "ahead of" if ahead > 0 else "behind"
    at = datetime.fromtimestamp(theirs).astimezone().strftime("%H:%M:%S %Z")
    return finding("clock", severity=severity, ahead=abs(ahead), direction=direction, at=at)


def check_delivery(settings: Settings, data: ServerData) -> Iterator[Finding]:
    """Whether the last alerts were sent, as far as a setting says how to look into the server."""
    if not data.channels:
        return
    if not settings.get(inside.SETTING):
        yield finding("no-last-alerts", setting=inside.SETTING)
        return
    try:
        states = inside.states(settings)
    except HcrunError as problem:
        yield error(f"{problem.where}: {problem.what}", "channels are not checked", problem.hint)
        return
    for channel in data.channels:
        sent, trouble = states.get(channel.id, ("never", ""))
        if trouble or sent == "never":
            severity = "error" if trouble else "warning"
            name, trouble = channel.name or channel.kind, trouble or "has never sent an alert"
            yield finding("channel", severity=severity, name=name, trouble=trouble)
    is_tier_1 = any(f"{TIER_TAG}1" in check.tags for check in data.checks or ())
    if is_tier_1 and states["reminders"][0] == "never":
        yield finding("no-reminders")
