"""probe-vault-key, through its command line, on a real OpenBao and on what only looks like it."""

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from probes.check_vault_key import PROBE, Version, evaluate, kv_version, transit_version
from probes.framework.verdict import Status
from tests.servers.process import Command, Like, listening, saying
from tests.servers.ranges import default_ranges
from tests.servers.vault import Server, bao

pytestmark = pytest.mark.slow

AGE = "2764800;3283200;0"
POLICY = """
path "transit/keys/jwt" { capabilities = ["read"] }
path "secret/metadata/app/db" { capabilities = ["read"] }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with keys and secrets, and a policy for those who look at two of them."""
    with bao(tmp_path_factory.mktemp("bao")) as empty:
        server = empty.initialise()
        server.ask("POST", "sys/mounts/transit", type="transit")
        server.ask("POST", "sys/mounts/secret", type="kv", options={"version": "2"})
        server.ask("POST", "transit/keys/jwt")
        server.ask("POST", "transit/keys/jwt/rotate")
        server.ask("POST", "transit/keys/pair", type="ecdsa-p256")
        for _ in range(3):
            server.ask("POST", "secret/data/app/db", data={"password": "s3cr3t"})
        server.ask("POST", "secret/data/gone", data={"password": "s3cr3t"})
        server.ask("DELETE", "secret/data/gone")
        server.ask("POST", "secret/data/burnt", data={"password": "s3cr3t"})
        server.ask("PUT", "secret/destroy/burnt", versions=[1])
        server.ask("POST", "secret/metadata/hollow", max_versions=5)
        server.ask("PUT", "sys/policies/acl/looker", policy=POLICY)
        yield server


@pytest.fixture
def probe(tmp_path: Path) -> Command:
    return Command("probe-vault-key", tmp_path)


@pytest.fixture
def vault(probe: Command, server: Server) -> Command:
    """The probe with all it needs to look at the server."""
    probe.environ["VAULT_ADDR"] = server.url
    probe.environ["VAULT_TOKEN"] = server.new_token("looker")
    return probe


class TestVersions:
    def test_rotated(self, vault: Command) -> None:
        ran = vault("--transit", "transit/jwt", "--kv", "secret/app/db")
        assert ran.line == Like(
            "VAULT-KEY OK - transit/jwt version 2 is #T old, secret/app/db version 3 is #T old | "
            f"transit/jwt_age=#s;{AGE} transit/jwt_version=2;;;0 "
            f"secret/app/db_age=#s;{AGE} secret/app/db_version=3;;;0"
        )

    def test_variables(self, vault: Command, server: Server, tmp_path: Path) -> None:
        (tmp_path / "vault_token").write_text(server.token)
        ran = vault(
            VAULT_TOKEN="",
            CREDENTIALS_DIRECTORY=tmp_path,
            VAULT_TRANSIT_KEYS="transit/jwt transit/pair",
            VAULT_KV_SECRETS="secret/app/db",
        )
        assert ran.status == 0
        assert "transit/pair version 1 is " in ran.line

    def test_too_old(self, vault: Command) -> None:
        ran = vault("--transit", "transit/jwt", "--age-warning", "0")
        assert ran.line.partition(" | ")[0] == Like(
            "VAULT-KEY WARNING - transit/jwt version 2 is #T old (over 0 s); "
            "check the job that rotates it"
        )

    def test_too_few(self, vault: Command) -> None:
        ran = vault("--transit", "transit/jwt", "--version-critical", "3:")
        assert ran.line.startswith("VAULT-KEY CRITICAL - transit/jwt_version 2 (under 3), ")

    def test_lost(self, vault: Command, server: Server) -> None:
        names = ["secret/gone", "secret/burnt", "secret/hollow", "secret/none", "secret/app/db"]
        flags = [word for name in names for word in ("--kv", name)]
        ran = vault(*flags, "--transit", "transit/none", VAULT_TOKEN=server.token)
        assert ran.line == Like(
            "VAULT-KEY CRITICAL - transit/none does not exist; run: vault read transit/keys/none, "
            "secret/gone version 1 is deleted, secret/burnt version 1 is deleted, "
            "secret/hollow has no version, "
            "secret/none does not exist; run: vault read secret/metadata/none, "
            "secret/app/db version 3 is #T old | "
            f"secret/app/db_age=#s;{AGE} secret/app/db_version=3;;;0"
        )

    def test_no_such_mount(self, vault: Command, server: Server) -> None:
        ran = vault("--transit", "elsewhere/jwt", VAULT_TOKEN=server.token)
        assert ran.line.startswith(
            "VAULT-KEY CRITICAL - elsewhere/keys/jwt answers 404 Not Found: no handler for route "
        )


