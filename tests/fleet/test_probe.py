"""probe-fleet and hcctl doctor say who is silent, and what is not shipped."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hcrun.journal import ends
from tests.fleet.test_ship import ship, some
from tests.servers.fleet import Fleet
from tests.support.command import environment
from tests.support.journals import Past

PROBE = str(Path(sys.executable).parent / "probe-fleet")


def probe(tmp_path: Path, fleet: Fleet, *words: str, role: str = "viewer") -> tuple[int, str]:
    env = environment(tmp_path) | {"PROBE_FLEET_URL": fleet.url(role)}
    argv = [PROBE, "--latency-warning", "off", *words]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture
def shipped(tmp_path: Path, fleet: Fleet) -> Fleet:
    some(Past(tmp_path), 5)
    ship(tmp_path, fleet)
    return fleet


def test_ok(tmp_path: Path, shipped: Fleet) -> None:
    status, line = probe(tmp_path, shipped)
    assert status == 0
    assert line.startswith("FLEET OK - ")
    assert "1 host" in line


@pytest.mark.parametrize(("minutes", "status"), [(10, 0), (30, 1), (150, 2)])
def test_silent_hosts(minutes: int, status: int, tmp_path: Path, shipped: Fleet) -> None:
    shipped.ask(
        f"UPDATE hcrun.source SET host = 'web7', last_seen = now() - interval '{minutes} minutes'"
    )
    found, line = probe(tmp_path, shipped)
    assert found == status
    assert ("silent: web7 " in line) == (status > 0)
    assert ("look at hcctl ship there" in line) == (status > 0)


def test_a_journal_that_was_set_aside_makes_no_host_silent(tmp_path: Path, shipped: Fleet) -> None:
    shipped.ask("UPDATE hcrun.source SET last_seen = now() - interval '9 hours'")
    some(Past(tmp_path / "new"), 5)
    ship(tmp_path / "new", shipped)
    assert probe(tmp_path, shipped)[0] == 0


def test_a_wrong_clock(tmp_path: Path, shipped: Fleet) -> None:
    shipped.ask("UPDATE hcrun.source SET host = 'web7', clock_ahead = -90")
    status, line = probe(tmp_path, shipped)
    assert status == 1
    assert "wrong clock: web7 1 min 30 s" in line or "wrong clock: web7 90" in line


def test_refusals(tmp_path: Path, fleet: Fleet) -> None:
    assert probe(tmp_path, fleet)[0] == 3  # no host
    status, line = probe(tmp_path, fleet, role="web1")
    assert status == 3
    assert "GRANT hcrun_reader to the role" in line


def test_no_fleet(tmp_path: Path, cluster: object) -> None:
    from tests.servers.postgres import Cluster

    assert isinstance(cluster, Cluster)
    made = Fleet(cluster)
    status, line = probe(tmp_path, made)
    assert status == 3
    assert "run hcctl fleet init" in line


def test_the_doctor(tmp_path: Path, fleet: Fleet) -> None:
    """A day without the database: commands run on, and the doctor says what waits."""
    past = Past(tmp_path)
    some(past, 5)
    env = {"HCRUN_FLEET_URL": fleet.url("web1")}
    assert "was never shipped" in _doctor(tmp_path, env)
    ship(tmp_path, fleet)
    assert "fleet" not in _doctor(tmp_path, env)
    some(past, 9, time.time() - 86400)
    away = {"HCRUN_FLEET_URL": fleet.url("web1").replace("127.0.0.1", "127.0.0.9")}
    done = ship(tmp_path, fleet, **away)
    assert done.returncode == 1
    assert past.journal.query(ends.WAITING)[0][0] == 9
    assert "9 runs not in the fleet database, the oldest for " in _doctor(tmp_path, env)
    ship(tmp_path, fleet)
    assert "fleet" not in _doctor(tmp_path, env)


def _doctor(tmp_path: Path, env: dict[str, str]) -> str:
    argv = [str(Path(sys.executable).parent / "hcctl"), "doctor", "--root", str(tmp_path)]
    done = subprocess.run(
        argv, env=environment(tmp_path) | env, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert os.path.exists(argv[0])
    return done.stdout
