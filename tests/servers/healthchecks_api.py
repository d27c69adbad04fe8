"""A Healthchecks server for probes: the stub, and in `make test-real` the real one too."""

import socket
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol

import pytest
import requests

from hcrun.api.models import Check as RemoteCheck
from tests.servers.stored import Request, page, reply
from tests.stub.healthchecks import HealthchecksStub
from tests.support.client import client_of
from tests.support.real import setting

NOT_FOUND = page(404).partition(b"\r\n\r\n")[2].decode()


class Server(Protocol):
    url: str
    read_key: str
    metrics_key: str

    def add(self, name: str, slug: str, tags: str, *, down: bool = False) -> None: ...


class Stub(HealthchecksStub):
    """`unsent` and `replies` (by path, the status and body to answer) may be changed."""

    def __init__(self) -> None:
        super().__init__()
        self.url = self.api_url
        self.unsent: Iterator[int] = iter(())  # one for each time it is asked, then 0
        self.replies: dict[str, tuple[int, str]] = {}

    @property
    def asked(self) -> list[str]:
        return [request.target for request in self.requests]

    def _process(self, request: Request, conn: socket.socket) -> bytes:
        path = request.path.removeprefix("/api/v3")
        if path == "/metrics/":
            self.unsent_alerts = next(self.unsent, 0)
        if path in self.replies:
            return reply(*self.replies[path])
        return super()._process(request, conn)

    def add(
        self,
        name: str,
        slug: str = "",
        tags: str = "",
        *,
        down: bool = False,
        next_ping: str = "",
        **more: Any,
    ) -> None:
        """Add a check; one with `next_ping` is down and has not been alerted."""
        check = self.add_check(slug, name=name, tags=tags, **more)
        check.stored_status = "down" if down and not next_ping else "up"
        check.last_ping = time.monotonic()
        if next_ping:
            late = time.time() - datetime.fromisoformat(next_ping).timestamp()
            check.last_ping -= late + check.timeout


class Real:
    def __init__(self) -> None:
        self.url = setting("API_URL")
        self.read_key, self.metrics_key = setting("READ_KEY"), setting("METRICS_KEY")
        self._client = client_of(self.url, setting("API_KEY"))
        self._made: list[RemoteCheck] = []

    def add(self, name: str, slug: str = "", tags: str = "", *, down: bool = False) -> None:
        check = self._client.create_with({"name": name, "slug": slug, "tags": tags})
        self._made.append(check)
        ping = check.raw["ping_url"] + ("/fail" if down else "")
        requests.post(ping, timeout=10).raise_for_status()

    def forget(self) -> None:
        for check in self._made:
            self._client.delete_check(check.uuid)


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
