"""The built-in catalogue's dampening, with hcrun, a probe and a real Redis.

tests/catalog/test_checks_toml.py has the times of all checks.
"""

import signal
from pathlib import Path

import pytest

from hcrun.catalog import SHIPPED, load
from hcrun.settings import Settings
from tests.servers.redis import Server, StartRedis, start_redis
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import HCRUN, run_hcrun

pytestmark = pytest.mark.slow

__all__ = ["start_redis"]

OPTIONS = {check.slug: check.options for check in load(SHIPPED, Settings({}, {})).checks}
PROBE = Path(HCRUN).parent / "probe-redis"
SHORT = ("--retry-delay", "0.1s")  # of the options, the last one counts


def run(slug: str, server: Server, seconds: str, path: Path, stub: HealthchecksStub) -> None:
    """One run with the options of a check. A Redis that was stopped goes on after one attempt."""
    patience = path / "seconds"
    patience.write_text(seconds)
    probe = f"{PROBE} --port {server.port} --timeout $(cat {patience})s"
    script = (
        f"{probe}; status=$?; kill -CONT {server.process.pid}; echo 9 > {patience}; exit $status"
    )
    uuid = stub.by_slug(slug).uuid
    run_hcrun(path, *OPTIONS[slug], *SHORT, uuid, "--", "sh", "-c", script, stub=stub)


@pytest.mark.parametrize(
    ("slug", "slow_run"),
    [("redis", "log"), ("celery-beat", "success")],  # fail_after = 2; retries = 1
)
def test_one_slow_answer_alerts_nobody(
    slug: str, slow_run: str, start_redis: StartRedis, tmp_path: Path
) -> None:
    server = start_redis()
    with HealthchecksStub() as stub:
        check = stub.add_check(slug)
        run(slug, server, "9", tmp_path, stub)
        for _ in range(2):
            server.process.send_signal(signal.SIGSTOP)
            run(slug, server, "0.3", tmp_path, stub)
            run(slug, server, "9", tmp_path, stub)
        kinds = [ping.kind for ping in check.pings if ping.kind != "start"]
        assert kinds == ["success", slow_run, "success", slow_run, "success"]
        assert check.status == "up"


@pytest.mark.parametrize(("slug", "runs"), [("redis", 2), ("celery-beat", 1)])
def test_an_outage_alerts(slug: str, runs: int, start_redis: StartRedis, tmp_path: Path) -> None:
    """The first line of the alert is the verdict of the probe."""
    server = start_redis()
    server.process.kill()
    server.process.wait()
    with HealthchecksStub() as stub:
        check = stub.add_check(slug)
        for number in range(runs):
            assert check.status != "down", number
            run(slug, server, "9", tmp_path, stub)
        assert check.status == "down"
        first = check.pings[-1].body.decode().splitlines()[0]
        assert first.startswith(f"REDIS CRITICAL - 127.0.0.1:{server.port}: ")
