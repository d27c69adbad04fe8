"""probe-escalation, through its command line, on a stub and on a real Healthchecks server."""

import time
from pathlib import Path
from uuid import uuid4

import pytest

from probes.check_escalation import PROBE, evaluate, root_causes
from probes.clients.healthchecks import Check
from tests.servers.healthchecks_api import Server, Stub, server, stub
from tests.servers.management import unique
from tests.servers.process import Command, Like
from tests.servers.ranges import default_ranges
from tests.servers.stored import Flip

pytestmark = pytest.mark.slow

__all__ = ["server", "stub"]


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
    assert peace.line == Like(f"ESCALATION OK - 0 of 1 {tag} check down | down=0;;1;0;1")
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
        "ESCALATION CRITICAL - 2 of 2 tier:1 checks down: redis, postgres (over 1) | down=2;;1;0;2"
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
        "ESCALATION UNKNOWN - no check has the tag no-such-tag and x; see --tag"
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
    ran = ask(probe, stub)()
    assert ran.status == 2
    assert (
        "7 of 3,000 tier:1 checks down: check 0, check 1, check 2, check 3, check 4 and 2 more"
        in (ran.line)
    )


RANGES = default_ranges(PROBE)


@pytest.mark.parametrize(
    ("statuses", "causes", "words"),
    [
        (["up", "grace", "new", "paused"], 0, "0 of 4 tier:1 checks down"),
        (["down", "up"], 1, "1 of 2 tier:1 checks down: 0"),
        (["down", "down"], 2, "2 of 2 tier:1 checks down: 0, 1 (over 1)"),
        (["down"] * 6, 6, "6 of 6 tier:1 checks down: 0, 1, 2, 3, 4 and 1 more (over 1)"),
        (["down", "down", "up"], 1, "2 of 3 tier:1 checks down, 1 root cause: 0"),
        (["down", "down", "up"], 0, "2 of 3 tier:1 checks down, 0 root causes"),
    ],
)
def test_evaluate(statuses: list[str], causes: int, words: str) -> None:
    checks = [Check(str(n), "", status, False, None, 0) for n, status in enumerate(statuses)]
    down = [check for check in checks if check.status == "down"]
    assert evaluate(checks, down[:causes], "tier:1", RANGES).message() == words


@pytest.mark.parametrize(
    ("needs", "down", "up_since", "causes"),
    [
        ({"api": "redis", "beat": "redis"}, "redis api beat", {}, "redis"),
        ({"api": "beat", "beat": "redis"}, "redis api", {}, "redis"),  # in turn
        ({"api": "redis"}, "api beat", {}, "api beat"),
        ({"api": "redis postgres"}, "api postgres", {}, "postgres"),
        ({"api": "no-such-check"}, "api redis", {}, "redis api"),
        ({"api": "beat", "beat": "api"}, "api beat", {}, "api beat"),  # a circle hides nothing
        ({"api": "api"}, "api", {}, "api"),
        # Redis is up again at 50; the others were pinged at 40 and 60.
        ({"api": "redis", "beat": "redis"}, "api beat", {"redis": 50}, "beat"),
        ({"api": "beat", "beat": "redis"}, "api", {"redis": 50}, ""),
    ],
)
def test_root_causes(
    needs: dict[str, str], down: str, up_since: dict[str, float], causes: str
) -> None:
    pinged = {"api": 40.0, "beat": 60.0}
    everything = [
        Check(
            *(slug, slug, "down" if slug in down.split() else "up", False, None, 0),
            tags=tuple(f"needs:{need}" for need in needs.get(slug, "").split()),
            last_ping=pinged.get(slug, 0.0),
        )
        for slug in ("redis", "api", "beat", "postgres")
    ]
    found = root_causes(
        [check for check in everything if check.status == "down"],
        everything,
        lambda need: up_since.get(need.slug, 0.0),
    )
    assert " ".join(check.name for check in found) == causes


def test_an_outage_with_dependants_is_one_cause(probe: Command, server: Server) -> None:
    """What they need may have another tag."""
    tag, redis = f"tier-{uuid4().hex[:8]}", f"redis-{uuid4().hex[:8]}"
    server.add("redis", redis, "store", down=True)
    for name in ("api", "celery", "beat"):
        server.add(name, "", f"{tag} needs:{redis}", down=True)
    ran = ask(probe, server)("--tag", tag)
    assert ran.line == (f"ESCALATION OK - 3 of 3 {tag} checks down, 0 root causes | down=0;;1;0;3")


def test_dependants_after_the_recovery_of_what_they_need(probe: Command, stub: Stub) -> None:
    """Their next run is due. Until then they are still down."""
    stub.add("redis", "redis", "tier:1")
    [redis] = stub.checks
    redis.flips += [Flip("down", time.time() - 90), Flip("up", time.time() - 30)]
    for name in ("api", "beat"):
        stub.add(name, name, "tier:1 needs:redis", down=True)
        stub.checks[-1].last_ping = time.monotonic() - 60
    assert ask(probe, stub)().line == (
        "ESCALATION OK - 2 of 3 tier:1 checks down, 0 root causes | down=0;;1;0;3"
    )
    for check in stub.checks[1:]:
        check.last_ping = time.monotonic() - 10
    assert probe().status == 2
    stub.replies[f"/checks/{unique(redis)}/flips/"] = (500, "")
    for check in stub.checks[1:]:
        check.last_ping = time.monotonic() - 60
    assert probe().status == 2  # when in doubt, it counts


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, "", "answers 503 Service Unavailable"),
        (301, "", "answers 301 Moved Permanently"),
        (401, "{}", "answers 401 Unauthorized; check HEALTHCHECKS_READ_KEY"),
        (404, "", "answers 404 Not Found; HEALTHCHECKS_API_URL must be like"),
        (200, "no JSON", "is not JSON but"),
        (200, '{"checks": [1]}', "checks[0] is 1, not an object"),
    ],
)
def test_what_cannot_look_does_not_page(
    status: int, body: str, words: str, probe: Command, stub: Stub
) -> None:
    stub.replies["/checks/"] = (status, body)
    ran = ask(probe, stub)()
    assert ran.line.startswith(f"ESCALATION OK - could not look: {stub.url}/checks/")
    assert words in ran.line
    assert ran.status == 0