class TestCredentials:
    def test_missing_right(self, vault: Command) -> None:
        ran = vault("--transit", "transit/pair", "--transit", "transit/jwt")
        assert ran.line == Like(
            "VAULT-KEY UNKNOWN - transit/keys/pair answers 403 Forbidden; its policy needs: "
            'path "transit/keys/pair" { capabilities = ["read"] }, '
            f"transit/jwt version 2 is #T old | transit/jwt_age=#s;{AGE} transit/jwt_version=2;;;0"
        )

    def test_wrong_token(self, vault: Command) -> None:
        ran = vault("--transit", "transit/jwt", VAULT_TOKEN="s3cr3t")
        assert ran.line == (
            "VAULT-KEY UNKNOWN - transit/keys/jwt answers 403 Forbidden; "
            "check VAULT_TOKEN: it is invalid or has expired"
        )

    def test_no_token(self, vault: Command) -> None:
        ran = vault("--transit", "transit/jwt", VAULT_TOKEN="")
        assert ran.line == "VAULT-KEY UNKNOWN - no token; set VAULT_TOKEN"


class TestNoService:
    @pytest.mark.parametrize(
        ("serve", "status", "words"),
        [
            (saying(200, "nonsense"), 2, "transit/keys/jwt answers without data; check "),
            (saying(200, {"data": [1]}), 2, "transit/keys/jwt answers without data; ch"),
            (saying(200, {"data": {}}), 3, "transit/keys/jwt answers without versions"),
            (
                saying(200, {"data": {"latest_version": 2, "keys": [1]}}),
                3,
                "transit/keys/jwt answers without versions",
            ),
            (saying(404, "<html>"), 2, "transit/keys/jwt answers 404 Not Found"),
        ],
    )
    def test_nonsense(
        self, probe: Command, serve: Callable[[socket.socket], None], status: int, words: str
    ) -> None:
        with listening(serve) as port:
            flags = ["--url", f"http://127.0.0.1:{port}", "--transit", "transit/jwt"]
            ran = probe(*flags, VAULT_TOKEN="any")
        assert ran.line.startswith(f"VAULT-KEY {Status(status).name} - {words}")


class TestUsage:
    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--transit", "jwt"], "'jwt' is not MOUNT/NAME; write it like transit/jwt"),
            (["--kv", "secret//db"], "'secret//db' is not MOUNT/NAME"),
        ],
    )
    def test_wrong(self, probe: Command, flags: list[str], message: str) -> None:
        ran = probe.misused(*flags)
        assert message in ran.line

    def test_no_key(self, probe: Command) -> None:
        ran = probe()
        assert ran.line == "VAULT-KEY UNKNOWN - no key to check; set --transit or --kv"


RANGES = default_ranges(PROBE)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (31, "transit/jwt version 2 is 31 d old"),
        (33, "transit/jwt version 2 is 33 d old (over 32 d); check the job that rotates it"),
        (39, "transit/jwt version 2 is 39 d old (over 38 d); check the job that rotates it"),
        (-0.001, "transit/jwt version 2 is 0 s old"),
    ],
)
def test_evaluate(days: float, words: str) -> None:
    age, number = evaluate("transit/jwt", Version(2, NOON - days * 86400), NOON, RANGES)
    assert age.message() == words
    assert (number.value, number.message()) == (2, "")


def test_evaluate_one_from_the_future() -> None:
    (reading,) = evaluate("transit/jwt", Version(2, NOON + 86400), NOON, RANGES)
    assert reading.status is Status.UNKNOWN
    assert reading.message() == (
        "transit/jwt version 2 was made 1 d from now; check the clocks of both hosts, and rotate it"
    )


@pytest.mark.parametrize(
    ("found", "version"),
    [
        ({"latest_version": 2, "keys": {"1": 5, "2": NOON}}, Version(2, NOON)),
        (
            {"latest_version": 1, "keys": {"1": {"creation_time": "2026-01-01T12:00:00.0Z"}}},
            Version(1, NOON),
        ),
        (
            {"latest_version": 1, "keys": {"1": NOON}, "soft_deleted": True},
            Version(1, NOON, is_deleted=True),
        ),
    ],
)
def test_transit_version(found: dict[str, Any], version: Version) -> None:
    assert transit_version(found) == version


@pytest.mark.parametrize(
    ("changes", "is_deleted"),
    [
        ({}, False),
        ({"deletion_time": "2026-01-02T12:00:00.123456789Z"}, True),
        ({"deletion_time": "2999-01-01T00:00:00Z"}, False),  # delete_version_after
        ({"destroyed": True}, True),
    ],
)
def test_kv_version(changes: dict[str, Any], is_deleted: bool) -> None:
    newest = {"created_time": "2026-01-01T12:00:00Z", "deletion_time": "", "destroyed": False}
    found = {"current_version": 3, "versions": {"2": {}, "3": newest | changes}}
    assert kv_version(found) == Version(3, NOON, is_deleted)
