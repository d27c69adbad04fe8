"""A Healthchecks server (v4.3 behind uwsgi) with one project, as an object in the test process.

    with HealthchecksStub() as stub:
        check = stub.add_check(slug="backup")
        ...                                  # ping f"{stub.ping_url}/{check.uuid}"
        assert [p.kind for p in stub.wait_for(check, 2)] == ["start", "success"]
        ...                                  # GET f"{stub.api_url}/checks/", stub.api_key

What it keeps is in servers/stored.py, its management API in servers/management.py.
test_contract*.py run the same tests against this and against a real server. Headers that no
client looks at (Vary, Referrer-Policy...) are left out. `stub.fault` breaks it: see `Fault`.
"""

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote
from uuid import UUID

from tests.servers.management import answer
from tests.servers.stored import NOT_FOUND, Channel, Check, Ping, Request, page, reply

__all__ = ["Channel", "Check", "Ping", "Request", "reply"]

HEAD_LIMIT = 32768  # uwsgi's buffer-size: a longer head is hung up on
UPLOAD_LIMIT = 2621440  # Django's DATA_UPLOAD_MAX_MEMORY_SIZE
UUID_TEXT = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
ACTION = "(?:/(?P<action>start|fail|log|[0-9]+))?"
UUID_URL = re.compile(f"/(?P<uuid>{UUID_TEXT})(?:/|{ACTION})")
SLUG_URL = re.compile(f"/(?P<key>[-a-zA-Z0-9_]+)/(?P<slug>[-a-zA-Z0-9_]+){ACTION}")
# Django's `$` lets a final newline through, and UUID() then raises: a 500, as on the server.
RID = re.compile(f"^{UUID_TEXT}$", re.IGNORECASE)


@dataclass
class Exchange:
    """What a fault has in its hands: the connection, and the ping, processed once at most."""

    conn: socket.socket
    closing: threading.Event
    process: Callable[[], bytes] = bytes
    processed: bytes | None = None

    def reply(self) -> bytes:
        if self.processed is None:
            self.processed = self.process()
        return self.processed


@dataclass
class Fault:
    """Breaks the next `times` requests (None: all) whose target contains `only`.

    accepted: the ping is recorded although its answer is broken; otherwise nothing is recorded.
    """

    answer: Callable[[Exchange], None]
    times: int | None = None
    only: str = ""
    accepted: bool = False
    on_accept: bool = False

    def take(self, target: str | None) -> bool:
        """Whether it strikes a request (None: a connection just accepted); counts down."""
        if self.times == 0 or self.on_accept != (target is None) or self.only not in (target or ""):
            return False
        if self.times is not None:
            self.times -= 1
        return True


def answers(
    status: int, body: str = "", retry_after: str | int | None = None, **headers: str
) -> Callable[[Exchange], None]:
    """Answer this status: `Fault(answers(503, retry_after=2), times=1)`."""
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return sends(reply(status, body, headers))


def redirects(location: str, status: int = 302) -> Callable[[Exchange], None]:
    """Answer a redirect; `location` may be a path or an URL."""
    return answers(status, Location=location)


def sends(data: bytes) -> Callable[[Exchange], None]:
    """Answer these bytes, whatever they are, and hang up."""
    return lambda x: x.conn.sendall(data)


def delays(seconds: float) -> Callable[[Exchange], None]:
    """Process and answer after so long (with `accepted=True`: process now, answer then)."""

    def answer(x: Exchange) -> None:
        if not x.closing.wait(seconds):
            x.conn.sendall(x.reply())

    return answer


def hangs(x: Exchange) -> None:
    """Never answer; wait until the client gives up."""
    while x.conn.recv(65536):
        pass


def hangs_up(_: Exchange) -> None:
    """Close without a word; with `on_accept=True` without having read anything."""


def cuts(after: int = 30) -> Callable[[Exchange], None]:
    """Close after so many bytes of a good answer: 30 is within its headers."""
    return sends(reply(200, "OK")[:after])


def resets(after: int = 8) -> Callable[[Exchange], None]:
    """RST after so many bytes of a good answer: 8 is within its status line."""

    def answer(x: Exchange) -> None:
        cuts(after)(x)
        x.conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


GARBAGE = b"\x00\xffSSH-2.0-OpenSSH_9.2\r\n"
HUGE_HEADER = b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 1_000_000 + b"\r\n\r\nOK"


