"""probe-redis, through its command line, on real servers and on what only looks like one."""

import json
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from probes.check_redis import PROBE
from probes.clients.redis_info import COUNTERS, evaluate, evaluate_keys
from probes.framework.state import WINDOW, Since
from probes.framework.verdict import Reading, Status
from tests.servers.process import Command, Like, certificate, hang, listening, trickle, until
from tests.servers.ranges import default_ranges
from tests.servers.redis import Server, StartRedis

pytestmark = pytest.mark.slow

LATENCY = "latency=#s;8;;0"
PEAK = "memory_peak=#B;;;0"
MEMORY = "memory=#B;200000000;;0"
CLIENTS = "clients=#;8000;9000;0;10000"
FIRST = "first run, what grows is counted from now on"
LOSSES = "evictions=#;;;0 rejected=0;0;;0 expired=0;;;0"
UPTIME = "uptime=#s;;;0"


def test_healthy(probe: Command, start_redis: StartRedis) -> None:
    port = start_redis().port
    first, second = probe("--port", port), probe("--port", port)
    assert first.status == second.status == 0
    words = f"REDIS OK - 127.0.0.1:{port} answers in #T, #B used, 2 clients"
    figures = f"{LATENCY} {MEMORY} {PEAK} {CLIENTS}"
    assert first.line == Like(f"{words}, {FIRST} | {figures} {UPTIME} replicas=0;;;0")
    figures += f" {LOSSES} {UPTIME} restarts=0;0;;0 replicas=0;;;0"
    assert second.line == Like(f"{words} | {figures}")


def test_databases(probe: Command, start_redis: StartRedis) -> None:
    server = start_redis()
    server.client.mset({"a": 1, "b": 2})
    with server.client.pipeline(transaction=False) as pipeline:
        pipeline.execute_command("SELECT", 3)
        pipeline.set("c", 3)
        pipeline.execute_command("SELECT", 0)
        pipeline.execute()
    _, every = probe.json("--port", server.port)
    labels = [label for label in every if label.startswith("db")]
    assert labels == ["db0_keys", "db0_expires", "db3_keys", "db3_expires"]
    _, chosen = probe.json("--port", server.port, "--db", 3, "--db", 5, "--keys-critical", "1:")
    assert chosen["db3_keys"]["message"] == "1 key in db3"
    assert chosen["db5_keys"]["message"] == "0 keys in db5 (under 1)"
    assert chosen["db5_keys"]["status"] == "CRITICAL"
    result, _ = probe.json(REDIS_URL=f"redis://127.0.0.1:{server.port}/99")
    assert result["status"] == "CRITICAL"
    assert result["message"].startswith("db99: DB index is out of range, ")


def test_over_a_threshold(probe: Command, start_redis: StartRedis) -> None:
    port = start_redis("--maxmemory", "8000000", "--maxclients", "20").port
    full = "at 100% Redis refuses writes"
    for flag, words in {
        "--latency-warning=0": f"WARNING - 127.0.0.1:{port} answers in #T (over 0 s)",
        "--latency-critical=10s:": f"CRITICAL - 127.0.0.1:{port} answers in #T (under 10 s)",
        "--memory-warning=100kB": "WARNING - #B used (over 100.0 kB)",
        "--memory-critical=5%": "CRITICAL - #B used (over 5%)",
        "--maxmemory-warning=5%": f"WARNING - #% of maxmemory 8.0 MB (over 5%); {full}",
        "--maxmemory-critical=5": f"CRITICAL - #% of maxmemory 8.0 MB (over 5%); {full}",
        "--clients-warning=1": "WARNING - 2 clients (over 1)",
        "--clients-critical=5%": "CRITICAL - 2 clients (over 5%)",
        "--replicas-critical=1:": "CRITICAL - replicas 0 (under 1)",
    }.items():
        assert probe.worst("--port", port, flag) == Like(words)


def test_every_threshold_can_be_off(probe: Command, start_redis: StartRedis) -> None:
    server = start_redis("--maxmemory", "1000")
    names = [item.name.replace("_", "-") for item in PROBE.table.thresholds]
    off = [f"--{name}-{level}=off" for name in names for level in ("warning", "critical")]
    assert probe("--port", server.port, "--latency-warning=0").status == 2
    ran = probe("--port", server.port, *off)
    assert ran.status == 0
    assert ";;;0" in ran.line.partition(" | ")[2].split()[0]


