"""The management API of the stub. test_contract_management.py compares it with a real server's."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
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
ONE = f"checks/(?P<uuid>{UUID_TEXT})"
# A few of the names that the server replaces.
LEGACY_ZONES = {"Europe/Kiev": "Europe/Kyiv", "Zulu": "Etc/UTC", "US/Eastern": "America/New_York"}
TEXTS = {"name": 100, "slug": 100, "schedule": 100, "tags": None, "desc": None, "tz": None}
TEXTS |= {"channels": None, "methods": None}
TEXTS |= dict.fromkeys(("subject", "subject_fail", "start_kw", "success_kw", "failure_kw"), 200)
SWITCHES = (
    *("manual_resume", "filter_subject", "filter_body", "filter_http_body"),
    "filter_default_fail",
)
PINGS_KEPT = 100


class RefusedError(Exception):
    """What the server answers instead."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer


def answer(stub: HealthchecksStub, request: Request, path: str) -> bytes:
    """`path` is what follows /api/, as in `v3/checks/`."""
    version, _, path = path.partition("/")
    if version not in ("v1", "v2", "v3"):
        return page(404)
    try:
        for pattern, methods in VIEWS.items():
            if found := re.fullmatch(pattern, path):
                view = methods.get(request.method)
                return view(stub, request, **found.groupdict()) if view else reply(405)
        if path + "/" in VIEWS:
            return reply(301, headers={"Location": request.path + "/"})
        return page(404)
    except RefusedError as refused:
        return refused.answer


def said(value: Any, status: int = 200) -> bytes:
    return reply(status, json.dumps(value), kind="application/json")


def refused(error: str, status: int = 400) -> RefusedError:
    return RefusedError(said({"error": error}, status))


def authorize(stub: HealthchecksStub, request: Request, *, write: bool = True) -> Any:
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


def read_only(stub: HealthchecksStub, request: Request) -> bool:
    return request.headers["x-api-key"] == stub.read_key


def one(stub: HealthchecksStub, uuid: str) -> Check:
    """Raises RefusedError when there is none."""
    for check in stub.checks:
        if check.uuid == uuid:
            return check
    raise RefusedError(page(404))


def by_unique_key(stub: HealthchecksStub, unique_key: str) -> Check:
    for check in stub.checks:
        if unique(check) == unique_key:
            return check
    raise RefusedError(reply(404))


def unique(check: Check) -> str:
    return hashlib.sha1(check.uuid.replace("-", "")[:16].encode()).hexdigest()  # noqa: S324 - the server's


# Views


def checks(stub: HealthchecksStub, request: Request) -> bytes:
    authorize(stub, request, write=False)
    query = parse_qs(request.target.partition("?")[2])
    tags, slugs = set(query.get("tag", [])), query.get("slug", [])
    found = [
        shown(stub, check, read_only(stub, request))
        for check in stub.checks
        if tags <= set(check.tags.split()) and (not slugs or check.slug == slugs[-1])
    ]
    return said({"checks": found})


def create(stub: HealthchecksStub, request: Request) -> bytes:
    spec = validated(authorize(stub, request))
    if len(stub.checks) >= stub.check_limit:
        return reply(403)
    check = Check()
    update(stub, check, spec)
    stub.checks.append(check)
    return said(shown(stub, check), 201)


def single(stub: HealthchecksStub, request: Request, uuid: str) -> bytes:
    authorize(stub, request, write=False)
    return said(shown(stub, one(stub, uuid), read_only(stub, request)))


def single_by_key(stub: HealthchecksStub, request: Request, unique_key: str) -> bytes:
    authorize(stub, request, write=False)
    return said(shown(stub, by_unique_key(stub, unique_key), read_only(stub, request)))


def change(stub: HealthchecksStub, request: Request, uuid: str) -> bytes:
    spec = authorize(stub, request)
    check = one(stub, uuid)
    update(stub, check, validated(spec))
    return said(shown(stub, check))


def delete(stub: HealthchecksStub, request: Request, uuid: str) -> bytes:
    authorize(stub, request)
    check = one(stub, uuid)
    stub.checks.remove(check)
    return said(shown(stub, check))


def pause(stub: HealthchecksStub, request: Request, uuid: str) -> bytes:
    authorize(stub, request)
    check = one(stub, uuid)
    check.pause()
    return said(shown(stub, check))


