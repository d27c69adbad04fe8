"""probe-vault, through its command line, on real OpenBao and on what only looks like it."""

import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from probes.check_vault import EMPTY, PROBE, evaluate_skew, evaluate_token
from probes.framework.verdict import Status
from tests.servers.process import (
    Command,
    Like,
    answering,
    certificate,
    free_port,
    hang,
    listening,
    running,
    saying,
    until,
)
from tests.servers.ranges import default_ranges
from tests.servers.vault import Server, bao

pytestmark = pytest.mark.slow

LATENCY = "latency=#s;8;;0"
SKEW = "skew=#s;30;300;0"
NO_WRITES = "and the standby forwards nothing to it: writes fail; start or unseal"
ELECT = "or enough nodes to elect another"
NO_BACKEND = "which does not come from Vault; the load balancer there has no working node: "


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An active server."""
    with bao(tmp_path_factory.mktemp("bao")) as server:
        yield server.initialise()


@pytest.fixture
def probe(tmp_path: Path) -> Command:
    return Command("probe-vault", tmp_path)


class TestState:
    def test_active(self, probe: Command, server: Server) -> None:
        ran = probe(VAULT_ADDR=f"{server.url}/")
        assert ran.line == Like(f"VAULT OK - {server.url} answers in #T, active | {LATENCY} {SKEW}")

    def test_over_its_life(self, probe: Command, tmp_path: Path) -> None:
        with bao(tmp_path) as server:
            probe.environ["VAULT_ADDR"] = server.url
            ran = probe(VAULT_TOKEN="any")
            assert ran.line == Like(
                f"VAULT CRITICAL - not initialised: its storage is empty; {EMPTY}, "
                f"{server.url} answers in #T | {LATENCY} {SKEW}"
            )
            server = server.initialise()
            assert probe(VAULT_TOKEN=server.token).status == 0
            server.ask("PUT", "sys/seal")
            ran = probe(VAULT_TOKEN=server.token)
            assert ran.line == Like(
                "VAULT CRITICAL - sealed; vault operator unseal, "
                f"{server.url} answers in #T | {LATENCY} {SKEW}"
            )

    @pytest.mark.slow
    def test_standby(self, probe: Command, tmp_path: Path) -> None:
        with bao(tmp_path, raft=True) as first, bao(tmp_path, raft=True) as second:
            leader = first.initialise()
            second.follow(leader)
            ran = probe("--url", second.url, VAULT_TOKEN=leader.token)
            assert ran.line == Like(
                f"VAULT OK - {second.url} answers in #T, standby, the token never expires | "
                f"{LATENCY} {SKEW}"
            )
            leader.process.send_signal(signal.SIGSTOP)
            ran = probe("--url", second.url, "--timeout", "3s")
            assert ran.line == Like(
                f"VAULT CRITICAL - the active node {leader.url} does not answer, {NO_WRITES} "
                f"{leader.url}, {ELECT}, {second.url} answers in #T, standby | {LATENCY} {SKEW}"
            )
            leader.process.kill()
            leader.process.wait()
            ran = probe("--url", second.url)
            assert ran.line == Like(
                f"VAULT CRITICAL - the active node {leader.url} cannot be reached from here "
                f"(Connection refused), {NO_WRITES} {leader.url}, {ELECT}, "
                f"{second.url} answers in #T, standby | {LATENCY} {SKEW}"
            )

    def test_standby_of_an_active_node_elsewhere(self, probe: Command, tmp_path: Path) -> None:
        """This host cannot reach it at its address; the standby can, over the cluster's port."""
        elsewhere = f"http://127.0.0.1:{free_port()}"
        with bao(tmp_path, raft=True, api=elsewhere) as first, bao(tmp_path, raft=True) as second:
            leader = first.initialise()
            second.follow(leader)
            ran = probe("--url", second.url)
        assert ran.line == Like(
            f"VAULT OK - {second.url} answers in #T, standby, it forwards to the active node | "
            f"{LATENCY} {SKEW}"
        )

    @pytest.mark.parametrize(
        ("code", "leader", "status", "words"),
        [
            (473, "ACTIVE", 0, "TARGET answers in #T, performance standby, the token is valid"),
            (429, "", 2, "there is no active node; unseal another node, or see in its log why"),
            (429, "OWN", 2, f"the active node TARGET is standby, {NO_WRITES} TARGET, {ELECT}, "),
            (473, None, 3, "sys/leader names no active node, TARGET answers in #T, "),
            (473, "nonsense", 3, "sys/leader names no active node, TARGET answers in "),
            (429, "HUNG", 2, f"the active node HUNG does not answer, {NO_WRITES} HUNG, {ELECT}, "),
            (
                474,
                "ACTIVE",
                1,
                "standby without contact to the active node; see whether it reaches ",
            ),
            (474, "HUNG", 2, f"the active node HUNG does not answer, {NO_WRITES} HUNG, {ELECT}, "),
        ],
    )
    def test_leader_of_a_standby(
        self, probe: Command, server: Server, code: int, leader: str | None, status: int, words: str
    ) -> None:
        """Only Enterprise has performance standbys, so they are no real ones."""
        answers: dict[str, tuple[int, object]] = {
            "sys/health": (code, {"initialized": True}),
            "lookup-self": (200, {"data": {"ttl": 90000}}),
            "renew-self": (307, {}),
        }
        with listening(answering(answers)) as port, listening(hang) as hung:
            urls = {"OWN": f"http://127.0.0.1:{port}", "HUNG": f"http://127.0.0.1:{hung}"}
            urls["ACTIVE"] = server.url
            address = urls.get(str(leader), leader)
            answers["sys/leader"] = (200, {} if leader is None else {"leader_address": address})
            ran = probe("--url", urls["OWN"], "--timeout", "2s", VAULT_TOKEN="any")
        words = words.replace("TARGET", urls["OWN"]).replace("HUNG", urls["HUNG"])
        start = re.match(Like(f"VAULT {Status(status).name} - {words}").pattern, ran.line)
        assert start, ran.line

    def test_performance_standby_that_refuses_by_itself(self, probe: Command) -> None:
        gone = f"http://127.0.0.1:{free_port()}"
        answers: dict[str, tuple[int, object]] = {
            "sys/health": (473, {"initialized": True}),
            "sys/leader": (200, {"leader_address": gone}),
            "renew-self": (403, {"errors": ["permission denied"]}),
        }
        with listening(answering(answers)) as port:
            ran = probe("--url", f"http://127.0.0.1:{port}")
        assert ran.line.startswith(
            f"VAULT WARNING - the active node {gone} cannot be reached from here (Connection "
        )

    def test_removed_from_its_cluster(self, probe: Command) -> None:
        """Only HashiCorp's Vault says so."""
        with listening(saying(530, {"initialized": True, "removed_from_cluster": True})) as port:
            ran = probe("--url", f"http://127.0.0.1:{port}")
        assert ran.line.startswith(
            "VAULT CRITICAL - removed from its cluster; run on another node: vault operator raft "
        )

    def test_disaster_recovery(self, probe: Command) -> None:
        """A token cannot be looked into there."""
        answers: dict[str, tuple[int, object]] = {"sys/health": (472, {"initialized": True})}
        with listening(answering(answers)) as port:
            url = f"http://127.0.0.1:{port}"
            ran = probe("--url", url, VAULT_TOKEN="any")
        assert ran.line == Like(
            f"VAULT OK - {url} answers in #T, disaster recovery secondary | {LATENCY}"
        )


