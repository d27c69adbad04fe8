"""probe-escalation, through its command line, on a stub and on a real Healthchecks server."""

from pathlib import Path
from uuid import uuid4

import pytest

from probes.check_escalation import PROBE, evaluate
from probes.clients.healthchecks import Check
from tests.servers.healthchecks_api import Server, Stub, server, stub
from tests.servers.process import Command, Like
from tests.servers.ranges import default_ranges

pytestmark = pytest.mark.slow

__all__ = ["server", "stub"]

LATENCY = "latency=#s;0.5;;0"


@pytest.fixture
def probe(tmp_path: Path) -> Command:
    return Command("probe-escalation", tmp_path)


def ask(probe: Command, server: Server) -> Command:
    probe.environ["HEALTHCHECKS_API_URL"] = server.url
    probe.environ["HEALTHCHECKS_READ_KEY"] = server.read_key
    return probe


def test_from_peace_to_escalation(probe: Command, server: Server) -> None:
    tag = f"tier-{uuid4().hex[:8]}"
    ask(probe, server)
    server.add("redis", "redis", f"{tag} cache")
    server.add("elsewhere", "elsewhere", f"{tag}0", down=True)
    peace = probe("--tag", tag)
    assert peace.line == Like(
        f"ESCALATION OK - {server.url} answers in #T, 0 of 1 {tag} check down | "
        f"{LATENCY} down=0;;1;0;1"
    )
    server.add("postgres", "postgres", f"{tag} store", down=True)
    one = probe("--tag", tag)
    assert one.status == 0
    assert f"1 of 2 {tag} checks down: postgres | " in one.line
    server.add("kafka", "kafka", f"store {tag}", down=True)
    two = probe("--tag", tag)
    assert two.line.startswith(f"ESCALATION CRITICAL - 2 of 3 {tag} checks down: ")
    assert "postgres" in two.line
    assert "kafka" in two.line
    assert two.line.endswith(" down=2;;1;0;3")
    assert probe("--tag", tag, "--down-critical", "2").status == 0
    assert probe("--tag", tag, "--down-critical", "off", "--down-warning", "50%").status == 1
    both = probe(HEALTHCHECKS_ESCALATION_TAG=f"{tag} store")
    assert both.status == 2
    assert f"2 of 2 {tag} store checks down" in both.line


def test_tier_1_is_the_default(probe: Command, stub: Stub) -> None:
    ask(probe, stub)
    for name in ("redis", "postgres"):
        stub.add(name, name, "tier:1", down=True)
    ran = probe()
    assert ran.line == Like(
        "ESCALATION CRITICAL - 2 of 2 tier:1 checks down: redis, postgres (over 1), "
        f"{stub.url} answers in #T | {LATENCY} down=2;;1;0;2"
    )


def test_own_check_does_not_keep_itself_down(probe: Command, stub: Stub) -> None:
    ask(probe, stub)
    stub.add("The phone call", "escalation", "tier:1", down=True)
    stub.add("redis", "redis", "tier:1", down=True)
    ran = probe()
    assert ran.status == 0
    assert "1 of 1 tier:1 check down: redis" in ran.line
    assert probe("--ignore", "another").status == 2
    assert (
        "no check has the tag tier:1" in probe("--ignore", "redis", "--ignore", "escalation").line
    )


def test_no_such_tag(probe: Command, server: Server) -> None:
    ran = ask(probe, server)("--tag", "no-such-tag", "--tag", "x")
    assert ran.line == Like(
        "ESCALATION UNKNOWN - no check has the tag no-such-tag and x; see --tag, "
        f"{server.url} answers in #T | {LATENCY}"
    )


def test_tag_with_odd_characters(probe: Command, stub: Stub) -> None:
    stub.add("redis", "redis", "a&b=ü#", down=True)
    assert "1 of 1 a&b=ü# check down: redis" in ask(probe, stub)("--tag", "a&b=ü#").line


def test_no_key(probe: Command, stub: Stub) -> None:
    ran = ask(probe, stub)(HEALTHCHECKS_READ_KEY="")
    assert ran.line == "ESCALATION UNKNOWN - no read-only key; set HEALTHCHECKS_READ_KEY"


def test_many_checks(probe: Command, stub: Stub) -> None:
    """Three thousand checks are three megabytes."""
    for number in range(3000):
        stub.add(f"check {number}", f"check-{number}", "tier:1", desc="x" * 800, down=number < 7)
    ran = ask(probe, stub)("--latency-warning", "off", "--latency-critical", "off")
    assert ran.status == 2
    assert (
        "7 of 3,000 tier:1 checks down: check 0, check 1, check 2, check 3, check 4 and 2 more"
        in (ran.line)
    )


RANGES = default_ranges(PROBE)


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        (["up", "grace", "new", "paused"], "0 of 4 tier:1 checks down"),
        (["down", "up"], "1 of 2 tier:1 checks down: 0"),
        (["down", "down"], "2 of 2 tier:1 checks down: 0, 1 (over 1)"),
        (["down"] * 6, "6 of 6 tier:1 checks down: 0, 1, 2, 3, 4 and 1 more (over 1)"),
    ],
)
def test_evaluate(statuses: list[str], words: str) -> None:
    checks = [Check(str(n), "", status, False, None, 0) for n, status in enumerate(statuses)]
    assert evaluate(checks, "tier:1", RANGES).message() == words