def resume(stub: HealthchecksStub, request: Request, uuid: str) -> bytes:
    authorize(stub, request)
    check = one(stub, uuid)
    if check.stored_status != "paused":
        return reply(409, "check is not paused")
    check.resume()
    return said(shown(stub, check))


def pings(stub: HealthchecksStub, request: Request, uuid: str) -> bytes:
    authorize(stub, request)
    check = one(stub, uuid)
    newest = reversed(check.pings[-PINGS_KEPT:])
    return said({"pings": [shown_ping(stub, check, ping) for ping in newest]})


def ping_body(stub: HealthchecksStub, request: Request, uuid: str, number: str) -> bytes:
    authorize(stub, request)
    for ping in one(stub, uuid).pings[-PINGS_KEPT:]:
        if ping.n == int(number) and ping.body:
            return reply(200, ping.body, kind="text/plain")
    return page(404)


def flips(stub: HealthchecksStub, request: Request, uuid: str) -> bytes:
    authorize(stub, request, write=False)
    return flips_of(one(stub, uuid), request)


def flips_by_key(stub: HealthchecksStub, request: Request, unique_key: str) -> bytes:
    authorize(stub, request, write=False)
    return flips_of(by_unique_key(stub, unique_key), request)


def flips_of(check: Check, request: Request) -> bytes:
    try:
        limits = {name: int(value) for name, value in request.params.items()}
    except ValueError:
        return reply(400)
    since = limits.get("start", 0)
    if "seconds" in limits:
        since = max(since, int(time.time()) - limits["seconds"])
    until = limits.get("end", 1 << 40)
    found = [
        {"timestamp": iso(int(flip.at)), "up": int(flip.status == "up")}
        for flip in reversed(check.flips)
        if since <= flip.at < until
    ]
    return said({"flips": found})


def channels(stub: HealthchecksStub, request: Request) -> bytes:
    authorize(stub, request)
    found = [{"id": c.id, "name": c.name, "kind": c.kind} for c in stub.channels]
    return said({"channels": found})


def metrics(stub: HealthchecksStub, request: Request) -> bytes:
    if request.headers.get("x-metrics-key") != stub.metrics_key:
        return reply(403)
    pinged = sum(len(check.pings) for check in stub.checks)
    counted = {"ts": int(time.time()), "max_ping_id": pinged or None, "max_notification_id": None}
    return said(counted | {"num_unprocessed_flips": stub.unsent_alerts})


def status(stub: HealthchecksStub, request: Request) -> bytes:  # noqa: ARG001 - as all views
    return reply(200, "OK")


KEY = "checks/(?P<unique_key>[A-z0-9]{40})"
VIEWS: dict[str, dict[str, Callable[..., bytes]]] = {
    "checks/": {"GET": checks, "POST": create},
    ONE: {"GET": single, "POST": change, "DELETE": delete},
    KEY: {"GET": single_by_key},
    f"{ONE}/pause": {"POST": pause},
    f"{ONE}/resume": {"POST": resume},
    f"{ONE}/pings/": {"GET": pings},
    f"{ONE}/pings/(?P<number>[0-9]+)/body": {"GET": ping_body},
    f"{ONE}/flips/": {"GET": flips},
    f"{KEY}/flips/": {"GET": flips_by_key},
    "channels/": {"GET": channels},
    "metrics/": {"GET": metrics},
    "status/": {"GET": status},
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


def update(stub: HealthchecksStub, check: Check, spec: dict[str, Any]) -> None:
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


def shown(stub: HealthchecksStub, check: Check, readonly: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": check.name,
        "slug": check.slug,
        "tags": check.tags,
        "desc": check.desc,
        "grace": int(check.grace),
        "n_pings": len(check.pings),
        "status": check.status,
        "started": check.started,
        "last_ping": moment(check.last_ping),
        "next_ping": moment(check.next_ping),
        "manual_resume": check.manual_resume,
        "methods": check.methods,
        "subject": check.success_kw if check.filter_subject else "",
        "subject_fail": check.failure_kw if check.filter_subject else "",
        "start_kw": check.start_kw,
        "success_kw": check.success_kw,
        "failure_kw": check.failure_kw,
    }
    found |= {name: getattr(check, name) for name in SWITCHES}
    found["badge_url"] = f"{stub.site_root}/b/2/{check.badge_key}.svg"
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


def shown_ping(stub: HealthchecksStub, check: Check, ping: Ping) -> dict[str, Any]:
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
