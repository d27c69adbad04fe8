"""--fleet gives the figures of the journal, and more hosts give one table."""

import json
import math
import random
import time
from pathlib import Path
from typing import Any

import pytest

from hcrun.fleet.sketch import Sketch
from hcrun.journal import maintenance
from hcrun.journal.maintenance import Window
from hcrun.reports.statistics import percentile
from tests.fleet.test_ship import ship
from tests.servers.fleet import Fleet
from tests.support import forks
from tests.support.command import HCCTL, PATIENCE, environment
from tests.support.journals import Past

NOW = time.time()
DAY = 86400.0
CATALOG = """
[tiers.1]
[tiers.3]

[checks.redis]
name = "Redis"
every = "30m"
grace = "10m"
timeout = "1m"
tier = "1"
command = "probe-redis"
slo = { availability = 99 }

[checks.backup]
name = "Backup"
every = "6h"
grace = "1h"
timeout = "1h"
tier = "3"
command = "backup"
slo = { success = 95 }
"""


@pytest.fixture(scope="module")
def fleet(empty: Fleet) -> Fleet:
    """That of all tests here: they only read it."""
    return Fleet(empty.cluster, empty.name)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, fleet: Fleet) -> Path:
    """A host with nine days of runs, which are in the fleet database, too."""
    tmp_path = tmp_path_factory.mktemp("host")
    (tmp_path / "checks.toml").write_text(CATALOG)
    past, draw = Past(tmp_path), random.Random(7)
    at = NOW - 9 * DAY - 1200
    while at < NOW - 60:
        if NOW - 4 * DAY <= at < NOW - 4 * DAY + 1800:  # the states go on in another batch
            ship(tmp_path, fleet, "--catalog", str(tmp_path / "checks.toml"))
        bad = NOW - 3 * DAY < at < NOW - 3 * DAY + 7200 or at > NOW - 1500
        result, why = ("fail", "exit status 2") if bad else ("success", "")
        readings = f"latency={0.1 + draw.random()}s;2;5 usage={40 + draw.random()}%;80;90"
        output = f"REDIS OK - well | {readings} 'it''s here'=3\n"
        if not NOW - 2 * DAY < at < NOW - 2 * DAY + 9000:  # a gap
            past.run("redis", at, 0.2 + draw.random(), result, why, output=output)
        at += 1800
    for number in range(36):
        past.run("backup", NOW - 9 * DAY + number * 6 * 3600 + 77, 60 + 600 * draw.random())
    past.run("backup", NOW - 4000, 5.0, "log", "remedy: exit status 0")
    past.run("backup", NOW - 3900, 0.0, "skip", "the previous run is in progress")
    past.run("backup", NOW - 3800, 90.0)
    window = Window(
        0, "", "backup", NOW - 5 * DAY, NOW - 5 * DAY + 7200, None, "disk", "ops", True, False
    )
    maintenance.end(past.journal, maintenance.begin(past.journal, window), NOW - 5 * DAY + 3600)
    done = ship(tmp_path, fleet, "--catalog", str(tmp_path / "checks.toml"))
    assert done.returncode == 0, done.stderr
    return tmp_path


def hcctl(host: Path, fleet: Fleet, *words: str) -> str:
    env = environment(host) | {"HCRUN_FLEET_URL": fleet.url("viewer"), "TZ": "UTC"}
    argv = [HCCTL, *words]
    if words[0] != "history" and words[0] != "fleet":
        argv += ["--catalog", str(host / "checks.toml")]
    done = forks.hcctl(argv, env, 3 * PATIENCE)
    assert done.returncode in (0, 1, 2), done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def same(ours: Any, theirs: Any, path: str = "") -> None:
    """The same values; numbers may differ by what a sum of durations is rounded to."""
    if path == "forecast":  # the detectors of anomalies are on each host
        ours = [each for each in ours if each["score"] is None]
    near = 0.026 if path.endswith(SKETCHED) else 1e-5
    if path.endswith("success_rate_7d"):  # whole hours
        near = 0.01
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), path
        for key in ours:
            if f"{path}.{key}".lstrip(".") not in APART:
                same(ours[key], theirs[key], f"{path}.{key}".lstrip("."))
    elif isinstance(ours, list):
        assert len(ours) == len(theirs), (path, ours, theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other, path)
    elif isinstance(ours, float | int) and isinstance(theirs, float | int):
        assert math.isclose(ours, theirs, rel_tol=near, abs_tol=1e-9), (path, ours, theirs)
    else:
        assert ours == theirs, (path, ours, theirs)