def evict(server: Server) -> None:
    for key in range(100):
        server.client.set(f"key{key}", "x" * 50_000)


def earlier(tmp_path: Path, seconds: float) -> None:
    """Let all states be older."""
    for path in (tmp_path / "state/probes").iterdir():
        state = json.loads(path.read_text())
        state["samples"] = [[at - seconds, totals] for at, totals in state["samples"]]
        path.write_text(json.dumps(state))


def test_evictions(probe: Command, start_redis: StartRedis, tmp_path: Path) -> None:
    """They stay for 10 minutes, because the run that saw them first may not have reported them."""
    server = start_redis("--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
    flags = ["--port", server.port, "--evictions-warning", "0"]
    assert probe(*flags).status == 0
    evict(server)
    words = "keys evicted in #T (over 0); raise maxmemory"
    losses = "evictions=#;0;;0 rejected=0;0;;0 expired=0;;;0"
    assert probe(*flags).line == Like(
        f"REDIS WARNING - # {words}, or store less, "
        f"127.0.0.1:{server.port} answers in #T, #B used, #% of maxmemory 4.2 MB (allkeys-lru), "
        f"2 clients, # keys in db0 | {LATENCY} {MEMORY};4194304 {PEAK} maxmemory=#%;;;0;100 "
        f"{CLIENTS} {losses} {UPTIME} restarts=0;0;;0 replicas=0;;;0 db0_keys=#;;;0 "
        "db0_expires=0;;;0"
    )
    assert probe.worst(*flags) == Like(f"WARNING - # {words}")
    earlier(tmp_path, WINDOW + 1)
    again = probe(*flags)
    assert again.status == 0
    assert "evictions=0;0;;0" in again.line
    assert " 0 keys evicted" not in again.line


def test_each_check_counts_for_itself(
    probe: Command, start_redis: StartRedis, tmp_path: Path
) -> None:
    """As in the catalogue: one check ignores warnings, and must not take them from the other."""
    server = start_redis("--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
    checks: Mapping[str, list[object]] = {
        "redis": ["--port", server.port, "--evictions-warning", "off"],
        "redis-memory": ["--port", server.port, "--evictions-warning", "0"],
        "https://hc.example.com/ping/s3cr3t": ["--port", server.port, "--evictions-warning", "0"],
    }
    for check, flags in checks.items():
        assert probe(*flags, HCRUN_CHECK=check).status == 0
    evict(server)
    earlier(tmp_path, WINDOW + 1)  # no check sees the evictions in the window of another
    statuses = [probe(*flags, HCRUN_CHECK=check).status for check, flags in checks.items()]
    assert statuses == [0, 1, 1]
    names = [path.name for path in (tmp_path / "state/probes").iterdir()]
    assert len(names) == 3
    assert "s3cr3t" not in "".join(names)


def test_restart(probe: Command, start_redis: StartRedis, tmp_path: Path) -> None:
    port = start_redis().port
    assert probe("--port", port).status == 0
    (path,) = (tmp_path / "state/probes").iterdir()
    assert path.name == f"redis-127.0.0.1%3A{port}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    state = json.loads(path.read_text()) | {"life": "another"}
    path.write_text(json.dumps(state))
    earlier(tmp_path, 100)
    ran = probe("--port", port)
    assert re.match(
        r"REDIS WARNING - restarted .* ago \(over 0\); check the server's log", ran.line
    )
    assert "evictions=0;;;0" in ran.line
    ((at, totals),) = state["samples"]  # the last run was after this process had started
    state["samples"] = [[at - 100, totals], [at + 1000, totals]]
    path.write_text(json.dumps(state))
    assert "restarts=0;0;;0" in probe("--port", port).line
    path.write_text("{nonsense")
    assert FIRST in probe("--port", port).line


def test_counters_that_cannot_be_kept(
    probe: Command, start_redis: StartRedis, tmp_path: Path
) -> None:
    port = start_redis().port
    (tmp_path / "state").write_text("a file, where a directory should be")
    ran = probe("--port", port)
    assert ran.status == 3
    assert ran.line.startswith(
        f"REDIS UNKNOWN - cannot keep counters: {tmp_path}/state/probes/redis-127.0.0.1%3A{port}"
        ".json: Not a directory; make it writable for this user, or set STATE_DIRECTORY, "
    )
    off = [f"--{name}-warning=off" for name in ("evictions", "rejected", "restarts", "hit-rate")]
    assert probe("--port", port, *off).status == 0  # nothing needs them


def test_hit_rate(probe: Command, start_redis: StartRedis) -> None:
    server = start_redis()
    probe("--port", server.port)
    server.client.set("a", 1)
    for key in ("a", "a", "a", "b"):
        server.client.get(key)
    flags = ["--port", server.port, "--hit-rate-warning", "80:"]
    assert probe.worst(*flags) == Like("WARNING - 75% of 4 lookups hit in #T (under 80%)")


def test_maxclients_reached(probe: Command, start_redis: StartRedis) -> None:
    server = start_redis("--maxclients", "2")
    probe("--port", server.port)
    with socket.create_connection(("127.0.0.1", server.port)) as more:
        more.sendall(b"PING\r\n")
        assert more.recv(16) == b"+PONG\r\n"
        assert probe("--port", server.port).line == Like(
            f"REDIS CRITICAL - 127.0.0.1:{server.port}: max number of clients reached"
        )
    until(lambda: server.client.info()["connected_clients"] == 1, "the other client has gone")
    ran = probe("--port", server.port, "--clients-critical", "off", "--clients-warning", "off")
    assert re.match(
        r"REDIS WARNING - 1 connection rejected in .* \(over 0\); raise maxclients, ", ran.line
    )


def test_loading(probe: Command, start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis("--enable-debug-command", "yes")
    server.client.execute_command("DEBUG", "POPULATE", 20_000)
    server.client.save()
    (dump,) = tmp_path.glob("redis-*/dump.rdb")
    slowly = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
    loading = start_redis(*slowly, dump=dump)
    ran = probe("--port", loading.port)
    loading.process.kill()
    assert ran.line == Like(
        f"REDIS CRITICAL - 127.0.0.1:{loading.port}: Redis is loading the dataset in memory"
    )


def test_busy_script(probe: Command, start_redis: StartRedis) -> None:
    server = start_redis("--busy-reply-threshold", "1")
    with socket.create_connection(("127.0.0.1", server.port)) as busy:
        busy.sendall(b'EVAL "while true do end" 0\r\n')

        def is_busy() -> bool:
            try:
                return not server.client.ping()
            except Exception as error:
                return "BUSY" in str(error)

        until(is_busy, "the script runs")
        ran = probe("--port", server.port)
        server.client.execute_command("SCRIPT", "KILL")
    assert ran.line.startswith(f"REDIS CRITICAL - 127.0.0.1:{server.port}: BUSY Redis is busy")


def test_last_bgsave_failed(probe: Command, start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis()
    (directory,) = tmp_path.glob("redis-*")
    (directory / "dump.rdb").mkdir()  # in the way of the file
    (directory / "dump.rdb" / "full").touch()
    server.client.bgsave()
    until(lambda: server.client.info()["rdb_last_bgsave_status"] == "err", "the save fails")
    assert probe("--port", server.port).line.startswith(
        "REDIS CRITICAL - the last bgsave failed; check the server's log and disk, 127.0.0.1:"
    )


def test_replica(probe: Command, start_redis: StartRedis) -> None:
    primary = start_redis("--repl-diskless-sync-delay", "0")
    replica = start_redis("--replicaof", "127.0.0.1", primary.port)
    until(lambda: replica.client.info()["master_link_status"] == "up", "the replica follows")
    ran = probe("--port", replica.port)
    assert ran.status == 0
    assert f", replica of 127.0.0.1:{primary.port}, last data # s ago" in re.sub(
        r"data [\d.]+", "data #", ran.line
    )
    assert "1 replica" in probe("--port", primary.port, "--replicas-critical", "1:").line
    primary.process.kill()
    until(lambda: replica.client.info()["master_link_status"] == "down", "the link breaks")
    assert probe("--port", replica.port).line.startswith(
        f"REDIS CRITICAL - the link to primary 127.0.0.1:{primary.port} is down"
    )


class TestCredentials:
    def test_password(self, probe: Command, start_redis: StartRedis) -> None:
        port = start_redis("--requirepass", "s3cr/t", password="s3cr/t").port
        target = f"127.0.0.1:{port}"
        none = probe("--port", port)
        assert none.line == f"REDIS UNKNOWN - {target}: Authentication required; set REDIS_PASSWORD"
        assert probe("--port", port, REDIS_PASSWORD="wr0ng").line == (
            f"REDIS UNKNOWN - {target}: invalid username-password pair or user is disabled; "
            "check REDIS_USERNAME and REDIS_PASSWORD"
        )
        for environ in (
            {"REDIS_PASSWORD": "s3cr/t"},
            {"REDIS_URL": f"redis://:s3cr%2Ft@{target}/0", "REDIS_PORT": "1"},
        ):
            ran = probe("--port", port, **environ)
            assert ran.status == 0, ran.line

    @pytest.mark.parametrize(
        ("rights", "start"),
        [
            ("+ping", "this user has no permissions to run the 'info' command; "),
            ("+info", "this user has no permissions to run the 'ping' command; "),
            ("+ping +info", "this user has no permissions to run the 'select' command; "),
        ],
    )
    def test_missing_right(
        self, probe: Command, start_redis: StartRedis, rights: str, start: str
    ) -> None:
        server = start_redis()
        server.client.execute_command("ACL", "SETUSER", "looker", "on", ">pw", *rights.split())
        flags = ["--port", server.port, "--user", "looker"]
        flags += ["--db", 1] if "select" in start else []
        ran = probe(*flags, REDIS_PASSWORD="pw")
        missing = start.split("'")[1]
        assert ran.line.startswith("REDIS UNKNOWN - ")
        assert start + f"ACL SETUSER looker +{missing}" in ran.line
        if rights == "+ping":
            assert " | latency=" in ran.line  # what could be seen is said

    def test_all_the_rights_it_needs(self, probe: Command, start_redis: StartRedis) -> None:
        server = start_redis()
        rights = ["+ping", "+info", "+select"]
        server.client.execute_command("ACL", "SETUSER", "looker", "on", ">pw", *rights)
        ran = probe("--port", server.port, "--db", 0, REDIS_USERNAME="looker", REDIS_PASSWORD="pw")
        assert ran.status == 0
        assert server.client.execute_command("ACL", "LOG") == []
        assert server.client.info("errorstats") == {}


class TestNoService:
    def test_no_socket(self, probe: Command, tmp_path: Path) -> None:
        ran = probe(REDIS_URL=f"unix://{tmp_path}/redis.sock")
        assert ran.line.startswith("REDIS CRITICAL - ")
        assert f"{tmp_path}/redis.sock" in ran.line

    @pytest.mark.parametrize("go_on", [hang, trickle])
    def test_no_answer_after_the_first(
        self, probe: Command, go_on: Callable[[socket.socket], None]
    ) -> None:
        def serve(connection: socket.socket) -> None:
            for answer in (b"+PONG\r\n", b"+PONG\r\n$1000000\r\n"):
                connection.recv(4096)
                connection.sendall(answer)
            go_on(connection)

        with listening(serve) as port:
            ran = probe("--port", port, "--timeout", "2s")
        assert ran.line == Like(
            f"REDIS CRITICAL - no answer from 127.0.0.1:{port} within 2 s, "
            f"127.0.0.1:{port} answers in #T | {LATENCY}"
        )
        assert ran.seconds < 8

    def test_empty_info(self, probe: Command) -> None:
        def serve(connection: socket.socket) -> None:
            for answer in (b"+PONG\r\n", b"+PONG\r\n", b"$0\r\n\r\n"):
                connection.recv(4096)
                connection.sendall(answer)

        with listening(serve) as port:
            ran = probe("--port", port)
        assert ran.line.startswith(
            f"REDIS UNKNOWN - 127.0.0.1:{port}: INFO has nothing of a Redis, "
        )


class TestTls:
    @pytest.fixture
    def tls_port(self, start_redis: StartRedis, tmp_path: Path) -> int:
        cert, key = certificate(tmp_path)
        files = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert]
        client = {"ssl": True, "ssl_ca_certs": cert, "ssl_certfile": cert, "ssl_keyfile": key}
        return start_redis("--port", "0", "--tls-port", "PORT", *files, **client).port

    def test_with_and_without_trust(self, probe: Command, tls_port: int, tmp_path: Path) -> None:
        cert, key = tmp_path / "server.crt", tmp_path / "server.key"
        own = ["--tls-cert", cert, "--tls-key", key]
        trusted = probe("--port", tls_port, "--tls", "--tls-ca", cert, *own)
        assert trusted.status == 0, trusted.line
        url = f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={cert}"
        assert probe(*own, REDIS_URL=url).status == 0
        unchecked = f"rediss://127.0.0.1:{tls_port}/0?ssl_cert_reqs=none"
        assert probe(*own, REDIS_URL=unchecked).status == 0
        for flags, words in (
            (["--tls-ca", key], f"{key}: has no certificates in PEM format"),
            (["--tls-cert", cert, "--tls-key", cert], f"{cert}: certificate and key are not in "),
        ):
            wrong = probe("--port", tls_port, "--tls", *flags)
            assert wrong.line.startswith(f"REDIS UNKNOWN - {words}")
        untrusted = probe("--port", tls_port, "--tls", *own)
        assert untrusted.status == 2
        assert "certificate verify failed: self-signed certificate" in untrusted.line


def test_the_other_protocol(probe: Command, start_redis: StartRedis, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    files = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no"]
    client = {"ssl": True, "ssl_cert_reqs": "none"}
    secure = start_redis("--port", "0", "--tls-port", "PORT", *files, **client).port
    plain = start_redis().port
    assert probe("--port", secure).line == (
        f"REDIS CRITICAL - 127.0.0.1:{secure}: the port speaks TLS; use rediss:// or --tls"
    )
    assert probe("--timeout", "3s", REDIS_URL=f"rediss://127.0.0.1:{plain}").line == (
        f"REDIS CRITICAL - 127.0.0.1:{plain}: the port does not speak TLS; use redis:// or --no-tls"
    )


class TestUsage:
    def test_wrong_variables(self, probe: Command) -> None:
        for name in ("REDIS_PORT", "PROBE_REDIS_MEMORY_WARNING"):
            assert name in probe.worst(**{name: "x"})
        ran = probe(HCRUN_ENV_FILE="/nowhere")
        assert ran.line.startswith("REDIS UNKNOWN - HCRUN_ENV_FILE: /nowhere: no such file")

    def test_precedence(self, probe: Command, start_redis: StartRedis, tmp_path: Path) -> None:
        port = start_redis().port
        env_file = tmp_path / "hcrun.env"
        env_file.write_text(f"REDIS_PORT={port}\nPROBE_REDIS_CLIENTS_CRITICAL=1\n")
        probe.environ["HCRUN_ENV_FILE"] = str(env_file)
        assert "2 clients (over 1)" in probe().line
        assert probe(PROBE_REDIS_CLIENTS_CRITICAL="off").status == 0
        assert probe("--clients-critical", "off", PROBE_REDIS_CLIENTS_CRITICAL="1").status == 0
        assert "Connection refused" in probe(REDIS_PORT="1").line
        assert "Connection refused" in probe(REDIS_URL="redis://127.0.0.1:1").line
        env_file.write_text("REDIS_URL=redis://127.0.0.1:1/0\n")
        assert "Connection refused" in probe().line
        assert probe(REDIS_PORT=port).status == 0
        assert probe("--port", port).status == 0


INFO = {
    "used_memory": 50_000_000,
    "maxmemory": 0,
    "connected_clients": 3,
    "maxclients": 100,
    "rdb_last_bgsave_status": "ok",
    "aof_enabled": 0,
    "role": "master",
    "connected_slaves": 0,
}
REPLICA = {"role": "slave", "master_host": "db1", "master_port": 6379}
LIMITS = default_ranges(PROBE)
NOTHING_NEW = Since(dict.fromkeys(COUNTERS, 0.0), 30.0)
EVICTING = {"maxmemory": 55e6, "maxmemory_policy": "volatile-lru"}
FULL = "91% of maxmemory 55.0 MB"
CLUSTER = {"cluster_state": "ok", "cluster_slots_assigned": "16384", "cluster_size": "3"}


@pytest.mark.parametrize(
    ("changes", "label", "status", "words"),
    [
        ({"used_memory": 99e6, "mem_fragmentation_ratio": 9.0}, "fragmentation", None, ""),
        (
            {"used_memory": 101e6, "mem_fragmentation_ratio": 1.7},
            "fragmentation",
            Status.WARNING,
            (
                "fragmentation 1.70 (over 1.5); CONFIG SET activedefrag yes lowers it; "
                "a restart loses what is not saved"
            ),
        ),
        (
            {"used_memory": 101e6, "mem_fragmentation_ratio": 0.5},
            "fragmentation",
            Status.WARNING,
            "fragmentation 0.50 (under 0.8); memory may have been swapped out",
        ),
        (
            {"used_memory": 201e6, "mem_fragmentation_ratio": 1.0},
            "memory",
            Status.WARNING,
            "201.0 MB used (over 200.0 MB)",
        ),
        ({"used_memory": None}, "memory", None, ""),
        (
            {"maxmemory": 55e6, "maxmemory_policy": "noeviction"},
            "maxmemory",
            Status.CRITICAL,
            f"{FULL} (over 90%); at 100% Redis refuses writes",
        ),
        (
            {"maxmemory": 55e6},
            "maxmemory",
            Status.CRITICAL,
            f"{FULL} (over 90%); at 100% Redis refuses writes",
        ),
        (
            EVICTING | {"db0": {"keys": 2, "expires": 1}},
            "maxmemory",
            Status.OK,
            f"{FULL} (volatile-lru)",
        ),
        (
            EVICTING | {"db0": {"keys": 2, "expires": 0}},
            "maxmemory",
            Status.CRITICAL,
            (
                f"{FULL} (over 90%); at 100% Redis refuses writes, "
                "as volatile-lru finds no key that expires"
            ),
        ),
        ({"maxclients": None}, "clients", Status.OK, "3 clients"),
        ({"maxclients": 3}, "clients", Status.CRITICAL, "3 clients (over 90%)"),
        (CLUSTER, "cluster", Status.OK, "cluster of 3 primary nodes"),
        (
            CLUSTER | {"cluster_slots_fail": "1"},  # cluster-require-full-coverage no
            "cluster",
            Status.CRITICAL,
            (
                "the cluster's state is ok, 16383 of 16384 slots are served; "
                "redis-cli --cluster check names the nodes that are down and the slots"
            ),
        ),
        ({"min_slaves_good_slaves": 1, "needed_replicas": None}, "good_replicas", None, ""),
        ({"aof_last_write_status": "err"}, "aof_write", None, ""),
        (
            {"aof_enabled": 1, "aof_last_write_status": "err", "aof_last_bgrewrite_status": "ok"},
            "aof_write",
            Status.CRITICAL,
            "the last AOF write failed; check the server's log and disk",
        ),
        (
            {"aof_enabled": 1, "aof_last_write_status": "ok", "aof_last_bgrewrite_status": "err"},
            "aof_rewrite",
            Status.WARNING,
            "the last AOF rewrite failed; check the server's log and disk",
        ),
        (
            REPLICA | {"master_link_status": "up", "master_last_io_seconds_ago": 45},
            "replication",
            Status.WARNING,
            "replica of db1:6379, last data 45 s ago (over 30 s)",
        ),
        (
            REPLICA | {"master_link_status": "down", "master_link_down_since_seconds": 90},
            "replication",
            Status.CRITICAL,
            (
                "the link to primary db1:6379 is down for 1 min 30 s; "
                "check the primary, the network, masteruser and masterauth"
            ),
        ),
    ],
)
def test_evaluate(changes: dict[str, Any], label: str, status: Status | None, words: str) -> None:
    readings = {reading.label: reading for reading in evaluate(INFO | changes, NOTHING_NEW, LIMITS)}
    reading: Reading | None = readings.get(label)
    assert (reading and reading.status) == status
    assert words == (reading.message() if reading else "")


def test_evaluate_keys() -> None:
    info = {"db0": {"keys": 3, "expires": 0}, "db_size": 5, "db7": {"keys": 1}}
    texts = [reading.text for reading in evaluate_keys(info, None, LIMITS) if reading.text]
    assert texts == ["3 keys in db0", "1 key in db7"]
    assert [r.text for r in evaluate_keys(info, [1], LIMITS)] == ["0 keys in db1"]
