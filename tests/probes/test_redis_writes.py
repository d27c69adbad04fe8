"""probe-redis on real servers that answer and refuse writes, and on what finds the primary."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.servers.process import Command, Like, free_port, running, until
from tests.servers.redis import Server, StartRedis, start_redis

pytestmark = pytest.mark.slow

__all__ = ["start_redis"]


@pytest.fixture
def probe(tmp_path: Path) -> Command:
    return Command("probe-redis", tmp_path)


def refusal(server: Server) -> str:
    """The reason why the server refuses a write."""
    with pytest.raises(redis.RedisError) as caught:
        server.client.set("key", "value")
    return str(caught.value)


def test_cluster(probe: Command, start_redis: StartRedis) -> None:
    node = start_redis("--cluster-enabled", "yes", "--cluster-port", free_port())
    assert "CLUSTERDOWN" in refusal(node) or "Hash slot not served" in refusal(node)
    ran = probe("--port", node.port)
    assert ran.status == 2
    assert ran.line.startswith(
        "REDIS CRITICAL - the cluster's state is fail, 0 of 16384 slots are served; "
        "redis-cli --cluster check "
    )
    node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    until(lambda: node.client.cluster("INFO")["cluster_state"] == "ok", "all slots are served")
    ran = probe("--port", node.port)
    assert ran.status == 0
    assert "cluster of 1 primary node" in ran.line
    node.client.config_set("cluster-require-full-coverage", "no")
    node.client.execute_command("CLUSTER", "DELSLOTSRANGE", 0, 99)
    assert probe.worst("--port", node.port) == "CRITICAL - the cluster's state is ok"


def test_replicas_that_writes_need(probe: Command, start_redis: StartRedis) -> None:
    primary = start_redis("--min-replicas-to-write", 1, "--repl-diskless-sync-delay", 0)
    assert "NOREPLICAS" in refusal(primary)
    none = "refuses writes: 0 of at least 1 replicas follow (min-replicas-to-write); start the "
    assert probe("--port", primary.port).line.startswith(f"REDIS CRITICAL - {none}")
    start_redis("--replicaof", "127.0.0.1", primary.port)
    until(lambda: primary.client.info()["min_slaves_good_slaves"] == 1, "the replica follows")
    assert probe("--port", primary.port).status == 0
    primary.client.config_set("min-replicas-to-write", 2)
    assert "NOREPLICAS" in refusal(primary)
    assert probe.worst("--port", primary.port).startswith("CRITICAL - refuses writes: 1 of 2 repl")


def test_failed_save(probe: Command, start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis("--save", "3600", "1")
    (directory,) = tmp_path.glob("redis-*")
    (directory / "dump.rdb").mkdir()  # in the way of the file, also for root
    (directory / "dump.rdb" / "full").touch()
    server.client.bgsave()
    until(lambda: server.client.info()["rdb_last_bgsave_status"] == "err", "the save fails")
    assert "MISCONF" in refusal(server)
    assert probe.worst("--port", server.port) == (
        "CRITICAL - the last bgsave failed; check the server's log and disk"
    )
    server.process.kill()  # it would not end without having saved


def test_role(probe: Command, start_redis: StartRedis) -> None:
    primary = start_redis("--repl-diskless-sync-delay", "0")
    replica = start_redis("--replicaof", "127.0.0.1", primary.port)
    until(lambda: replica.client.info()["master_link_status"] == "up", "the replica follows")
    assert "read only replica" in refusal(replica)
    for server, expected, words in (
        (primary, "primary", ""),
        (primary, "replica", "is a primary"),
        (replica, "primary", "is a read-only replica"),
        (replica, "replica", ""),
        (replica, "any", ""),
    ):
        flags = ["--port", server.port, "--expect", expected]
        line = probe.worst(*flags)
        assert line == f"CRITICAL - {words}" if words else line.startswith("OK - "), line
        ran = probe(*flags)
        assert ran.status == (2 if words else 0)
        assert not words or f"{words}, and should be a {expected}; check the address" in ran.line


@contextmanager
def sentinel(directory: Path, name: str, primary: int, password: str) -> Iterator[int]:
    port = free_port()
    config = directory / f"sentinel-{port}.conf"
    config.write_text(
        f"port {port}\nsentinel monitor {name} 127.0.0.1 {primary} 1\nrequirepass {password}\n"
    )
    with running(["redis-server", str(config), "--sentinel"], directory / "sentinel.log"):
        with redis.Redis(port=port, password=password) as client:

            def answers() -> bool:
                try:
                    return bool(client.ping())
                except redis.ConnectionError:
                    return False

            until(answers, "the Sentinel answers")
        yield port


def test_sentinel(probe: Command, start_redis: StartRedis, tmp_path: Path) -> None:
    primary = start_redis()
    with sentinel(tmp_path, "mymaster", primary.port, "s3cr3t") as port:
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{port}"  # the first is down
        password = "sentinel_password=s3cr3t"
        ran = probe(REDIS_URL=f"redis+sentinel://{hosts}/mymaster/0?{password}")
        assert ran.status == 0, ran.line
        assert f" 127.0.0.1:{primary.port} answers in " in ran.line
        flags = ["--host", hosts, "--sentinel", "mymaster"]
        assert probe(*flags, REDIS_SENTINEL_PASSWORD="s3cr3t").status == 0
        for url, words in (
            (f"{hosts}/mymaster", f"127.0.0.1:{port}: Authentication required"),
            (f"127.0.0.1:{port}/other?{password}", "Sentinel knows no primary named other; "),
            (f"127.0.0.1:{port}", "REDIS_URL: has no name of a primary; add it as in "),
        ):
            ran = probe(REDIS_URL=f"redis+sentinel://{url}")
            assert ran.status == 3
            assert words in ran.line
            assert "s3cr3t" not in ran.line
        itself = probe(REDIS_URL=f"redis://:s3cr3t@127.0.0.1:{port}")
        assert itself.line.startswith(f"REDIS UNKNOWN - 127.0.0.1:{port}: is a Sentinel, not a Re")
        primary.process.kill()
        primary.process.wait()
        gone = probe(REDIS_URL=f"redis+sentinel://{hosts}/mymaster?{password}")
        assert gone.line == Like(f"REDIS CRITICAL - 127.0.0.1:{primary.port}: Connection refused")


def test_urls(probe: Command, start_redis: StartRedis, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    server = start_redis("--unixsocket", path)
    place = f"127.0.0.1:{server.port}"
    for url in (
        f"redis://{place}/0?socket_timeout=5s&decode_responses=yes&health_check_interval=30",
        f"valkey://{place}",
        f"redis://{place}/0?schema=public",
        f"unix://{path}?db=0",
        f"redis+socket://{path}?virtual_host=0",
    ):
        assert probe(REDIS_URL=url).status == 0, url
    assert probe(REDIS_URL=f"rediss://{place}?ssl_ca_path=/etc/ssl").line == (
        "REDIS UNKNOWN - REDIS_URL: unknown parameter ssl_ca_path; "
        "remove it; the options --tls-... set what the probe needs"
    )


def test_managed(probe: Command, start_redis: StartRedis) -> None:
    """A server that gives no CONFIG and less INFO has fewer thresholds."""
    server = start_redis("--rename-command", "CONFIG", "", "--min-replicas-to-write", 2)
    start_redis("--replicaof", "127.0.0.1", server.port)
    until(lambda: server.client.info().get("min_slaves_good_slaves") == 1, "the replica follows")
    ran = probe("--port", server.port)
    assert ran.status == 0  # one replica follows, and how many are needed is not told
    assert " ERR " not in ran.line