# Keys that are another thing, and percentiles of days, which are off by 2.5% at most.
APART = {"at", "made", "notes", "checks.seconds_since_ping", "checks.last_failure.said", "journal"}
SKETCHED = ("p50", "p95", "p50_seconds", "p95_seconds", "duration.p50", "duration.p95")


def test_status(host: Path, fleet: Fleet) -> None:
    own = json.loads(hcctl(host, fleet, "status", "--local", "--json"))
    all_ = json.loads(hcctl(host, fleet, "status", "--local", "--json", "--fleet"))
    assert [each["status"] for each in own["checks"]] == ["down", "up"]
    same(own, all_)
    assert all_["journal"].startswith("fleet://127.0.0.1:")
    text = hcctl(host, fleet, "status", "--local", "--fleet")
    assert "runs of the fleet: fleet://127.0.0.1:" in text


@pytest.mark.parametrize("given", ["week", "day", "month", "week --tier 3"])
def test_report(host: Path, fleet: Fleet, given: str) -> None:
    words = ("report", *given.split(), "--local", "--format", "json")
    own, all_ = (json.loads(hcctl(host, fleet, *words, *more)) for more in ((), ("--fleet",)))
    same(own, all_)


def test_history(host: Path, fleet: Fleet) -> None:
    own, all_ = (
        json.loads(hcctl(host, fleet, "history", "--json", "-n", "1000", *more))
        for more in ((), ("--fleet",))
    )
    plain = ("run", "check", "started", "ended", "status", "result", "why", "command")
    assert [[run[key] for key in plain] for run in all_] == [
        [run[key] for key in plain] for run in own
    ]
    failed = hcctl(host, fleet, "history", "redis", "--failed", "--fleet").splitlines()
    assert failed == [
        line.replace("  redis", f"  {_host()}  redis", 1)
        for line in hcctl(host, fleet, "history", "redis", "--failed").splitlines()
    ]
    run_id = own[3]["run"]
    [one] = json.loads(hcctl(host, fleet, "history", "--output", run_id[:13], "--json", "--fleet"))
    assert one["run"] == run_id


def test_metrics(host: Path, fleet: Fleet) -> None:
    own, all_ = (_samples(hcctl(host, fleet, "metrics", *more)) for more in ((), ("--fleet",)))
    # The fleet knows neither the backlog nor the anomalies of a host.
    gone = (
        "hcrun_exported_timestamp_seconds",
        "hcrun_journal_oldest",
        "hcrun_anomaly",
        "hcrun_perfdata_refused",
    )
    own = {key: value for key, value in own.items() if not key.startswith(gone)}
    all_ = {key: value for key, value in all_.items() if not key.startswith(gone)}
    assert own.keys() == all_.keys()
    for key, value in own.items():
        assert math.isclose(all_[key], value, rel_tol=1e-3, abs_tol=1e-6), key  # now goes on


def test_tune(host: Path, fleet: Fleet) -> None:
    words = ("tune", "--days", "8", "--json")
    own, all_ = (json.loads(hcctl(host, fleet, *words, *more)) for more in ((), ("--fleet",)))
    assert {each["check"] for each in own} == {"redis", "backup"}
    same(own, all_)


