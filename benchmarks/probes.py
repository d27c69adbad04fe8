"""Probes beside what one would take instead, on the same servers.

The others look at less: most only ask whether somebody is there. `probe-http` with one request is
curl's job; with its twenty it also knows a percentile.
"""

from __future__ import annotations

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
from tests.servers.postgres import PASSWORD, SETTINGS, Cluster, initialised, stopped_in_the_end
from tests.servers.process import free_port, running, until
from tests.servers.redis import Server
from tests.servers.vault import BAO, bao


class Pair(NamedTuple):
    """A probe, and the command beside it: as words, or "" where its program is not installed."""

    probe: str
    instead: str
    env: dict[str, str]

    @property
    def is_complete(self) -> bool:
        return bool(shutil.which(self.instead.split()[0], path=self.env["PATH"]))


def main(rounds: int = 10) -> None:
    with tempfile.TemporaryDirectory() as state, ExitStack() as stack:
        pairs = list(_pairs(Path(state), stack))
        contenders = [
            Contender(words, ["sh", "-c", words], pair.env)
            for pair in pairs
            for words in (pair.probe, *([pair.instead] if pair.is_complete else []))
        ]
        costs = in_turns(contenders, rounds)
        memory = {
            each.name: peak_memory(["/bin/sh", *each.argv[1:]], each.env) for each in contenders
        }
    print("\nProbes beside what one would take instead")
    print(f"  {'':24}{'wall ms':>9}{'CPU ms':>9}{'MB':>7}  ratios of wall, CPU, memory; beside")
    for pair in pairs:
        own = _numbers(costs[pair.probe], memory[pair.probe])
        line = f"  {pair.probe:24}{own[0]:9.0f}{own[1]:9.0f}{own[2]:7.0f}  "
        if pair.is_complete:
            others = _numbers(costs[pair.instead], memory[pair.instead])
            ratios = (f"{mine / other:.1f}" for mine, other in zip(own, others, strict=True))
            print(line + " ".join(f"{ratio:>5}" for ratio in ratios) + f"  {_short(pair.instead)}")
        else:
            print(f"{line}{pair.instead.split()[0]} is not installed")


def _numbers(costs: Sequence[Cost], memory: int) -> tuple[float, float, float]:
    """Milliseconds of wall and CPU, megabytes."""
    wall, cpu = (median(getattr(cost, what) for cost in costs) for what in ("wall", "cpu"))
    return wall * 1000, cpu * 1000, memory / 1e6


def _short(words: str) -> str:
    return words.replace(str(BIN) + "/", "").replace(str(BAO), "bao")


def _pairs(directory: Path, stack: ExitStack) -> Iterator[Pair]:
    """Start the servers, one after the other."""
    env = clean_environment(str(directory), HCRUN_ENV_FILE="/dev/null")
    server = stack.enter_context(_redis(directory))
    port = str(server.port)
    ask = f"redis-cli -p {port} PING && redis-cli -p {port} INFO"
    yield Pair("probe-redis", ask, {**env, "REDIS_PORT": port})

    data = stack.enter_context(initialised())
    cluster = stack.enter_context(stopped_in_the_end(Cluster(data)))
    cluster.start(SETTINGS)
    own = {"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGDATABASE": "postgres"}
    own |= {"PGUSER": "admin", "PGPASSWORD": PASSWORD}
    ask = 'pg_isready && psql -Atc "SELECT count(*) FROM pg_stat_activity"'
    yield Pair("probe-postgres", ask, env | own)

    url = f"http://127.0.0.1:{stack.enter_context(gunicorn(directory))}"
    for probe in ("probe-http --requests 1", "probe-http"):
        yield Pair(probe, f"curl -fsS {url}/health", {**env, "API_URL": url})

    vault = stack.enter_context(bao(directory)).initialise()
    yield Pair("probe-vault", f"{BAO} status", {**env, "VAULT_ADDR": vault.url})

    address = stack.enter_context(kafka.serving(directory)).address
    own = {"KAFKA_BOOTSTRAP_SERVERS": address}
    yield Pair("probe-kafka", f"kcat -L -b {address}", env | own)

    stack.enter_context(worker(server, directory))
    ask = f"celery -b {broker(server)} inspect ping"
    yield Pair("probe-celery", ask, {**env, "CELERY_BROKER_URL": broker(server)})


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
