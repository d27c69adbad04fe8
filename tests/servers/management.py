"""The management API of the stub. test_contract_management.py compares it with a real server's."""

import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError
from oncalendar import OnCalendar, OnCalendarError

from tests.servers.stored import Channel, Check, Ping, Request, page, reply

if TYPE_CHECKING:
    from tests.stub.healthchecks import HealthchecksStub

UUID_TEXT = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# A few of the names that the server replaces.
LEGACY_ZONES = {"Europe/Kiev": "Europe/Kyiv", "Zulu": "Etc/UTC", "US/Eastern": "America/New_York"}
TEXTS = {"name": 100, "slug": 100, "schedule": 100, "tags": None, "desc": None, "tz": None}
TEXTS |= {"channels": None, "methods": None}
TEXTS |= dict.fromkeys(("subject", "subject_fail", "start_kw", "success_kw", "failure_kw"), 200)
SWITCHES = (
    *("manual_resume", "filter_subject", "filter_body", "filter_http_body"),
    "filter_default_fail",
)
AS_STORED = (
    *("name", "slug", "tags", "desc", "status", "started", "methods"),
    *("start_kw", "success_kw", "failure_kw"),
)
PINGS_KEPT = 100


class RefusedError(Exception):
    """What the server answers instead."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer


@dataclass
class Call:
    """An authorized request: the JSON that was sent, and the check and ping that the path names."""

    stub: "HealthchecksStub"
    request: Request
    spec: Any = None
    check: Any = None
    number: int = 0

    def shown(self, check: Check) -> dict[str, Any]:
        read_only = self.request.headers["x-api-key"] == self.stub.read_key
        return shown(self.stub, check, read_only)


def answer(stub: "HealthchecksStub", request: Request, path: str) -> bytes:
    """`path` is what follows /api/, as in `v3/checks/`."""
    version, _, path = path.partition("/")
    if version not in ("v1", "v2", "v3"):
        return page(404)
    for pattern, methods in VIEWS.items():
        if found := re.fullmatch(pattern, path):
            if request.method not in methods:
                return reply(405)
            try:
                return methods[request.method](prepared(stub, request, **found.groupdict()))
            except RefusedError as refused:
                return refused.answer
    if path + "/" in VIEWS:
        return reply(301, headers={"Location": request.path + "/"})
    return page(404)


def prepared(
    stub: "HealthchecksStub", request: Request, one: str | None = None, number: str = "0"
) -> Call:
    """Raises RefusedError for a key that may not do this, and for a check that is not there."""
    if request.path.endswith(("/metrics/", "/status/")):
        return Call(stub, request)
    path = request.path.rpartition("/v")[2]
    write = request.method != "GET" or "/pings/" in path or path.endswith("/channels/")
    call = Call(stub, request, authorize(stub, request, write), number=int(number))
    if one:
        found = [check for check in stub.checks if one in (check.uuid, unique(check))]
        if not found:
            raise RefusedError(reply(404) if len(one) == 40 else page(404))
        (call.check,) = found
    return call


def said(value: Any, status: int = 200) -> bytes:
    return reply(status, json.dumps(value), kind="application/json")


def refused(error: str, status: int = 400) -> RefusedError:
    return RefusedError(said({"error": error}, status))


def authorize(stub: "HealthchecksStub", request: Request, write: bool) -> Any:
    """The JSON that was sent; raises RefusedError for a key that may not do this."""
    try:
        spec = json.loads(request.body) if request.method == "POST" and request.body else {}
    except ValueError:
        raise refused("could not parse request body") from None
    if not isinstance(spec, dict):
        raise refused("json validation error: value is not an object")
    key = request.headers.get("x-api-key", "")
    if len(key) != 32:
        raise refused("missing api key", 401)
    if key != stub.api_key and (write or key != stub.read_key):
        raise refused("wrong api key", 401)
    return spec


def unique(check: Check) -> str:
    return hashlib.sha1(check.uuid.replace("-", "")[:16].encode()).hexdigest()  # noqa: S324 - the server's


# Views


def checks(call: Call) -> bytes:
    query = parse_qs(call.request.target.partition("?")[2])
    tags, slugs = set(query.get("tag", [])), query.get("slug", [])
    found = [
        call.shown(check)
        for check in call.stub.checks
        if tags <= set(check.tags.split()) and (not slugs or check.slug == slugs[-1])
    ]
    return said({"checks": found})


def create(call: Call) -> bytes:
    spec = validated(call.spec)
    if len(call.stub.checks) >= call.stub.check_limit:
        return reply(403)
    check = Check()
    update(call.stub, check, spec)
    call.stub.checks.append(check)
    return said(call.shown(check), 201)


def single(call: Call) -> bytes:
    return said(call.shown(call.check))


def change(call: Call) -> bytes:
    update(call.stub, call.check, validated(call.spec))
    return single(call)


def delete(call: Call) -> bytes:
    call.stub.checks.remove(call.check)
    return single(call)


def pause(call: Call) -> bytes:
    call.check.pause()
    return single(call)


def resume(call: Call) -> bytes:
    if call.check.stored_status != "paused":
        return reply(409, "check is not paused")
    call.check.resume()
    return single(call)


def pings(call: Call) -> bytes:
    newest = reversed(call.check.pings[-PINGS_KEPT:])
    return said({"pings": [shown_ping(call.stub, call.check, ping) for ping in newest]})


def ping_body(call: Call) -> bytes:
    for ping in call.check.pings[-PINGS_KEPT:]:
        if ping.n == call.number and ping.body:
            return reply(200, ping.body, kind="text/plain")
    return page(404)


def flips(call: Call) -> bytes:
    try:
        limits = {name: int(value) for name, value in call.request.params.items()}
    except ValueError:
        return reply(400)
    since = limits.get("start", 0)
    if "seconds" in limits:
        since = max(since, int(time.time()) - limits["seconds"])
    until = limits.get("end", 1 << 40)
    found = [
        {"timestamp": iso(int(flip.at)), "up": int(flip.status == "up")}
        for flip in reversed(call.check.flips)
        if since <= flip.at < until
    ]
    return said({"flips": found})


def channels(call: Call) -> bytes:
    return said({"channels": [asdict(channel) for channel in call.stub.channels]})


def metrics(call: Call) -> bytes:
    if call.request.headers.get("x-metrics-key") != call.stub.metrics_key:
        return reply(403)
    pinged = sum(len(check.pings) for check in call.stub.checks)
    counted = {"ts": int(time.time()), "max_ping_id": pinged or None, "max_notification_id": None}
    return said(counted | {"num_unprocessed_flips": call.stub.unsent_alerts})


ONE = f"checks/(?P<one>{UUID_TEXT})"
UUID_OR_KEY = f"checks/(?P<one>{UUID_TEXT}|[A-z0-9]{{40}})"
VIEWS: dict[str, dict[str, Callable[[Call], bytes]]] = {
    "checks/": {"GET": checks, "POST": create},
    ONE: {"GET": single, "POST": change, "DELETE": delete},
    UUID_OR_KEY: {"GET": single},
    f"{ONE}/pause": {"POST": pause},
    f"{ONE}/resume": {"POST": resume},
    f"{ONE}/pings/": {"GET": pings},
    f"{ONE}/pings/(?P<number>[0-9]+)/body": {"GET": ping_body},
    f"{UUID_OR_KEY}/flips/": {"GET": flips},
    "channels/": {"GET": channels},
    "metrics/": {"GET": metrics},
    "status/": {"GET": lambda _: reply(200, "OK")},
}


# What is sent, and what is shown


def validated(spec: dict[str, Any]) -> dict[str, Any]:
    """What the server knows of `spec`; raises RefusedError for its first error."""
    for name, maximum in TEXTS.items():
        if name in spec:
            check_text(name, spec[name], maximum)
    for name in SWITCHES:
        if name in spec and type(spec[name]) is not bool:
            raise invalid(f"{name} is not a boolean")
    for name in ("timeout", "grace"):
        if name in spec:
            check_seconds(name, spec[name])
    known = {*TEXTS, *SWITCHES, "timeout", "grace"}
    return {name: value for name, value in spec.items() if name in known}


def invalid(text: str) -> RefusedError:
    return refused(f"json validation error: {text}")


def check_text(name: str, value: object, maximum: int | None) -> None:
    if name == "methods":
        if value not in ("", "POST"):
            raise invalid("methods has unexpected value")
        return
    if not isinstance(value, str):
        raise invalid(f"{name} is not a string")
    if maximum is not None and len(value) > maximum:
        raise invalid(f"{name} is too long")
    if name == "slug" and not re.fullmatch("[a-z0-9-_]*", value):
        raise invalid("slug does not match pattern")
    if name == "schedule" and not runs_some_time(value):
        raise invalid("schedule is not a valid cron or OnCalendar expression")
    if name == "tz" and value not in {*available_timezones(), *LEGACY_ZONES}:
        raise invalid("tz is not a valid timezone")


def check_seconds(name: str, value: object) -> None:
    if type(value) is not int:
        raise invalid(f"{name} is not a number")
    if value < 60:
        raise invalid(f"{name} is too small")
    if value > 31536000:
        raise invalid(f"{name} is too large")


def runs_some_time(schedule: str) -> bool:
    try:
        if len(schedule.split()) == 5 and "\n" not in schedule.strip():
            next(CronSim(schedule, datetime(2000, 1, 1)))
        else:
            next(OnCalendar(schedule, datetime(2000, 1, 1, tzinfo=UTC)))
    except (CronSimError, OnCalendarError, StopIteration):
        return False
    return True


def update(stub: "HealthchecksStub", check: Check, spec: dict[str, Any]) -> None:
    assigned = assignment(stub.channels, spec["channels"]) if "channels" in spec else None
    if len(spec.get("tags", "")) > 500:  # the column's length, on PostgreSQL
        raise RefusedError(page(500))
    if spec.get("schedule"):
        check.schedule = spec["schedule"]
    elif "timeout" in spec:
        check.schedule, check.timeout = "", spec["timeout"]
    if "tz" in spec:
        check.tz = LEGACY_ZONES.get(spec["tz"], spec["tz"])
    for name in {*TEXTS, *SWITCHES, "grace"} - {"schedule", "tz", "channels"}:
        if name in spec and hasattr(check, name):
            setattr(check, name, spec[name])
    if assigned is not None:
        check.channels = assigned


def assignment(channels: list[Channel], names: str) -> set[str]:
    """The ids that `"*"`, `""` or a list of names and ids mean."""
    if names in ("*", ""):
        return {channel.id for channel in channels} if names else set()
    found = set()
    for name in names.split(","):
        if not name:
            raise refused("empty channel identifier")
        ids = [channel.id for channel in channels if name in (channel.id, channel.name)]
        if len(ids) != 1:
            raise refused(f"{'non-unique' if ids else 'invalid'} channel identifier: {name}")
        found.add(ids[0])
    return found


def shown(stub: "HealthchecksStub", check: Check, readonly: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "grace": int(check.grace),
        "n_pings": len(check.pings),
        "last_ping": moment(check.last_ping),
        "next_ping": moment(check.next_ping),
        "subject": check.success_kw if check.filter_subject else "",
        "subject_fail": check.failure_kw if check.filter_subject else "",
        "badge_url": f"{stub.site_root}/b/2/{check.badge_key}.svg",
    }
    found |= {name: getattr(check, name) for name in (*AS_STORED, *SWITCHES)}
    if check.last_duration:
        found["last_duration"] = int(check.last_duration)
    if readonly:
        found["unique_key"] = unique(check)
    else:
        url = f"{stub.api_url}/checks/{check.uuid}"
        found |= {"uuid": check.uuid, "ping_url": f"{stub.ping_url}/{check.uuid}"}
        found |= {"update_url": url, "pause_url": f"{url}/pause", "resume_url": f"{url}/resume"}
        found["channels"] = ",".join(sorted(check.channels))
    if check.schedule:
        return found | {"schedule": check.schedule, "tz": check.tz}
    return found | {"timeout": int(check.timeout)}


def shown_ping(stub: "HealthchecksStub", check: Check, ping: Ping) -> dict[str, Any]:
    body = f"{stub.api_url}/checks/{check.uuid}/pings/{ping.n}/body" if ping.body else None
    found = {
        "type": ping.kind,
        "date": datetime.fromtimestamp(ping.received_wall, UTC).isoformat(),
        "n": ping.n,
        "scheme": "http",
        "remote_addr": "127.0.0.1",
        "method": ping.method,
        "ua": ping.ua,
        "rid": ping.rid,
        "body_url": body,
    }
    return found if ping.duration is None else found | {"duration": round(ping.duration, 2)}


def moment(monotonic: float | None) -> str | None:
    """A time of the stub's clock as the server writes it, in whole seconds."""
    if monotonic is None:
        return None
    # Rounded, as two looks at two clocks are never the same moment.
    return iso(int(round(time.time() - time.monotonic() + monotonic, 2)))


def iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
