"""hcctl tune, on a journal with a month of runs."""

import json
import random
import re
import time
from pathlib import Path

import pytest

from tests.support.catalogs import write
from tests.support.command import run_hcctl
from tests.support.journals import Past

COMMAND = 'command = "true"\n'


@pytest.fixture(autouse=True)
def past(tmp_path: Path) -> None:
    """A probe each five minutes for three days, and a daily job."""
    past, chance, now = Past(tmp_path), random.Random(7), time.time()
    for number in range(3 * 288):
        at = now - 60 - (3 * 288 - number) * 300
        failed = number in (100, 101, 300, 500)
        output = f"REDIS OK - | latency={0.7 if number % 5 else 0.1}s;0.5;1;0 memory=7B;9\n"
        result = "fail" if failed else "success"
        past.run("redis", at, chance.uniform(0.2, 0.4), result, output=output)
    for day in range(25):
        past.run("backup", now - 3600 - day * 86400, 1000 + day)
    past.run("seldom", now - 60, 1.0)


def tuned(tmp_path: Path, *arguments: str) -> dict[str, dict[str, object]]:
    catalog = write(
        tmp_path,
        redis=f'every = "5m"\ngrace = "6m"\ntimeout = "5m"\n{COMMAND}',
        backup=f'cron = "0 3 * * *"\nzone = "UTC"\ngrace = "30m"\ntimeout = "18m"\n{COMMAND}',
        seldom=f'every = "1h"\n{COMMAND}',
        never=f'every = "1h"\n{COMMAND}',
    )
    done = run_hcctl(tmp_path, "tune", "--json", "--catalog", catalog, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return {each["check"]: each for each in json.loads(done.stdout)}


def test_proposals(tmp_path: Path) -> None:
    found = tuned(tmp_path)
    assert set(found) == {"redis", "backup", "seldom"}
    proposals = {
        name: [(each["key"], each["old"], each["new"]) for each in entry["proposals"]]  # type: ignore[attr-defined]
        for name, entry in found.items()
    }
    assert proposals["redis"] == [
        ("timeout", "5m", "10s"),  # the longest took 0.4 s
        ("grace", "6m", "1m"),
        ("fail_after", "", "2"),
        ("--latency-warning", "0.5 s", "0.84 s"),  # it warned in four of five runs
    ]
    assert proposals["backup"] == [("timeout", "18m", "1h"), ("grace", "30m", "1h")]
    assert proposals["seldom"] == []
    redis = found["redis"]
    assert (redis["failures"], redis["false_alarms"]) == (4, 2)  # two in a row took longer
    assert redis["detection_seconds"] == 660


def test_what_people_read(tmp_path: Path) -> None:
    catalog = write(tmp_path, redis=f'every = "5m"\ngrace = "1m"\ntimeout = "10s"\n{COMMAND}')
    done = run_hcctl(tmp_path, "tune", "redis", "--days", "7", "--catalog", catalog)
    lines = done.stdout.splitlines()
    words = r"redis: 860 successful runs, median 0\.(3|29|31) s, 99% 0\.4 s, longest 0\.4 s"
    assert re.fullmatch(words, lines[0])
    assert lines[1:4] == [
        "  4 failures",
        "  a missing run is reported after at most 6 min",
        "  redis latency: median 0.7 s, 99% 0.7 s, warning above 0.5 s",
    ]
    assert lines[-1].startswith(
        "  + --latency-warning = 0.84 s    # redis latency was above 0.5 s in "
    )
    unknown = run_hcctl(tmp_path, "tune", "reddis", "--catalog", catalog)
    words = "hcctl: unknown check reddis; hcctl check lists the checks\n"
    assert (unknown.returncode, unknown.stderr) == (1, words)


def test_nothing_to_say(tmp_path: Path) -> None:
    catalog = write(tmp_path, other=f'every = "5m"\n{COMMAND}')
    done = run_hcctl(tmp_path, "tune", "--catalog", catalog)
    words = "no successful runs of these checks in 30 days\n"
    assert (done.returncode, done.stdout) == (0, words)