class HealthchecksStub:
    """One server with one project. Everything it shows is safe to read while it runs."""

    def __init__(
        self,
        body_limit: int = 10000,
        host: str = "127.0.0.1",
        base_path: str = "/ping",
        certfile: str | None = None,
        keyfile: str | None = None,
        ping_key: str = "pingkey0pingkey0pingke",
    ) -> None:
        self.body_limit = body_limit
        self.base_path = base_path
        self.ping_key = ping_key
        self.allowed_hosts = {"127.0.0.1", "localhost", "[::1]"}
        self.create_delay = 0.0  # widens the race in which two first pings make two checks
        self.api_key = "hcw_" + "a" * 28
        self.read_key = "hcr_" + "r" * 28
        self.metrics_key = "m3trics"
        self.check_limit = 10_000
        self.unsent_alerts = 0  # what metrics/ says of flips
        self.channels: list[Channel] = []
        self.checks: list[Check] = []
        self.requests: list[Request] = []
        self.connections = 0
        self.fault: Fault | None = None
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if certfile else None
        if self._tls and certfile:
            self._tls.load_cert_chain(certfile, keyfile)
        self._changed = threading.Condition(threading.RLock())
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = bound(host)
        port = self._listener.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        origin = f"http{'s' if certfile else ''}://{name}:{port}"
        self.ping_url = origin + base_path
        self.site_root = origin + base_path.removesuffix("/ping")
        self.api_url = f"{self.site_root}/api/v3"

    def __enter__(self) -> Self:
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_check(self, slug: str = "", paused: bool = False, **spec: Any) -> Check:
        """A new check; `spec` are fields of Check (uuid, methods, grace, manual_resume...)."""
        check = Check(slug=slug, stored_status="paused" if paused else "new", **spec)
        with self._changed:
            self.checks.append(check)
        return check

    def add_channel(self, name: str, kind: str = "email") -> Channel:
        channel = Channel(name, kind)
        with self._changed:
            self.channels.append(channel)
        return channel

    def by_slug(self, slug: str) -> Check:
        """The only check of that slug, perhaps one that `create=1` made."""
        (check,) = (c for c in self.checks if c.slug == slug)
        return check

    def wait_until(self, happened: Callable[[], bool], timeout: float = 20) -> None:
        """Sleep until something a request brings about is true; no polling."""
        with self._changed:
            if not self._changed.wait_for(happened, timeout):
                seen = [(r.method, r.target) for r in self.requests]
                raise TimeoutError(f"not within {timeout} s; requests so far: {seen}")

    def wait_for(self, check: Check, n: int, timeout: float = 20) -> list[Ping]:
        """The pings of a check, as soon as there are n."""
        self.wait_until(lambda: len(check.pings) >= n, timeout)
        return list(check.pings)

    def wait_for_requests(self, n: int, timeout: float = 20) -> list[Request]:
        """All requests, recorded or not, as soon as there are n."""
        self.wait_until(lambda: len(self.requests) >= n, timeout)
        return list(self.requests)

    def go_down(self) -> None:
        """Refuse connections and drop the open ones; the port stays ours."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._changed:
            for conn in self._open:
                hang_up(conn)
            self._open.clear()

    def come_back(self) -> None:
        """Listen (again), on the same port."""
        self._listener.listen(1024)
        self._run(self._accept)

    def close(self) -> None:
        """Interrupt whatever is going on, and wait for it to end."""
        self._closing.set()
        self.go_down()
        self._listener.close()
        while True:
            with self._changed:
                if not self._threads:
                    return
                thread = self._threads.pop()
            thread.join()

    def _run(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        with self._changed:
            self._threads = [t for t in self._threads if t.is_alive()]
            self._threads.append(thread)
            thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                conn, _ = self._listener.accept()
            except OSError:  # shut down by go_down()
                return
            with self._changed:
                self.connections += 1
                self._changed.notify_all()
            self._run(self._serve, conn)

    def _serve(self, conn: socket.socket) -> None:
        """One connection, one request: as uwsgi's --http-socket does."""
        try:
            if self._tls:
                conn = self._tls.wrap_socket(conn, server_side=True, do_handshake_on_connect=False)
            with self._changed:
                self._open.add(conn)
            if not self._closing.is_set():
                self._converse(conn)
        except OSError:  # the client is gone, or we are
            pass
        finally:
            with self._changed:
                self._open.discard(conn)
            conn.close()

    def _converse(self, conn: socket.socket) -> None:
        if fault := self._struck(None):
            fault.answer(Exchange(conn, self._closing))
            return
        if isinstance(conn, ssl.SSLSocket):
            conn.do_handshake()
        if (request := read_request(conn)) is None:
            return
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        exchange = Exchange(conn, self._closing, lambda: self._process(request, conn))
        fault = self._struck(request.target)
        if fault is None or fault.accepted:
            exchange.reply()
        if fault:
            fault.answer(exchange)
        else:
            conn.sendall(exchange.reply())

    def _struck(self, target: str | None) -> Fault | None:
        with self._changed:
            return self.fault if self.fault and self.fault.take(target) else None

    def _process(self, request: Request, conn: socket.socket) -> bytes:
        """Answer as the views `ping` and `ping_by_slug` of hc/api/views.py do."""
        with self._changed:
            if conn not in self._open:
                raise ConnectionError("the server went down with this request in its hands")
        if re.sub(":[0-9]+$", "", request.headers.get("host", "")) not in self.allowed_hosts:
            return page(400)
        path = unquote(request.path)
        site = self.base_path.removesuffix("/ping")
        if path.startswith(f"{site}/api/"):
            with self._changed:
                self._changed.notify_all()
                return answer(self, request, path.removeprefix(f"{site}/api/"))
        if not path.startswith(self.base_path + "/"):
            return page(404)
        path = path.removeprefix(self.base_path)
        try:
            if found := UUID_URL.fullmatch(path):
                checks = [c for c in self.checks if c.uuid == found["uuid"]]
                return self._ping(request, checks[0], found["action"]) if checks else NOT_FOUND
            if found := SLUG_URL.fullmatch(path):
                return self._ping_by_slug(request, found["key"], found["slug"], found["action"])
        except ValueError:
            return page(500)
        return page(404)

    def _ping_by_slug(self, request: Request, key: str, slug: str, action: str | None) -> bytes:
        if slug != slug.lower():
            return reply(400, "invalid url format")
        checks = [c for c in self.checks if c.slug == slug and key == self.ping_key]
        if len(checks) > 1:
            return reply(409, "ambiguous slug")
        if checks:
            return self._ping(request, checks[0], action)
        if key != self.ping_key or request.params.get("create") != "1":
            return NOT_FOUND
        self._closing.wait(self.create_delay)
        return self._ping(request, self.add_check(slug), action, created=True)

    def _ping(
        self, request: Request, check: Check, action: str | None, created: bool = False
    ) -> bytes:
        exitstatus = int(action) if action and action.isdigit() else None
        if exitstatus is not None:
            if exitstatus > 255:
                return reply(400, "invalid url format")
            action = "fail" if exitstatus else "success"
        if len(request.body) > UPLOAD_LIMIT:
            return page(400)
        body = request.body[: self.body_limit]
        kind = check.judge(request, body, action or "success")
        rid = request.params.get("rid")
        if rid is not None:
            if not RID.match(rid):
                return reply(400, "invalid uuid format")
            rid = str(UUID(rid))
        with self._changed:
            check.ping(request, body, kind, rid, exitstatus)
            self._changed.notify_all()
        headers = {"Ping-Body-Limit": str(self.body_limit), "Access-Control-Allow-Origin": "*"}
        return reply(201, "Created", headers) if created else reply(200, "OK", headers)


def bound(host: str) -> socket.socket:
    """A socket that does not listen yet, and keeps its port while it does not listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind((host, 0))
        # Linux lets go of a port it chose itself when the socket is shut down, not of a port
        # that was asked for by number: so ask for the one it chose.
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(first.getsockname())
    return listener


def hang_up(conn: socket.socket) -> None:
    """Wake whoever reads from or writes to it (SSLSocket.shutdown is not made for that)."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(conn, socket.SHUT_RDWR)


def read_request(conn: socket.socket) -> Request | None:
    """A request, or None for something that uwsgi hangs up on."""
    data = b""
    while b"\r\n\r\n" not in data:
        if len(data) > HEAD_LIMIT or not (chunk := conn.recv(65536)):
            return None
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if len(first.split()) != 3:
        return None
    method, target, version = first.split()
    pairs = (line.partition(":")[::2] for line in lines)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    # Without a length there is no body: what comes in chunks is never looked at.
    length = int(headers.get("content-length", "0"))
    body = bytearray(rest)
    while len(body) < length:
        if not (chunk := conn.recv(65536)):
            return None
        body += chunk
    return Request(method, target, version, headers, bytes(body[:length]))