class TestToken:
    @pytest.fixture(autouse=True)
    def addr(self, probe: Command, server: Server) -> None:
        probe.environ["VAULT_ADDR"] = server.url

    @pytest.mark.parametrize(
        ("ttl", "status", "words"),
        [
            ("48h30m", 0, "the token is valid for 2 d"),
            ("3h30m", 1, "the token is valid for 3 h # min (under 1 d); renew it"),
            ("30m30s", 2, "the token is valid for # min # s (under 1 h); renew it"),
        ],
    )
    def test_time_left(
        self, probe: Command, server: Server, ttl: str, status: int, words: str
    ) -> None:
        token = server.new_token("default", ttl=ttl)
        ran = probe(VAULT_TOKEN=token)
        answers = f"{server.url} answers in #T, active"
        words = f"{answers}, {words}" if status == 0 else f"{words}, {answers}"
        assert ran.line == Like(
            f"VAULT {['OK', 'WARNING', 'CRITICAL'][status]} - {words} | "
            f"{LATENCY} {SKEW} token=#s;86400:;3600:;0"
        )
        assert ran.status == status
        flags = ["--token-warning", "off", "--token-critical", "10m:"]
        assert probe(*flags, VAULT_TOKEN=token).status == 0

    def test_not_renewable(self, probe: Command, server: Server) -> None:
        token = server.new_token("default", ttl="3h", renewable=False)
        assert "; it cannot be renewed: log in again, " in probe(VAULT_TOKEN=token).line

    def test_never_expires(self, probe: Command, server: Server) -> None:
        ran = probe(VAULT_TOKEN=server.token)
        assert ran.status == 0
        assert "active, the token never expires | " in ran.line

    def test_invalid(self, probe: Command, server: Server) -> None:
        expired = server.new_token("default", ttl="1s")
        time.sleep(1.1)
        for token in ("wr0ng", expired):
            ran = probe(VAULT_TOKEN=token)
            assert ran.line == Like(
                "VAULT CRITICAL - the token is invalid or has expired; log in again, and renew "
                f"the token in time, {server.url} answers in #T, active | {LATENCY} {SKEW}"
            )

    def test_missing_right(self, probe: Command, server: Server) -> None:
        ran = probe(VAULT_TOKEN=server.new_token("nothing"))
        assert ran.line == Like(
            "VAULT UNKNOWN - auth/token/lookup-self answers 403 Forbidden; its policy needs: path "
            '"auth/token/lookup-self" { capabilities = ["read"] }, '
            f"{server.url} answers in #T, active | {LATENCY} {SKEW}"
        )

    def test_namespace(self, probe: Command, server: Server) -> None:
        server.ask("POST", "sys/namespaces/team")
        there = {"X-Vault-Token": server.token, "X-Vault-Namespace": "team"}
        url = f"{server.url}/v1/auth/token/create"
        made = requests.post(url, headers=there, json={"ttl": "48h30m"}, timeout=20).json()
        token = made["auth"]["client_token"]
        ran = probe("--namespace", "team", VAULT_TOKEN=token)
        assert ran.status == 0, ran.line
        assert "the token is valid for 2 d | " in ran.line
        assert probe(VAULT_NAMESPACE="team", VAULT_TOKEN=token).status == 0
        assert probe(VAULT_NAMESPACE="elsewhere", VAULT_TOKEN=token).status > 1


