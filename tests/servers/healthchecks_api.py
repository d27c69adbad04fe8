"""The part of the management API (v3) of a Healthchecks server that probes read.

`server` gives a stub, whose answers test_check_healthchecks.py compares with a real server's,
and in `make test-real` that server too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import requests

from tests.servers.web import WebServer
from tests.support.real import setting

NOT_FOUND = """
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


class Server(Protocol):
    url: str
    read_key: str
    metrics_key: str

    def add(self, name: str, slug: str, tags: str, *, down: bool = False) -> None: ...


class Stub(WebServer):
    """`checks`, `unsent` and `replies` (path -> status and body, instead of the right ones) may be
    changed while it runs."""

    def __init__(self) -> None:
        self.read_key = "hcr_" + "r" * 28
        self.metrics_key = "m3trics"
        self.checks: list[dict[str, Any]] = []
        self.unsent: Iterator[int] = iter(())  # one for each time it is asked, then 0
        self.replies: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stub.asked.append(self.path)
                status, kind, body = stub.answer(self)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if status == 301:
                    self.send_header("Location", self.path + "/")
                self.end_headers()
                self.wfile.write(body.encode())
                self.close_connection = True  # without a word, as the real one behind uwsgi

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                pass

        super().__init__(Handler)
        self.url += "/api/v3"

    def answer(self, request: BaseHTTPRequestHandler) -> tuple[int, str, str]:
        """Status, content type and body."""
        html, as_json = "text/html; charset=utf-8", "application/json"
        parts = urlsplit(request.path)
        _, api, path = parts.path.partition("/api/v3")
        if not api:
            return 404, html, NOT_FOUND
        if path in self.replies:
            return (self.replies[path][0], html, self.replies[path][1])
        if path in ("/status", "/metrics", "/checks"):
            return 301, html, ""
        if path == "/status/":
            return 200, html, "OK"
        if path == "/metrics/":
            if request.headers.get("X-Metrics-Key") != self.metrics_key:
                return 403, html, ""
            unsent = next(self.unsent, 0)
            found = {"ts": 1, "max_ping_id": 2, "max_notification_id": None}
            return 200, as_json, json.dumps(found | {"num_unprocessed_flips": unsent})
        if path == "/checks/":
            key = request.headers.get("X-Api-Key", "")
            if key != self.read_key:
                error = "wrong api key" if len(key) == 32 else "missing api key"
                return 401, as_json, json.dumps({"error": error})
            tags = set(parse_qs(parts.query).get("tag", []))
            some = [check for check in self.checks if tags <= set(check["tags"].split())]
            return 200, as_json, json.dumps({"checks": some})
        return 404, html, NOT_FOUND

    def add(
        self, name: str, slug: str = "", tags: str = "", *, down: bool = False, **more: object
    ) -> None:
        """Add a check. `more` are fields of it: next_ping and grace, started, status."""
        check = {"name": name, "slug": slug, "tags": tags, "desc": "", "grace": 3600, "n_pings": 1}
        check |= {"status": "down" if down else "up", "started": False, "next_ping": None}
        self.checks.append(check | {"unique_key": uuid4().hex} | more)


class Real:
    def __init__(self) -> None:
        self.url = setting("API_URL")
        self.read_key, self.metrics_key = setting("READ_KEY"), setting("METRICS_KEY")
        self._headers = {"X-Api-Key": setting("API_KEY")}
        self._ping_url = setting("PING_URL")
        self._made: list[str] = []

    def add(self, name: str, slug: str = "", tags: str = "", *, down: bool = False) -> None:
        spec = {"name": name, "slug": slug, "tags": tags}
        reply = requests.post(f"{self.url}/checks/", json=spec, headers=self._headers, timeout=10)
        uuid = reply.json()["uuid"]
        self._made.append(uuid)
        ping = f"{self._ping_url}/{uuid}" + ("/fail" if down else "")
        requests.post(ping, timeout=10).raise_for_status()

    def forget(self) -> None:
        for uuid in self._made:
            requests.delete(f"{self.url}/checks/{uuid}", headers=self._headers, timeout=10)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as server:
        yield server


@pytest.fixture(params=["stub", pytest.param("real", marks=pytest.mark.real)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "stub":
        yield request.getfixturevalue("stub")
        return
    real = Real()
    try:
        yield real
    finally:
        real.forget()
