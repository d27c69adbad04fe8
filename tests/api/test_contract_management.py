"""The management API: one set of tests, for the stub and the real server, through our client.

The real one takes part in `make test-real`; the tests delete what they create there.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
import requests

from hcrun.api.models import Check as RemoteCheck
from hcrun.errors import ApiError
from tests.stub.healthchecks import HealthchecksStub
from tests.support.client import client_of
from tests.support.real import setting

DEFAULTS = {"desc": "", "grace": 3600, "n_pings": 0, "status": "new", "started": False}
DEFAULTS |= {"last_ping": None, "next_ping": None, "manual_resume": False, "methods": ""}
DEFAULTS |= dict.fromkeys(("subject", "subject_fail", "start_kw", "success_kw", "failure_kw"), "")
DEFAULTS |= dict.fromkeys(("filter_subject", "filter_body", "filter_http_body"), False)
DEFAULTS |= {"filter_default_fail": False}


@dataclass
class Server:
    url: str
    key: str
    read_key: str
    metrics_key: str
    ping_url: str
    made: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.client = client_of(self.url, self.key, tries=1)
        self.reader = client_of(self.url, self.read_key, tries=1)

    def raw(self, method: str, path: str, key: str | None = None, body: Any = None) -> Any:
        """Status and body, as they come."""
        headers = {"X-Api-Key": self.key if key is None else key}
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        reply = requests.request(
            method,
            f"{self.url}/{path}",
            headers=headers,
            data=data,
            timeout=20,
            allow_redirects=False,
        )
        kind = reply.headers["Content-Type"]
        return reply.status_code, reply.json() if kind == "application/json" else reply.text

    def add(self, **fields: Any) -> RemoteCheck:
        check = self.client.create_with(fields)
        self.made.append(check.uuid)
        return check

    def now(self, check: RemoteCheck) -> RemoteCheck:
        found = self.client.get_check(check.uuid)
        assert found
        return found

    def ping(self, check: RemoteCheck, action: str = "", body: str | bytes = "") -> None:
        reply = requests.post(f"{self.ping_url}/{check.uuid}{action}", data=body, timeout=20)
        reply.raise_for_status()


@contextlib.contextmanager
def real_server() -> Iterator[Server]:
    """The real one; checks that were made there are deleted at the end."""
    names = ("API_URL", "API_KEY", "READ_KEY", "METRICS_KEY", "PING_URL")
    server = Server(*map(setting, names))
    yield server
    for uuid in server.made:
        with contextlib.suppress(ApiError):  # deleted by its test
            server.client.delete_check(uuid)


@pytest.fixture(params=["stub", pytest.param("real", marks=pytest.mark.real)])
def server(request: pytest.FixtureRequest, stub: HealthchecksStub) -> Iterator[Server]:
    if request.param == "stub":
        stub.add_channel("Ops", "email")
        keys = (stub.api_key, stub.read_key, stub.metrics_key)
        yield Server(stub.api_url, *keys, stub.ping_url)
        return
    with real_server() as real:
        yield real


def error(status: int, text: str) -> tuple[int, dict[str, str]]:
    return status, {"error": text}


def test_a_new_check(server: Server) -> None:
    slug = f"c-{uuid4()}"
    check = server.add(name="Größe", slug=slug, tags="b a b", timeout=60, grace=120)
    root = server.url.removesuffix("/api/v3")
    url = f"{server.url}/checks/{check.uuid}"
    badge = check.raw["badge_url"]
    assert badge.startswith(f"{root}/b/2/")
    assert check.raw == DEFAULTS | {
        "name": "Größe",
        "slug": slug,
        "tags": "b a b",
        "grace": 120,
        "timeout": 60,
        "channels": "",
        "uuid": check.uuid,
        "ping_url": f"{server.ping_url}/{check.uuid}",
        "update_url": url,
        "pause_url": f"{url}/pause",
        "resume_url": f"{url}/resume",
        "badge_url": badge,
    }
    assert server.client.get_check(check.uuid) == check == server.client.get_check(slug)
    (read,) = server.reader.list_checks(slug=slug)
    hidden = ("uuid", "ping_url", "update_url", "pause_url", "resume_url", "channels")
    shown = {name: value for name, value in check.raw.items() if name not in hidden}
    assert read.raw == shown | {"unique_key": read.unique_key}
    assert server.reader.get_check(read.unique_key) == read
    assert server.client.get_check("no-such-slug") is None


def test_lists_by_tags(server: Server) -> None:
    one, two = f"t{uuid4()}", f"t{uuid4()}"
    both = server.add(name="both", tags=f"{one} {two}")
    first = server.add(name="first", tags=one)
    server.add(name="longer", tags=f"{one}x")
    assert {check.uuid for check in server.client.list_checks(one)} == {both.uuid, first.uuid}
    assert [check.uuid for check in server.client.list_checks(f"{one} {two}")] == [both.uuid]


def test_schedules(server: Server) -> None:
    check = server.add(name="cron", schedule="*/5 * * * *", tz="Europe/Kiev")
    assert (check.timeout, check.schedule, check.zone) == (None, "*/5 * * * *", "Europe/Kyiv")
    check = server.client.update_check(check.uuid, schedule="Mon..Fri 10:00", tz="UTC")
    assert (check.timeout, check.schedule, check.zone) == (None, "Mon..Fri 10:00", "UTC")
    check = server.client.update_check(check.uuid, timeout=300)
    assert (check.timeout, check.schedule, check.zone) == (300, "", "")


def test_an_update_changes_what_it_names(server: Server) -> None:
    check = server.add(name="before", slug=f"c-{uuid4()}", tags="a", timeout=300, desc="words")
    after = server.client.update_check(check.uuid, name="after", manual_resume=True)
    assert after.raw == check.raw | {"name": "after", "manual_resume": True}
    assert server.client.get_check(check.uuid) == after


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"timeout": "60"}, "timeout is not a number"),
        ({"timeout": 90.0}, "timeout is not a number"),
        ({"grace": 59}, "grace is too small"),
        ({"grace": 31536001}, "grace is too large"),
        ({"name": None}, "name is not a string"),
        ({"name": "n" * 101}, "name is too long"),
        ({"slug": "Upper"}, "slug does not match pattern"),
        ({"slug": "s" * 101}, "slug is too long"),
        ({"tags": ["a"]}, "tags is not a string"),
        ({"schedule": "@daily"}, "schedule is not a valid cron or OnCalendar expression"),
        ({"schedule": "* * * * 9"}, "schedule is not a valid cron or OnCalendar expression"),
        ({"schedule": "* " * 51}, "schedule is too long"),
        ({"tz": "Mars/Olympus"}, "tz is not a valid timezone"),
        ({"methods": "GET"}, "methods has unexpected value"),
        ({"manual_resume": 1}, "manual_resume is not a boolean"),
        ({"start_kw": "k" * 201}, "start_kw is too long"),
    ],
)
def test_what_is_refused(spec: dict[str, Any], text: str, server: Server) -> None:
    assert server.raw("POST", "checks/", body=spec) == error(400, f"json validation error: {text}")


def test_what_is_no_request(server: Server) -> None:
    assert server.raw("POST", "checks/", body="[") == error(400, "could not parse request body")
    assert server.raw("POST", "checks/", body=[1]) == error(
        400, "json validation error: value is not an object"
    )
    assert server.raw("PUT", "checks/", body={}) == (405, "")
    assert server.raw("GET", "checks") == (301, "")
    assert server.raw("POST", "checks", body={"name": "x"}) == (301, "")
    status, page = server.raw("GET", "nothing/")
    assert (status, "<h1>Not Found</h1>" in page) == (404, True)


def test_keys(server: Server) -> None:
    check = server.add(name="keys")
    for path in ("checks/", "channels/", f"checks/{check.uuid}", f"checks/{check.uuid}/flips/"):
        assert server.raw("GET", path, key="short") == error(401, "missing api key")
        assert server.raw("GET", path, key="x" * 32) == error(401, "wrong api key")
    for path in ("channels/", f"checks/{check.uuid}/pings/"):
        assert server.raw("GET", path, key=server.read_key) == error(401, "wrong api key")
    assert server.raw("POST", "checks/", key=server.read_key, body={}) == error(
        401, "wrong api key"
    )


def test_no_such_check(server: Server) -> None:
    gone = server.add(name="gone")
    server.client.delete_check(gone.uuid)
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", ""), ("POST", "/pause")):
        status, page = server.raw(method, f"checks/{gone.uuid}{path}")
        assert (status, "<h1>Not Found</h1>" in page) == (404, True)
    assert server.raw("GET", f"checks/{'0' * 40}") == (404, "")


def test_pause_and_resume(server: Server) -> None:
    check = server.add(name="p", timeout=3600)
    assert server.raw("POST", f"checks/{check.uuid}/resume") == (409, "check is not paused")
    server.ping(check)
    assert server.now(check).status == "up"
    assert server.client.pause_check(check.uuid).status == "paused"
    assert server.client.pause_check(check.uuid).status == "paused"
    updated = server.client.update_check(check.uuid, name="q", timeout=60, grace=60)
    assert (updated.status, updated.name, updated.next_ping) == ("paused", "q", None)
    assert server.client.resume_check(check.uuid).status == "new"
    flips = server.client.list_flips(check.uuid)
    assert [flip.up for flip in flips] == [False, False, True]
    assert server.client.list_flips(check.uuid, start=time.time() + 60) == []
    assert (
        server.client.list_flips(check.uuid, start=time.time() - 60, end=time.time() + 60) == flips
    )
    assert server.raw("GET", f"checks/{check.uuid}/flips/?start=x") == (400, "")


def test_pings_and_their_bodies(server: Server) -> None:
    check = server.add(name="p", timeout=3600)
    rid = str(uuid4())
    began = int(time.time())
    server.ping(check, f"/start?rid={rid}")
    server.ping(check, f"?rid={rid}", "words: ä")
    server.ping(check, "/log", "more")
    server.ping(check, "/7")
    fail, log, success, start = server.client.list_pings(check.uuid)
    assert [p.type for p in (fail, log, success, start)] == ["fail", "log", "success", "start"]
    assert [p.number for p in (fail, log, success, start)] == [4, 3, 2, 1]
    assert [p.has_body for p in (fail, log, success, start)] == [False, True, True, False]
    assert (start.rid, success.rid, log.rid) == (rid, rid, "")
    assert (start.duration, success.duration is not None) == (None, True)
    assert began - 1 <= start.date <= success.date <= time.time() + 1
    assert (success.body(), start.body()) == ("words: ä", "")
    after = server.now(check)
    assert (after.status, after.pings, after.next_ping) == ("down", 4, None)
    assert after.last_ping is not None
    assert began - 1 <= after.last_ping <= time.time() + 1


def test_next_ping(server: Server) -> None:
    simple, cron = server.add(name="s", timeout=3600), server.add(name="c", schedule="0 3 * * *")
    for check in (simple, cron):
        server.ping(check)
    after = server.now(simple)
    assert after.last_ping is not None
    assert after.next_ping == after.last_ping + 3600
    found = server.now(cron).next_ping
    assert found is not None
    assert found % 86400 == 3 * 3600
    server.ping(simple, "/start")
    after = server.now(simple)
    assert (after.started, after.status) == (True, "up")
    assert after.next_ping is not None
    assert after.next_ping <= time.time() + 1


def test_channels(server: Server) -> None:
    channels = server.client.list_channels()
    one = next(c for c in channels if [x.name for x in channels].count(c.name) == 1)
    check = server.add(name="by name", channels=one.name)
    assert check.channels == (one.id,)
    assert server.client.update_check(check.uuid, channels="").channels == ()
    assert server.client.update_check(check.uuid, channels=one.id).channels == (one.id,)
    every = server.client.update_check(check.uuid, channels="*")
    assert set(every.channels) == {channel.id for channel in channels}
    path = f"checks/{check.uuid}"
    for names, text in (
        ("nobody", "invalid channel identifier: nobody"),
        (f"{one.name},", "empty channel identifier"),
        (f"{one.name}, {one.name}", f"invalid channel identifier:  {one.name}"),
    ):
        assert server.raw("POST", path, body={"channels": names, "name": "no"}) == error(400, text)
    assert server.client.get_check(check.uuid) == every
    with pytest.raises(ApiError):
        server.reader.list_channels()
