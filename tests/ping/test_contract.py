"""What hcrun relies on in a Healthchecks server: one set of tests, for the stub and the real one.

The real one takes part in `make test-real`. That each fault of the stub strikes, test_pings shows.
"""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import requests

from tests.stub.healthchecks import Fault, HealthchecksStub, delays, hangs, resets
from tests.support.real import setting

UPLOAD_LIMIT = 2621440
NOT_FOUND_PAGE = """
<!doctype html>
<html lang="en">
<head>
  <title>Not Found</title>
</head>
<body>
  <h1>Not Found</h1><p>The requested resource was not found on this server.</p>
</body>
</html>
"""
SERVER_ERROR = "<title>Server Error (500)</title>"
BAD_REQUEST = "<title>Bad Request (400)</title>"


@dataclass(frozen=True)
class Answer:
    """A reply, read until the server hung up."""

    status: int
    headers: dict[str, str]
    body: str

    def __eq__(self, other: object) -> bool:
        return (self.status, self.body) == other


class Kept(NamedTuple):
    """A ping as the server shows it afterwards."""

    kind: str
    method: str
    rid: str | None
    body: bytes


class State(NamedTuple):
    status: str
    started: bool
    timed: bool  # the last run has a duration


class Server:
    """A server, as its management API shows it."""

    def __init__(self, ping_url: str, ping_key: str, api_url: str, api_key: str) -> None:
        self.ping_url, self.ping_key = ping_url, ping_key
        self.api_url, self.headers = f"{api_url}/checks/", {"X-Api-Key": api_key}
        self.made: list[str] = []

    def call(self, method: str, path: str = "", **kwargs: Any) -> requests.Response:
        url = self.api_url + path
        reply = requests.request(method, url, headers=self.headers, timeout=10, **kwargs)
        reply.raise_for_status()
        return reply

    def add(self, slug: str = "", **spec: Any) -> str:
        check = self.call("POST", json={"name": "contract", "slug": slug, **spec}).json()
        self.made.append(check["uuid"])
        return self.made[-1]

    def uuid_of(self, slug: str) -> str:
        (check,) = self.call("GET", params={"slug": slug}).json()["checks"]
        self.made.append(check["uuid"])
        return self.made[-1]

    def state(self, uuid: str) -> State:
        check = self.call("GET", uuid).json()
        return State(check["status"], check["started"], "last_duration" in check)

    def pings(self, uuid: str) -> list[Kept]:
        """The oldest first."""
        pings = self.call("GET", f"{uuid}/pings/").json()["pings"]
        return [Kept(p["type"], p["method"], p["rid"], self.body(uuid, p)) for p in reversed(pings)]

    def body(self, uuid: str, ping: dict[str, Any]) -> bytes:
        path = f"{uuid}/pings/{ping['n']}/body"
        return self.call("GET", path).content if ping["body_url"] else b""


@contextmanager
def real_server() -> Iterator[Server]:
    """The real one; checks that were made there are deleted at the end."""
    server = Server(*map(setting, ("PING_URL", "PING_KEY", "API_URL", "API_KEY")))
    yield server
    for uuid in set(server.made):
        server.call("DELETE", uuid)


