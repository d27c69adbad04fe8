"""`hcrun.celery_tasks` in a real worker: the verdict as a dict, a ping, and a worker that lives."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import celery
import pytest

import hcrun.celery_tasks
from tests.servers.celery import broker, worker
from tests.servers.process import free_port, until
from tests.servers.redis import start_redis
from tests.stub.healthchecks import Check, HealthchecksStub
from tests.support.application import kinds, text, variables
from tests.support.command import PATIENCE

__all__ = ["start_redis"]  # a fixture

CHECKS = ("postgres", "redis", "api", "celery-worker-sso", "kafka", "minio", "vault", "all", "eu")
# Nothing listens there: the task, and its check.
REFUSED = {
    "check_postgres": "postgres",
    "check_api": "api",
    "check_kafka": "kafka",
    "check_minio": "minio",
    "check_vault": "vault",
}


class Worker:
    def __init__(self, app: Any, checks: dict[str, Check], process: Any) -> None:
        self._app = app
        self.checks = checks
        self.process = process

    def call(self, name: str, **kwargs: object) -> Any:
        return self._app.send_task(f"monitoring.{name}", kwargs=kwargs).get(timeout=PATIENCE)

    def last(self, slug: str) -> tuple[list[str], str]:
        """The pings of a check, and the first line of the last one."""
        check = self.checks[slug]
        until(lambda: bool(check.pings), f"{slug} is pinged", PATIENCE)
        return kinds(check), text(check, -1)[0]


@pytest.fixture(scope="module")
def probing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    tmp_path = tmp_path_factory.mktemp("probing")
    starting = start_redis.__wrapped__  # type: ignore[attr-defined]
    port = free_port()
    closed = f"127.0.0.1:{port}"
    with HealthchecksStub() as stub:
        checks = {slug: stub.add_check(slug) for slug in CHECKS}
        for start in starting(tmp_path):
            server = start()
            env = variables(tmp_path, stub, checks) | {
                "REDIS_URL": broker(server),
                "PGHOST": "127.0.0.1",
                "PGPORT": str(port),
                "API_URL": f"http://{closed}",
                "KAFKA_BOOTSTRAP_SERVERS": closed,
                "S3_ENDPOINT_URL": f"http://{closed}",
                "VAULT_ADDR": f"http://{closed}",
            }
            app = celery.Celery(broker=broker(server), backend=broker(server))
            with worker(server, tmp_path, app="probing_celery", env=env) as process:
                yield Worker(app, checks, process)
            app.close()


def test_a_service_that_works(probing: Worker) -> None:
    verdict = probing.call("check_redis")
    assert (verdict["status"], verdict["health"], verdict["probe"]) == ("OK", "healthy", "redis")
    assert "latency" in {reading["label"] for reading in verdict["readings"]}
    age = datetime.now(UTC) - datetime.fromisoformat(verdict["timestamp"])
    assert 0 <= age.total_seconds() < PATIENCE
    told, line = probing.last("redis")
    assert told == ["success"]
    assert line.startswith("REDIS OK - ")
    assert " | latency=" in probing.checks["redis"].pings[0].body.decode()


@pytest.mark.parametrize(("name", "slug"), REFUSED.items())
def test_a_service_that_is_down(name: str, slug: str, probing: Worker) -> None:
    """The task has a result, its check fails, and the worker lives."""
    verdict = probing.call(name)
    assert (verdict["status"], verdict["health"]) == ("CRITICAL", "critical"), verdict
    told, line = probing.last(slug)
    assert told == ["fail"]
    assert line.startswith("FAILED: ")
    assert verdict["message"].partition(", ")[0] in line
    assert probing.process.poll() is None
    pid = probing.process.pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        memory = resource.prlimit(int(child), resource.RLIMIT_DATA)
        assert memory == resource.getrlimit(resource.RLIMIT_DATA)  # a probe's is not the worker's


def test_its_own_check_and_options(probing: Worker) -> None:
    verdict = probing.call("check_redis", check="eu", options=["--latency-warning", "0.000001s"])
    assert verdict["status"] == "WARNING"
    assert probing.last("eu")[0] == ["success"]
    verdict = probing.call("check_redis", check="eu", options=["--nonsense"])
    assert verdict["status"] == "UNKNOWN"
    assert "No such option" in verdict["message"]
    until(lambda: kinds(probing.checks["eu"]) == ["success", "fail"], "it fails", PATIENCE)


def test_celery_itself(probing: Worker) -> None:
    verdict = probing.call("check_celery", options=["--min-workers", "1"])
    assert verdict["probe"] == "celery"
    assert probing.last("celery-worker-sso")[0] in (["success"], ["fail"])


def test_all_at_once(probing: Worker) -> None:
    report = probing.call("comprehensive_health_check", options=["--only", "redis,vault"])
    assert (report["status"], report["health"], report["ran"]) == ("CRITICAL", "critical", 2)
    assert {each["probe"]: each["status"] for each in report["probes"]} == {
        "redis": "OK",
        "vault": "CRITICAL",
    }
    assert datetime.fromisoformat(report["timestamp"])
    told, line = probing.last("all")
    assert told == ["fail"]
    assert "ALL CRITICAL - " in line


def test_a_probe_that_is_called_ends_no_process(probing: Worker) -> None:
    assert probing._app.send_task("by_hand").get(timeout=PATIENCE) == [3, 3]  # celery's own options
    program = "from probes.check_redis import PROBE; print(PROBE.run(), 'lives')"
    env = {"REDIS_PORT": str(free_port()), "HCRUN_ENV_FILE": "/dev/null"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("\n2 lives\n")
    assert probing.process.poll() is None


def test_the_names_are_those_of_the_tasks() -> None:
    for name in hcrun.celery_tasks.__all__:
        assert getattr(hcrun.celery_tasks, name).name == f"monitoring.{name}"
