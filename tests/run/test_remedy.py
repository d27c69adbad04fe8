"""--remedy, through the command line, with a journal and a server."""

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from hcrun.journal.journal import Journal
from tests.stub.healthchecks import Check, HealthchecksStub
from tests.support.catalogs import write
from tests.support.command import run_hcctl, run_hcrun, runs

Run = Callable[..., tuple[str, str]]


@pytest.fixture
def stub() -> Iterator[HealthchecksStub]:
    with HealthchecksStub() as stub:
        yield stub


@pytest.fixture
def check(stub: HealthchecksStub) -> Check:
    return stub.add_check()


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """It is up while the file is there."""
    return tmp_path / "up"


@pytest.fixture
def run(tmp_path: Path, stub: HealthchecksStub, check: Check, service: Path) -> Run:
    def run(*options: str) -> tuple[str, str]:
        """The reason of the run, and what hcrun itself said."""
        done = run_hcrun(
            tmp_path, *options, check.uuid, "--", "test", "-e", str(service), stub=stub
        )
        newest = next(run for run in runs(tmp_path) if not run.why.startswith("remedy: "))
        return newest.why, done.stderr.decode()

    return run


def remedies(tmp_path: Path) -> list[str]:
    """The reasons of the remedies that ran, oldest first."""
    whys = [run.why for run in reversed(runs(tmp_path))]
    return [why for why in whys if why.startswith("remedy: ")]


def test_it_heals(run: Run, service: Path, tmp_path: Path, check: Check) -> None:
    remedy = ("--remedy", f"echo restarted; touch {service}", "--remedy-after", "3")
    for number in (1, 2):
        assert run(*remedy)[0].startswith("exit status 1 after "), number
    assert remedies(tmp_path) == []
    run(*remedy)
    (why,) = remedies(tmp_path)
    assert why.startswith("remedy: exit status 0 after ")
    assert why.endswith(", after 3 failures in a row")
    assert run(*remedy)[0].endswith(", after a remedy")
    assert run(*remedy)[0].endswith(" ms")  # and that was it
    assert [ping.kind for ping in check.pings if ping.kind != "start"] == [
        *("fail", "fail", "fail", "log", "success", "success")
    ]
    (log,) = [ping for ping in check.pings if ping.kind == "log"]
    assert b"restarted" in log.body
    assert f"command: sh -c 'echo restarted; touch {service}'".encode() in log.body
    assert check.status == "up"


def test_one_that_does_not_help_is_not_tried_again(run: Run, service: Path, tmp_path: Path) -> None:
    remedy = ("--remedy", "exit 7")
    run(*remedy)
    for _ in range(3):
        assert run(*remedy)[0].endswith(", the remedy did not help")
    (why,) = remedies(tmp_path)
    assert why.startswith("remedy: exit status 7 after ")
    service.touch()
    assert run(*remedy)[0].endswith(", after a remedy")
    service.unlink()
    run(*remedy)
    assert len(remedies(tmp_path)) == 2  # the next outage


def test_the_report_says_how_often_it_helped(run: Run, service: Path, tmp_path: Path) -> None:
    for remedy in (f"touch {service}", "true"):
        for _ in range(2):
            run("--remedy", remedy)
        service.unlink(missing_ok=True)
    name = runs(tmp_path)[0].check
    today = f"{date.today()}..{date.today() + timedelta(days=1)}"
    done = run_hcctl(tmp_path, "report", today, "--format", "json", "--local")
    assert json.loads(done.stdout)["remedies"] == {name: {"ran": 2, "helped": 1}}, done.stderr
    done = run_hcctl(tmp_path, "report", today, "--local")
    assert f"{name}  remedy: ran 2 times, helped 1 time" in done.stdout


def test_limit(run: Run, service: Path, tmp_path: Path) -> None:
    remedy = ("--remedy", "true", "--remedy-limit", "1/h")
    run(*remedy)
    service.touch()
    run(*remedy)
    service.unlink()
    assert run(*remedy)[1] == (
        "hcrun: the remedy was not run: it ran 1 time in the last hour (--remedy-limit)\n"
    )
    assert len(remedies(tmp_path)) == 1


def test_not_during_maintenance(run: Run, tmp_path: Path) -> None:
    run()
    name = runs(tmp_path)[0].check
    Journal(str(tmp_path / "state")).change(
        "INSERT INTO maintenance (check_key, name, began, reason, user, ours, resumed_by_pings)"
        " VALUES ('', ?, ?, '', '', 1, 0)",
        (name, time.time()),
    )
    run("--remedy", "true")
    assert remedies(tmp_path) == []


def test_held_failures_count(run: Run, tmp_path: Path) -> None:
    remedy = ("--fail-after", "5", "--remedy", "true", "--remedy-after", "2")
    run(*remedy)
    run(*remedy)
    assert len(remedies(tmp_path)) == 1


def test_the_output_of_the_command_is_untouched(
    stub: HealthchecksStub, check: Check, tmp_path: Path
) -> None:
    remedy = "cat; echo out; echo err >&2; pwd"
    done = run_hcrun(
        tmp_path, "--remedy", remedy, check.uuid, "--", "sh", "-c", "echo a; exit 3", stub=stub
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"a\n", b"")
    (log,) = [ping for ping in check.pings if ping.kind == "log"]
    lines = log.body.decode().split("\n\n")[1].splitlines()
    assert sorted(lines) == sorted(["out", "err", os.getcwd()])


def test_dry_run_and_usage(tmp_path: Path) -> None:
    done = run_hcrun(tmp_path, "--dry-run", "--remedy", "docker restart redis", "redis", "--", "x")
    assert (
        b"remedy: sh -c 'docker restart redis'  after 1 failure in a row, 2 an hour" in done.stdout
    )
    done = run_hcrun(tmp_path, "--remedy-limit", "2", "redis", "--", "true")
    assert (done.returncode, done.stderr) == (
        125,
        b"hcrun: invalid --remedy-limit '2': write it like 2/h\n",
    )


def test_in_the_catalogue(tmp_path: Path) -> None:
    entry = (
        'every = "5m"\ntimeout = "10s"\ncommand = "probe-redis"\nremedy = "docker restart redis"'
    )
    path = write(tmp_path, redis=f'{entry}\nremedy_after = 3\nremedy_limit = "1/h"')
    done = run_hcctl(tmp_path, "render", "crontab", "--catalog", path)
    words = (
        "--remedy 'docker restart redis' --remedy-after 3 --remedy-limit 1/h redis -- probe-redis"
    )
    assert words in done.stdout, done.stderr
    wrong = write(tmp_path, redis=f"{entry}\nremedy_after = 0\nremedy_limit = 2")
    done = run_hcctl(tmp_path, "check", "--json", "--catalog", wrong)
    assert done.returncode == 1
    assert "remedy_after" in done.stdout + done.stderr
    assert "remedy_limit" in done.stdout + done.stderr