class TestNoService:
    @pytest.mark.parametrize(
        ("status", "body", "words"),
        [
            (200, {}, "sys/health is not the answer of Vault; check VAULT_ADDR"),
            (503, {}, f"sys/health answers 503 Service Unavailable, {NO_BACKEND}"),
            (502, {}, f"sys/health answers 502 Bad Gateway, {NO_BACKEND}"),
            (504, {}, f"sys/health answers 504 Gateway Timeout, {NO_BACKEND}"),
            (500, {"errors": ["no disk"]}, "sys/health answers 500 Internal Server Error: no disk"),
            (404, {}, "sys/health answers 404 Not Found"),
        ],
    )
    def test_nonsense(self, probe: Command, status: int, body: object, words: str) -> None:
        with listening(saying(status, body)) as port:
            ran = probe("--url", f"http://127.0.0.1:{port}")
        assert ran.line.startswith(f"VAULT CRITICAL - {words}")

    def test_nonsense_about_the_token(self, probe: Command) -> None:
        with listening(saying(200, {"initialized": True})) as port:
            ran = probe("--url", f"http://127.0.0.1:{port}", VAULT_TOKEN="any")
        assert ran.line.startswith(
            "VAULT CRITICAL - auth/token/lookup-self answers without data; check VAULT_ADDR, "
        )