def test_two_hosts(host: Path, fleet: Fleet, tmp_path: Path) -> None:
    """One check of both is one; different checks of one name are told apart."""
    fleet = Fleet(fleet.cluster, fleet.name)
    past = Past(tmp_path)
    past.run("redis", NOW - 30, 1.0, "success")
    past.run("api", NOW - 30, 1.0, "fail", "exit status 1")
    ship(tmp_path, fleet)
    fleet.ask("UPDATE hcrun.source SET host = 'web2' WHERE id = (SELECT max(id) FROM hcrun.source)")
    found = json.loads(hcctl(host, fleet, "status", "--local", "--json", "--fleet"))
    assert {each["slug"]: each["status"] for each in found["checks"]} == {
        "redis": "up", "backup": "up", "api": "down",
    }  # fmt: skip
    fleet.ask(
        "UPDATE hcrun.checks SET identity = 5 WHERE name = 'redis'"
        " AND source = (SELECT max(id) FROM hcrun.source)"
    )
    found = json.loads(hcctl(host, fleet, "status", "--local", "--json", "--fleet"))
    states = {each["slug"]: each["status"] for each in found["checks"]}
    assert states == {
        f"{_host()}/redis": "down", "web2/redis": "up", "backup": "up", "api": "down",
    }  # fmt: skip
    tiers = {each["slug"]: each["tier"] for each in found["checks"]}
    assert tiers["web2/redis"] == "1"  # as in the catalogue
    words = ("report", "week", "--local", "--fleet", "--tier", "1", "--format", "json")
    checks = json.loads(hcctl(host, fleet, *words))["checks"]
    assert sorted(each["slug"] for each in checks) == [f"{_host()}/redis", "web2/redis"]
    assert all(each["slo"] for each in checks)


def test_the_view(host: Path, fleet: Fleet) -> None:
    rows = {row[9]: row for row in fleet.ask("SELECT * FROM healthchecks_metrics")}
    redis, backup = rows["redis"], rows["backup"]
    assert redis[1] == "down"
    assert backup[1] == "up"
    assert abs(redis[3] - (time.time() - redis[2].timestamp())) < 5
    week = json.loads(hcctl(host, fleet, "status", "--local", "--json"))["checks"]
    rates = {each["slug"]: each for each in week}
    assert math.isclose(redis[4], rates["redis"]["success_rate_7d"], rel_tol=0.01)
    assert redis[5] is not None
    assert 0.1 <= redis[5] <= 1.1
    assert redis[6] == rates["redis"]["error_count_24h"]


def test_the_schedule_of_the_view(tmp_path: Path, empty: Fleet) -> None:
    """A check that is due is in its grace time, then down; if its host is silent, it is silent."""
    fleet = Fleet(empty.cluster, empty.name)
    (tmp_path / "checks.toml").write_text(CATALOG)
    Past(tmp_path).run("redis", NOW - 1900)  # due each 30 minutes, 10 of grace
    env = environment(tmp_path) | {"HCRUN_FLEET_URL": fleet.url("web1")}
    argv = [HCCTL, "ship", "--catalog", str(tmp_path / "checks.toml")]
    assert forks.hcctl(argv, env, PATIENCE).returncode == 0
    state = "SELECT service_name, status, environment, tier FROM healthchecks_metrics"
    [found] = fleet.ask(state)
    assert found == ("Redis", "grace", "", "1")
    fleet.ask("UPDATE hcrun.checks SET due = due - interval '15 minutes'")
    assert fleet.ask(state)[0][1] == "down"
    fleet.ask("UPDATE hcrun.checks SET due = due - interval '30 minutes'")
    fleet.ask("UPDATE hcrun.source SET last_seen = now() - interval '3 hours'")
    assert fleet.ask(state)[0][1] == "silent"


def test_only_readers(host: Path, fleet: Fleet) -> None:
    env = environment(host) | {"HCRUN_FLEET_URL": fleet.url("web1")}
    done = forks.hcctl([HCCTL, "history", "--fleet"], env, PATIENCE)
    assert done.returncode == 1
    assert "readers hcrun_reader" in done.stderr


def test_a_sketch() -> None:
    draw = random.Random(1)
    values = sorted(draw.lognormvariate(0, 2) for _ in range(5000))
    counts: dict[int, int] = {}
    for value in values:
        bucket = math.ceil(math.log(max(value, 0.001)) / math.log(1.05))
        counts[bucket] = counts.get(bucket, 0) + 1
    sketch = Sketch(sorted(counts), [counts[bucket] for bucket in sorted(counts)])
    assert len(sketch) == len(values)
    for percent in (1, 50, 95, 99, 100):
        exact, near = percentile(values, percent), percentile(sketch, percent)
        assert exact is not None
        assert near is not None
        assert abs(near / exact - 1) < 0.0251
    assert len(Sketch([], [])) == 0


def _samples(text: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.rpartition(" ")
            name, _, labels = key.partition("{")
            words = sorted(
                word for word in labels.rstrip("}").split(",") if not word.startswith("journal=")
            )
            found[f"{name}{words}"] = float(value)
    return found


def _host() -> str:
    import os

    return os.uname().nodename
