"""probe-healthchecks, through its command line, on a stub and on a real Healthchecks server."""

import json
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from probes.check_healthchecks import PROBE, evaluate_overdue
from probes.clients.healthchecks import Check
from tests.servers.healthchecks_api import Server, Stub, server, stub
from tests.servers.process import Command, Like
from tests.servers.ranges import default_ranges

pytestmark = pytest.mark.slow

__all__ = ["server", "stub"]

LATENCY = "latency=#s;8;;0"
URL_HINT = "HEALTHCHECKS_API_URL must be like https://hc.example.com/api/v3"


@pytest.fixture
def probe(tmp_path: Path) -> Command:
    return Command("probe-healthchecks", tmp_path)


@pytest.fixture
def look(probe: Command, stub: Stub) -> Command:
    """The probe with all it needs to look at the stub."""
    probe.environ["HEALTHCHECKS_API_URL"] = stub.url
    probe.environ["HEALTHCHECKS_READ_KEY"] = stub.read_key
    probe.environ["HEALTHCHECKS_METRICS_KEY"] = stub.metrics_key
    return probe


class TestHealthy:
    def test_with_both_keys(self, probe: Command, server: Server) -> None:
        ran = probe(
            HEALTHCHECKS_API_URL=server.url,
            HEALTHCHECKS_READ_KEY=server.read_key,
            HEALTHCHECKS_METRICS_KEY=server.metrics_key,
        )
        assert ran.line == Like(
            f"HEALTHCHECKS OK - {server.url} answers in #T | "
            f"{LATENCY} overdue=0s;30;60;0 unsent=0s;10;60;0"
        )

    def test_without_keys(self, probe: Command, server: Server) -> None:
        ran = probe("--url", f"{server.url}/")
        assert ran.line == Like(
            f"HEALTHCHECKS OK - {server.url} answers in #T, alerts not checked: no "
            f"HEALTHCHECKS_READ_KEY or HEALTHCHECKS_METRICS_KEY | {LATENCY}"
        )


class TestAlerts:
    def test_overdue(self, look: Command, stub: Stub) -> None:
        due = datetime.now(UTC) - timedelta(days=3)
        stub.add("backup", down=True, next_ping=due.isoformat(), grace=60)
        stub.add("", down=True, next_ping=due.isoformat(), grace=3600)
        ran = look()
        assert ran.line == Like(
            "HEALTHCHECKS CRITICAL - 2 alerts overdue, that of backup by 2 d 23 h (over 1 min); "
            f"check that sendalerts is running, and its log, {stub.url} answers in #T | {LATENCY} "
            "overdue=#s;30;60;0 unsent=0s;10;60;0"
        )
        assert look("--overdue-critical", "off").status == 1
        assert look("--overdue-critical", "off", "--overdue-warning", "off").status == 0

    def test_unsent(self, look: Command, stub: Stub, tmp_path: Path) -> None:
        """One flip, seen in each run for more than a minute."""
        look.environ["STATE_DIRECTORY"] = str(tmp_path / "state")
        stub.unsent = repeat(1)
        ran = look()
        assert (ran.status, "unsent=0s;10;60;0" in ran.line) == (0, True)
        self.wait(tmp_path, 11)
        assert look().status == 1
        self.wait(tmp_path, 50)
        ran = look()
        assert ran.line.startswith("HEALTHCHECKS CRITICAL - 1 flip without a notification for 1 ")
        assert "(over 1 min); check that sendalerts is running, and its log, " in ran.line
        assert look("--unsent-critical", "off", "--unsent-warning", "off").status == 0
        stub.unsent = iter(())
        assert look().status == 0
        stub.unsent = repeat(1)
        assert look().status == 0  # another flip: its time begins now

    @staticmethod
    def wait(tmp_path: Path, seconds: float, name: str = "since") -> None:
        """Let that time pass since the flip was first or last seen, for the probe."""
        (path,) = (tmp_path / "state/probes").iterdir()
        state = json.loads(path.read_text())
        state["counters"][name] -= seconds
        path.write_text(json.dumps(state))

    def test_unsent_after_a_pause_of_the_probe(
        self, look: Command, stub: Stub, tmp_path: Path
    ) -> None:
        """Nobody knows whether it is the same flip."""
        look.environ["STATE_DIRECTORY"] = str(tmp_path / "state")
        stub.unsent = repeat(1)
        look()
        for name, seconds in (("since", 7200), ("seen", 7000)):
            self.wait(tmp_path, seconds, name)
        assert look().status == 0
        self.wait(tmp_path, -500, "seen")  # the clock was set back
        self.wait(tmp_path, 7200)
        assert look().status == 0

    def test_unsent_without_a_place_for_the_state(self, look: Command, stub: Stub) -> None:
        look.environ["STATE_DIRECTORY"] = "/proc/nowhere"
        assert look().status == 0
        stub.unsent = repeat(1)
        ran = look()
        assert (ran.status, "cannot keep since when flips wait" in ran.line) == (3, True)