class TestLoadBalancer:
    @pytest.fixture
    def front(self, tmp_path: Path) -> Iterator[str]:
        """A real HAProxy whose only Vault is down."""
        haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
        if haproxy is None:
            pytest.skip("no haproxy: apt-get install haproxy")
        port = free_port()
        (tmp_path / "haproxy.cfg").write_text(
            "defaults\n mode http\n timeout connect 2s\n timeout client 9s\n timeout server 9s\n"
            f"frontend f\n bind 127.0.0.1:{port}\n default_backend b\n"
            f"backend b\n server only 127.0.0.1:{free_port()} disabled\n"
        )
        with running([haproxy, "-f", str(tmp_path / "haproxy.cfg")], tmp_path / "log") as process:

            def answers() -> bool:
                assert process.poll() is None, (tmp_path / "log").read_text()
                with suppress(requests.ConnectionError):
                    return requests.get(f"http://127.0.0.1:{port}", timeout=9).status_code == 503
                return False

            until(answers, "haproxy is ready")
            yield f"http://127.0.0.1:{port}"

    def test_without_a_working_node(self, front: str, tmp_path: Path) -> None:
        for name, path, more in (
            ("vault", "sys/health", []),
            ("vault-key", "transit/keys/jwt", ["--transit", "transit/jwt"]),
        ):
            ran = Command(f"probe-{name}", tmp_path)(*more, VAULT_ADDR=front, VAULT_TOKEN="any")
            assert ran.line.startswith(
                f"{name.upper()} CRITICAL - {path} answers 503 Service Unavailable, {NO_BACKEND}"
            )


class TestTls:
    def test_trust(self, probe: Command, tmp_path: Path) -> None:
        cert, key = certificate(tmp_path)
        with bao(tmp_path, cert=cert, key=key) as server:
            probe.environ["VAULT_ADDR"] = server.url
            for environ in ({"VAULT_CACERT": cert}, {"VAULT_SKIP_VERIFY": "true"}):
                assert probe(**environ).line.startswith("VAULT CRITICAL - not initialised: ")


RANGES = default_ranges(PROBE)


@pytest.mark.parametrize(
    ("behind", "words"),
    [
        (0.0, ""),
        (0.9, ""),
        (-0.9, ""),
        (10.5, "its clock is 9.5 s behind this host's"),
        (-60, "its clock is 1 min ahead of this host's (over 30 s); check NTP on both hosts"),
        (400, "its clock is 6 min 39 s behind this host's (over 5 min); check NTP on both hosts"),
    ],
)
def test_evaluate_skew(behind: float, words: str) -> None:
    assert evaluate_skew(behind, RANGES).message() == words


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        ({"ttl": 0, "expire_time": None}, Status.OK, "the token never expires"),
        ({}, Status.UNKNOWN, "token could not be read; it cannot be renewed: log in again"),
        (
            {"ttl": 0, "expire_time": "2026-01-01T00:00:00Z"},
            Status.CRITICAL,
            "the token is valid for 0 s (under 1 h); it cannot be renewed: log in again",
        ),
        (
            {"ttl": 3600, "expire_time": "2026-01-01T00:00:00Z", "renewable": True},
            Status.WARNING,
            "the token is valid for 1 h (under 1 d); renew it",
        ),
    ],
)
def test_evaluate_token(token: dict[str, Any], status: Status, words: str) -> None:
    reading = evaluate_token(token, RANGES)
    assert (reading.status, reading.message()) == (status, words)