@pytest.fixture(params=["stub", pytest.param("real", marks=pytest.mark.real)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "stub":
        stub: HealthchecksStub = request.getfixturevalue("stub")
        yield Server(stub.ping_url, stub.ping_key, stub.api_url, stub.api_key)
        return
    with real_server() as real:
        yield real


def converse(url: str, data: bytes) -> bytes:
    """Send bytes to the server of this URL, and read until it hangs up."""
    parts = urlsplit(url)
    assert parts.hostname
    port = parts.port or (443 if parts.scheme == "https" else 80)
    conn = socket.create_connection((parts.hostname, port), timeout=10)
    if parts.scheme == "https":
        conn = ssl.create_default_context().wrap_socket(conn, server_hostname=parts.hostname)
    with conn:
        conn.sendall(data)
        chunks = iter(lambda: conn.recv(65536), b"")
        return b"".join(chunks)


def ask(url: str, method: str = "POST", body: bytes = b"", *headers: str) -> Answer:
    """One request, written by hand: nothing added, no redirect followed."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", *headers]
    if not any(h.startswith("Transfer-Encoding") for h in headers):
        lines.append(f"Content-Length: {len(body)}")
    raw = converse(url, "\r\n".join([*lines, "", ""]).encode() + body)
    head, _, text = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    pairs = (line.partition(": ")[::2] for line in rest)
    return Answer(int(first.split()[1]), {k.lower(): v for k, v in pairs}, text.decode())


def new_slug() -> str:
    return f"contract-{uuid4().hex}"


class MonitoredCheck:
    """A check of a server, with the words the tests below are written in."""

    def __init__(self, server: Server, **spec: Any) -> None:
        self.server, self.slug = server, new_slug()
        self.uuid = server.add(self.slug, **spec)
        self.url = f"{server.ping_url}/{self.uuid}"
        self.slug_url = f"{server.ping_url}/{server.ping_key}/{self.slug}"

    def ping(self, action: str = "", rid: str | None = None, body: bytes = b"") -> None:
        url = self.url + (f"/{action}" if action else "") + (f"?rid={rid}" if rid else "")
        assert ask(url, "POST", body) == (200, "OK")

    @property
    def state(self) -> State:
        return self.server.state(self.uuid)

    @property
    def kinds(self) -> list[str]:
        return [ping.kind for ping in self.server.pings(self.uuid)]

    @property
    def last(self) -> Kept:
        return self.server.pings(self.uuid)[-1]


@pytest.fixture
def check(server: Server) -> MonitoredCheck:
    return MonitoredCheck(server)


# Replies


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_any_method_pings(check: MonitoredCheck, method: str) -> None:
    answer = ask(check.url, method)
    assert answer.status == 200
    assert answer.headers["ping-body-limit"] == "10000"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-length"] == "2"
    assert (check.last.kind, check.last.method) == ("success", method)


def test_hangs_up_without_saying_so(check: MonitoredCheck) -> None:
    answer = ask(check.url, "GET", b"", "Connection: keep-alive")  # ends: so it hung up
    assert answer == (200, "OK")
    assert "connection" not in answer.headers


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("start", "start"),
        ("log", "log"),
        ("fail", "fail"),
        ("0", "success"),
        ("000", "success"),
        ("1", "fail"),
        ("255", "fail"),
    ],
)
def test_actions(check: MonitoredCheck, action: str, kind: str) -> None:
    assert ask(f"{check.url}/{action}") == (200, "OK")
    assert ask(f"{check.slug_url}/{action}") == (200, "OK")
    assert check.kinds == [kind, kind]


def test_exit_status_over_255(check: MonitoredCheck) -> None:
    for url in (check.url, check.slug_url):
        for exitstatus in ("256", "99999999999999999999"):
            assert ask(f"{url}/{exitstatus}") == (400, "invalid url format")
    assert check.kinds == []


def test_a_slash_after_a_uuid_is_forgiven(check: MonitoredCheck) -> None:
    assert ask(f"{check.url}/") == (200, "OK")


@pytest.mark.parametrize(
    "path",
    [
        "{uuid}",
        "{uuid}/start",
        "{uuid}/256",
        "{key}/no-such-slug",
        "{key}/no-such-slug/256",
        "{KEY}/{slug}",
        "no-such-key/{slug}",
        "no-such-key/{slug}?create=1",
        "{key}/no-such-slug?create=true",
        "{UUID}/start",  # taken for a ping key and a slug
    ],
)
def test_not_found(server: Server, path: str) -> None:
    check, key = MonitoredCheck(server), server.ping_key
    names = {"uuid": uuid4(), "UUID": check.uuid.upper(), "slug": check.slug}
    url = f"{server.ping_url}/{path.format(key=key, KEY=key.upper(), **names)}"
    assert ask(url) == (404, "not found")
    assert check.kinds == []


@pytest.mark.parametrize(
    "path",
    ["{UUID}", "{uuid}/start/", "{key}/{slug}/", "{key}/{slug}/START", "{key}/no.slug", "/{uuid}"],
)
def test_no_such_url(server: Server, path: str) -> None:
    check = MonitoredCheck(server)
    names = {"uuid": check.uuid, "UUID": check.uuid.upper(), "slug": check.slug}
    url = f"{server.ping_url}/{path.format(key=server.ping_key, **names)}"
    assert ask(url) == (404, NOT_FOUND_PAGE)
    assert check.kinds == []


def test_slug_in_upper_case(server: Server, check: MonitoredCheck) -> None:
    for key in (server.ping_key, "no-such-key"):
        url = f"{server.ping_url}/{key}/{check.slug.upper()}"
        assert ask(url) == (400, "invalid url format")
    assert ask(f"{check.url}/START") == (400, "invalid url format")  # "START" is a slug here


def test_ambiguous_slug(server: Server, check: MonitoredCheck) -> None:
    twin = server.add(check.slug)
    for suffix in ("", "/start", "/256", "?create=1"):
        assert ask(check.slug_url + suffix) == (409, "ambiguous slug")
    assert check.kinds == []
    assert server.pings(twin) == []


@pytest.mark.parametrize("rid", ["", "x", "0" * 32, f"{{{UUID(int=0)}}}"])
def test_malformed_rid(check: MonitoredCheck, rid: str) -> None:
    assert ask(f"{check.url}/start?rid={rid}") == (400, "invalid uuid format")
    assert check.kinds == []


def test_rid_is_kept_in_lower_case_and_the_last_one_counts(check: MonitoredCheck) -> None:
    rid = str(uuid4())
    assert ask(f"{check.url}?rid=x&rid={rid.upper()}") == (200, "OK")
    assert check.last.rid == rid


def test_a_line_feed_after_the_rid_is_an_error(check: MonitoredCheck) -> None:
    answer = ask(f"{check.url}?rid={uuid4()}%0A")
    assert answer.status == 500
    assert check.kinds == []


def test_only_known_hosts_are_served(check: MonitoredCheck) -> None:
    path = urlsplit(check.url).path
    for host in ("", "Host: elsewhere.example\r\n"):
        raw = converse(check.url, f"GET {path} HTTP/1.1\r\n{host}\r\n".encode())
        assert raw.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert BAD_REQUEST.encode() in raw
    assert check.kinds == []


def test_no_http_no_answer(check: MonitoredCheck) -> None:
    assert converse(check.url, b"hello\r\n\r\n") == b""


# Bodies


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_body_is_kept_byte_by_byte(check: MonitoredCheck, method: str) -> None:
    body = bytes(range(256))
    assert ask(check.url, method, body) == (200, "OK")
    assert check.last.body == body


def test_only_the_first_bytes_of_a_long_body_are_kept(check: MonitoredCheck) -> None:
    check.ping(body=b"a" * 9999 + "é".encode() + b"tail")
    assert check.last.body == b"a" * 9999 + b"\xc3"


def test_the_longest_body(check: MonitoredCheck) -> None:
    check.ping(body=b"x" * UPLOAD_LIMIT)
    assert check.last.body == b"x" * 10000


def test_a_longer_body_loses_the_ping(check: MonitoredCheck) -> None:
    body = b"x" * (UPLOAD_LIMIT + 1)
    for suffix in ("", "?rid=x"):
        answer = ask(check.url + suffix, "POST", body)
        assert answer.status == 400
        assert BAD_REQUEST in answer.body
    assert check.kinds == []
    assert ask(f"{check.url}/256", "POST", body) == (400, "invalid url format")
    assert ask(f"{check.server.ping_url}/{uuid4()}", "POST", body) == (404, "not found")


def test_body_in_chunks_is_dropped(check: MonitoredCheck) -> None:
    chunked = b"5\r\nhello\r\n0\r\n\r\n"
    assert ask(check.url, "POST", chunked, "Transfer-Encoding: chunked") == (200, "OK")
    assert check.last.body == b""


@pytest.mark.parametrize("body", [b"\xff", b"a" * 9999 + "é".encode()], ids=["bad", "cut"])
def test_filtered_body_must_be_utf8_even_after_the_cut(server: Server, body: bytes) -> None:
    check = MonitoredCheck(server, filter_http_body=True, success_kw="fine")
    for suffix in ("", "/fail", "?rid=x"):
        answer = ask(check.url + suffix, "POST", body)
        assert answer.status == 500
        assert SERVER_ERROR in answer.body
    assert check.kinds == []


@pytest.mark.parametrize(
    ("action", "body", "kind"),
    [
        ("fail", "all fine", "success"),
        ("0", "broken", "fail"),
        ("log", "off we go", "start"),
        ("", "fine but broken", "fail"),
        ("fail", "neither", "ign"),
        ("start", "BROKEN", "ign"),
    ],
)
def test_keywords_override_the_action(server: Server, action: str, body: str, kind: str) -> None:
    keywords = {"start_kw": "off we go", "success_kw": "good, fine", "failure_kw": "broken"}
    check = MonitoredCheck(server, filter_http_body=True, **keywords)
    check.ping(action, body=body.encode())
    assert check.kinds == [kind]


def test_no_keyword_can_mean_failure(server: Server) -> None:
    check = MonitoredCheck(
        server, filter_http_body=True, filter_default_fail=True, success_kw="fine"
    )
    check.ping("start", body=b"neither")
    assert check.kinds == ["fail"]


# Checks that do not listen to everything


def test_check_that_wants_post(server: Server) -> None:
    check = MonitoredCheck(server, methods="POST")
    assert ask(f"{check.url}/fail", "GET") == (200, "OK")
    assert (check.kinds, check.state.status) == (["ign"], "new")
    check.ping()
    assert (check.kinds, check.state.status) == (["ign", "success"], "up")


def test_paused_check_is_woken_by_a_ping(server: Server, check: MonitoredCheck) -> None:
    check.ping("start")
    server.call("POST", f"{check.uuid}/pause")
    assert check.state == State("paused", started=False, timed=False)
    check.ping("log")
    assert check.state.status == "paused"
    check.ping()
    assert check.state.status == "up"


def test_paused_check_with_manual_resume_ignores_pings(server: Server) -> None:
    check = MonitoredCheck(server, manual_resume=True)
    server.call("POST", f"{check.uuid}/pause")
    check.ping("start")
    check.ping("fail")
    assert (check.kinds, check.state) == (["ign", "ign"], State("paused", False, False))
    server.call("POST", f"{check.uuid}/resume")
    assert check.state.status == "new"
    check.ping()
    assert check.state.status == "up"


# Making checks by pinging them


def test_create(server: Server) -> None:
    slug = new_slug()
    url = f"{server.ping_url}/{server.ping_key}/{slug}"
    answer = ask(f"{url}/start?create=1")
    assert answer == (201, "Created")
    assert answer.headers["ping-body-limit"] == "10000"
    assert ask(f"{url}?create=1") == (200, "OK")
    assert [p.kind for p in server.pings(server.uuid_of(slug))] == ["start", "success"]


@pytest.mark.parametrize(
    ("suffix", "body"),
    [("?create=1&rid=x", b""), ("/256?create=1", b""), ("?create=1", b"x" * (UPLOAD_LIMIT + 1))],
    ids=["rid", "256", "body"],
)
def test_create_makes_the_check_even_when_it_refuses_the_ping(
    server: Server, suffix: str, body: bytes
) -> None:
    slug = new_slug()
    url = f"{server.ping_url}/{server.ping_key}/{slug}"
    assert ask(url + suffix, "POST", body).status == 400
    uuid = server.uuid_of(slug)
    assert server.pings(uuid) == []
    assert ask(url) == (200, "OK")


# Runs


def test_new_until_its_first_result(check: MonitoredCheck) -> None:
    assert check.state == State("new", started=False, timed=False)
    check.ping("log")
    assert check.state == State("new", started=False, timed=False)
    check.ping("start")
    assert check.state == State("new", started=True, timed=False)


@pytest.mark.parametrize("rid", [None, str(uuid4())], ids=["without", "with"])
def test_a_run_with_one_rid_or_none(check: MonitoredCheck, rid: str | None) -> None:
    for action in ("start", "log"):
        check.ping(action, rid)
        assert check.state == State("new", started=True, timed=False)
    check.ping("0", rid)
    assert check.state == State("up", started=False, timed=True)
    assert [p.rid for p in check.server.pings(check.uuid)] == [rid] * 3


@pytest.mark.parametrize("action", ["fail", "1"])
def test_failure_is_down_at_once(check: MonitoredCheck, action: str) -> None:
    check.ping()
    check.ping("start")
    check.ping(action)
    assert check.state == State("down", started=False, timed=True)
    check.ping("log")
    check.ping("start")
    assert check.state == State("down", started=True, timed=True)
    check.ping()
    assert check.state == State("up", started=False, timed=True)


@pytest.mark.parametrize(
    ("pings", "state"),
    [
        ("start/1 success/2", State("up", started=True, timed=False)),
        ("start success/1", State("up", started=True, timed=False)),
        ("start/1 success", State("up", started=False, timed=False)),
        ("start/1 fail/2", State("down", started=False, timed=False)),
        # Only the latest start is remembered.
        ("start/1 start/2 success/1", State("up", started=True, timed=False)),
        ("start/1 start/2 success/1 success/2", State("up", started=False, timed=True)),
        # A start after its own end leaves the run open.
        ("success/1 start/1", State("up", started=True, timed=False)),
        # A repeated end only loses the duration.
        ("start/1 success/1 success/1", State("up", started=False, timed=False)),
    ],
)
def test_runs_with_rids(check: MonitoredCheck, pings: str, state: State) -> None:
    """`success/1` is a success with the first rid."""
    rids = {"": None, "1": str(uuid4()), "2": str(uuid4())}
    for ping in pings.split():
        action, _, rid = ping.partition("/")
        check.ping(action.removesuffix("success"), rids[rid])
    assert check.state == state


def test_overdue_runs_and_results_are_down(stub: HealthchecksStub) -> None:
    """Only the stub has graces shorter than a minute."""
    late, running = stub.add_check(timeout=0), stub.add_check(grace=0)
    assert ask(f"{stub.ping_url}/{late.uuid}") == (200, "OK")
    assert late.status == "grace"
    for suffix in ("/start", "/log", f"?rid={uuid4()}"):
        assert ask(f"{stub.ping_url}/{running.uuid}{suffix}") == (200, "OK")
        assert (running.status, running.started, running.last_duration) == ("down", True, None)


# The stub on its own: faults


def test_simultaneous_first_pings_make_two_checks(stub: HealthchecksStub) -> None:
    stub.create_delay = 0.2
    url = f"{stub.ping_url}/{stub.ping_key}/twice?create=1"
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, [url] * 2)) == [(201, "Created")] * 2
    assert ask(url) == (409, "ambiguous slug")


def test_reset_in_mid_answer(stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = Fault(resets(), accepted=True)
    with pytest.raises(ConnectionResetError):
        ask(f"{stub.ping_url}/{check.uuid}")
    assert [ping.kind for ping in check.pings] == ["success"]


@pytest.mark.parametrize("answer", [hangs, delays(3600)])
def test_close_ends_every_wait(answer: Any) -> None:
    with HealthchecksStub() as stub, ThreadPoolExecutor(1) as pool:
        check = stub.add_check()
        stub.fault = Fault(answer)
        url = f"{stub.ping_url}/{check.uuid}"
        asked = pool.submit(converse, url, f"GET /ping/{check.uuid} HTTP/1.1\r\n\r\n".encode())
        stub.wait_for_requests(1)
        stub.close()
        assert asked.result() == b""
        assert check.pings == []


def test_going_down_loses_what_was_not_processed(stub: HealthchecksStub) -> None:
    check = stub.add_check()
    request = f"GET /ping/{check.uuid}/start HTTP/1.1\r\nHost: localhost\r\n\r\n"
    stub.fault = Fault(delays(0.1))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(converse, stub.ping_url, request.encode())
        stub.wait_for_requests(1)
        stub.go_down()
        assert asked.result() == b""
    stub.come_back()
    ask(f"{stub.ping_url}/{check.uuid}/log")  # delayed by as much, so the start had its chance
    assert [ping.kind for ping in check.pings] == ["log"]


def test_waiting_in_vain_says_what_came(stub: HealthchecksStub) -> None:
    check = stub.add_check(uuid="11111111-2222-3333-4444-555555555555")
    ask(f"{stub.ping_url}/no-such-key/slug", "GET")
    with pytest.raises(TimeoutError, match=r"not within 0.01 s.*'GET', '/ping/no-such-key/slug'"):
        stub.wait_for(check, 1, timeout=0.01)