class TestCredentials:
    def test_wrong(self, probe: Command, server: Server) -> None:
        ran = probe(
            HEALTHCHECKS_API_URL=server.url,
            HEALTHCHECKS_READ_KEY="w" * 32,
            HEALTHCHECKS_METRICS_KEY="wrong",
        )
        assert ran.line == Like(
            f"HEALTHCHECKS UNKNOWN - {server.url}/checks/ answers 401 Unauthorized; check "
            f"HEALTHCHECKS_READ_KEY, {server.url}/metrics/ answers 403 Forbidden; "
            "HEALTHCHECKS_METRICS_KEY must be the METRICS_KEY of the server, "
            f"{server.url} answers in #T | {LATENCY}"
        )

    def test_one_wrong_key_does_not_hide_the_other(self, look: Command, stub: Stub) -> None:
        stub.add("backup", down=True, next_ping="2026-01-01T00:00:00+00:00")
        ran = look(HEALTHCHECKS_METRICS_KEY="wrong")
        assert ran.line.startswith("HEALTHCHECKS CRITICAL - 1 alert overdue, that of backup by ")
        assert "METRICS_KEY of the server" in ran.line


class TestNoService:
    @pytest.mark.parametrize(
        ("path", "status", "body", "words"),
        [
            ("/status/", 500, "<h1>Server Error (500)</h1>", " answers 500 Internal Server Error"),
            ("/status/", 400, "", " answers 400 Bad Request; add its host to ALLOWED_HOSTS"),
            ("/status/", 200, "<html>Please log in</html>", f" does not answer OK; {URL_HINT}"),
            ("/checks/", 200, "nonsense", f" is not JSON but text/html; charset=utf-8; {URL_HINT}"),
            ("/checks/", 200, '{"checks": [1]}', f": checks[0] is 1, not an object; {URL_HINT}"),
            ("/checks/", 200, '{"checks": [{}]}', ": checks[0].name is missing or null, not text"),
            ("/checks/", 200, "[]", f": the answer is a list, not an object; {URL_HINT}"),
            ("/checks/", 503, "", " answers 503 Service Unavailable"),
            ("/metrics/", 200, "{}", ": num_unprocessed_flips is missing or null, not a whole"),
            ("/metrics/", 200, "", f" is empty; {URL_HINT}"),
            ("/metrics/", 404, "", f" answers 404 Not Found; {URL_HINT}"),
        ],
    )
    def test_nonsense(
        self, look: Command, stub: Stub, path: str, status: int, body: str, words: str
    ) -> None:
        stub.replies[path] = (status, body)
        ran = look()
        assert ran.line.startswith(f"HEALTHCHECKS CRITICAL - {stub.url}{path}{words}")


def test_no_server(probe: Command) -> None:
    ran = probe()
    assert ran.line == "HEALTHCHECKS UNKNOWN - no server; set HEALTHCHECKS_API_URL"


RANGES = default_ranges(PROBE)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"status": "up", "next_ping": "2026-01-01T13:00:00+00:00"}, ""),
        ({"status": "grace", "next_ping": "2026-01-01T11:58:00+00:00"}, ""),
        ({"next_ping": "2026-01-01T11:50:00+00:00", "started": True}, ""),
        ({"next_ping": "2026-01-01T11:50:30+00:00"}, "1 alert overdue, that of backup by 30 s"),
        (
            {"next_ping": "2026-01-01T12:48:00+01:00"},
            (
                "1 alert overdue, that of backup by 3 min (over 1 min); "
                "check that sendalerts is running, and its log"
            ),
        ),
        (
            {"next_ping": "2026-01-01T11:40:00+00:00", "name": ""},
            (
                "1 alert overdue, that of an unnamed check by 11 min (over 1 min); "
                "check that sendalerts is running, and its log"
            ),
        ),
    ],
)
def test_evaluate_overdue(changes: dict[str, Any], words: str) -> None:
    data = {"name": "backup", "status": "down", "started": False, "next_ping": None, "grace": 540}
    assert evaluate_overdue([Check.read(data | changes)], NOON, RANGES).message() == words
