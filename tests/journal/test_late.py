"""Results that could not be delivered, and runs whose hcrun vanished."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hcrun.journal.journal import Journal
from tests.stub.healthchecks import Check, Fault, HealthchecksStub, answers, delays
from tests.support.command import (
    HCCTL,
    environment,
    run_hcctl,
    run_hcrun,
    runs,
    start_hcrun,
    wait_until,
)

QUICK = {"HEALTHCHECKS_RETRY_COUNT": "1"}


def undelivered(tmp_path: Path, stub: HealthchecksStub, check: Check, *commands: str) -> None:
    """Runs that end while the server does not take pings."""
    stub.fault = Fault(answers(503))
    for command in commands:
        run_hcrun(tmp_path, "--no-start", check.uuid, "sh", "-c", command, stub=stub, env=QUICK)
    stub.fault = None


def pings(check: Check) -> list[tuple[str, int | None]]:
    return [(ping.kind, ping.exitstatus) for ping in check.pings]


def test_next_run_of_the_check_logs_what_was_missed(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    undelivered(tmp_path, stub, check, "echo first; exit 4", "echo second")
    assert pings(check) == []
    run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub)
    assert pings(check) == [("success", None), ("log", None), ("log", None)]
    _, first, second = (ping.body.decode() for ping in check.pings)
    assert first.startswith("Delivered late: this run ended at 20")
    assert " A newer result of this check is known.\n" in first
    assert "\n\nfirst\n\nFAILED: exit status 4 after " in first
    assert "\n\nsecond\n\nOK: exit status 0 after " in second
    assert check.pings[1].rid is None
    assert run_hcctl(tmp_path, "flush").stdout == "nothing to deliver\n"


def test_newest_result_of_another_check_goes_as_itself(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    missed, other = stub.add_check(), stub.add_check()
    undelivered(tmp_path, stub, missed, "exit 0", "exit 4")
    run_hcrun(tmp_path, "--no-start", other.uuid, "--", "true", stub=stub)
    assert pings(missed) == [("log", None), ("fail", 4)]
    assert missed.status == "down"


def test_late_success_never_hides_a_newer_failure(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    undelivered(tmp_path, stub, check, "exit 0")
    run_hcrun(tmp_path, "--no-start", check.uuid, "--", "false", stub=stub)
    assert pings(check) == [("fail", 1), ("log", None)]
    assert check.status == "down"


def test_a_run_of_a_clock_that_was_ahead_hides_no_failure(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    """Neither one that is delivered late, nor one that --fail-after counts."""
    check, other = stub.add_check(), stub.add_check()
    run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub)
    ahead = "UPDATE runs SET started = started + 3e8, ended = ended + 3e8"
    Journal(str(tmp_path / "state")).change(ahead)
    undelivered(tmp_path, stub, check, "exit 4")
    run_hcrun(tmp_path, "--no-start", other.uuid, "--", "true", stub=stub)
    assert pings(check) == [("success", None), ("fail", 4)]
    run_hcrun(tmp_path, "--no-start", "--fail-after", "2", check.uuid, "--", "false", stub=stub)
    assert pings(check)[2:] == [("fail", 1)]


def test_a_result_of_a_clock_that_was_ahead_is_old_when_a_newer_one_is_known(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    undelivered(tmp_path, stub, check, "exit 4")
    ahead = "UPDATE runs SET started = started + 3e8, ended = ended + 3e8"
    Journal(str(tmp_path / "state")).change(ahead)
    run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub)
    assert pings(check) == [("success", None), ("log", None)]


def test_two_names_of_one_check_are_one_check(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    undelivered(tmp_path, stub, check, "exit 0")
    env = {"HC_CHECK_JOB": check.uuid}
    run_hcrun(tmp_path, "--no-start", "job", "--", "false", stub=stub, env=env)
    assert pings(check) == [("fail", 1), ("log", None)]


def test_flush_delivers_in_order(tmp_path: Path, stub: HealthchecksStub) -> None:
    one, two = stub.add_check(), stub.add_check()
    undelivered(tmp_path, stub, one, "exit 1", "exit 0")
    undelivered(tmp_path, stub, two, "exit 5")
    done = run_hcctl(tmp_path, "flush")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split(", ") for line in done.stdout.splitlines()]
    assert [(name, result) for name, _, result in lines] == [
        (one.uuid[:8], "fail: sent to the check's log"),
        (one.uuid[:8], "success: sent"),
        (two.uuid[:8], "fail: sent"),
    ]
    assert pings(one) == [("log", None), ("success", None)]
    assert pings(two) == [("fail", 5)]


def test_flush_says_what_is_left(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    undelivered(tmp_path, stub, check, "exit 1", "exit 0")
    stub.go_down()
    done = run_hcctl(tmp_path, "flush")
    assert done.returncode == 1
    error, summary = done.stderr.splitlines()
    assert error.endswith(": Connection refused")
    assert summary == (
        "hcctl: 2 of 2 results are still to be delivered; see above, then run hcctl flush again"
    )
    stub.come_back()
    assert run_hcctl(tmp_path, "flush").returncode == 0
    assert pings(check) == [("log", None), ("success", None)]


@pytest.mark.parametrize(
    ("status", "page", "why"),
    [
        (404, "404 page not found", "the answer is not from a Healthchecks server; set HEALTH"),
        (404, "<h1>Not Found</h1>", "the answer is not from a Healthchecks server; set HEALTH"),
        (403, "Forbidden", "the server refused the ping: 403 Forbidden"),
        (401, "", "the server refused the ping: 401"),
        (400, "<h1>Bad Request (400)</h1>", "the server refused the ping: 400 <h1>Bad"),
    ],
)
def test_what_another_than_the_server_refuses_is_kept(
    status: int, page: str, why: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    """A proxy while the server behind it restarts, a firewall, a list of allowed hosts."""
    check, other = stub.add_check(), stub.add_check()
    stub.fault = Fault(answers(status, page), only=check.uuid)
    done = run_hcrun(tmp_path, "--no-start", check.uuid, "--", "false", stub=stub)
    words = done.stderr.decode()
    assert words.startswith(f"hcrun: result not delivered: {why}")
    assert words.endswith("; a later run or `hcctl flush` delivers it\n")
    assert len(stub.requests) == 1  # it is not tried at once again
    undelivered(tmp_path, stub, other, "exit 5")
    stub.fault = Fault(answers(status, page), only=check.uuid)
    assert run_hcctl(tmp_path, "flush").returncode == 1
    assert pings(other) == [("fail", 5)]  # it does not stand in the way of others
    stub.fault = None
    assert run_hcctl(tmp_path, "flush").returncode == 0
    assert pings(check) == [("fail", 1)]


_MANY = """
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO runs (check_id, run_id, pid, started, ended, duration, result, why, command, user,
    delivery, address)
SELECT check_id, n, pid, started - n * 60, ended - n * 60, duration, result, why, command, user,
    delivery, address
FROM runs, n WHERE delivery = 'pending'
"""


def test_very_many_that_cannot_be_delivered_keep_no_others_back(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    """A wrong address, for two weeks, of what runs each minute."""
    wrong = f"{stub.site_root}/pin/{stub.add_check().uuid}"
    run_hcrun(tmp_path, "--no-start", wrong, "--", "true", stub=stub)
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as journal, journal:
        journal.execute(_MANY)
    check, other = stub.add_check(), stub.add_check()
    undelivered(tmp_path, stub, check, "exit 5")
    stub.requests.clear()
    run_hcrun(tmp_path, "--no-start", other.uuid, "--", "true", stub=stub)
    assert pings(check) == [("fail", 5)]
    assert len(stub.requests) == 3  # the wrong one was tried once


def test_a_result_whose_check_is_gone_is_given_up(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    undelivered(tmp_path, stub, check, "exit 1")
    stub.checks.clear()
    done = run_hcctl(tmp_path, "flush")
    assert "no check has this UUID" in done.stderr
    assert run_hcctl(tmp_path, "flush").stdout == "nothing to deliver\n"


@pytest.mark.slow
def test_a_run_spends_about_a_second_on_old_results(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    undelivered(tmp_path, stub, check, *["exit 1"] * 8)
    stub.fault = Fault(delays(0.4))
    began = time.monotonic()
    run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub)
    assert time.monotonic() - began < 3.5
    assert 2 <= len(check.pings) <= 5
    stub.fault = None
    assert run_hcctl(tmp_path, "flush").returncode == 0
    assert (
        len({re.findall(", run ([0-9a-f-]{36})", str(ping.body))[0] for ping in check.pings}) == 9
    )


def test_vanished_run_is_reported_once_by_the_next(tmp_path: Path, stub: HealthchecksStub) -> None:
    check, other = stub.add_check(), stub.add_check()
    with start_hcrun(tmp_path, check.uuid, "--", "sleep", "60", stub=stub) as process:
        stub.wait_for(check, 1)
        process.kill()
    for _ in range(2):
        run_hcrun(tmp_path, "--no-start", other.uuid, "--", "true", stub=stub)
    assert [ping.kind for ping in check.pings] == ["start", "fail"]
    body = check.pings[1].body.decode()
    assert f"LOST: hcrun (pid {process.pid}) vanished before the command's end" in body
    assert check.status == "down"
    assert not check.started


def test_vanished_run_is_found_by_flush(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    with start_hcrun(tmp_path, check.uuid, "--", "sleep", "60", stub=stub) as process:
        stub.wait_for(check, 1)
        process.kill()
    assert ", lost: sent\n" in run_hcctl(tmp_path, "flush").stdout
    assert run_hcctl(tmp_path, "flush").stdout == "nothing to deliver\n"
    assert [ping.kind for ping in check.pings] == ["start", "fail"]


def test_vanished_run_goes_to_the_log_when_a_newer_one_has_ended(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    with start_hcrun(tmp_path, check.uuid, "--", "sleep", "60", stub=stub) as process:
        stub.wait_for(check, 1)
        process.kill()
    run_hcrun(tmp_path, check.uuid, "--", "true", stub=stub)
    assert [ping.kind for ping in check.pings] == ["start", "start", "success", "log"]
    assert check.status == "up"


def test_vanished_run_is_recorded_without_a_server(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    command = ("sh", "-c", f"echo > {ready}; exec sleep 60")
    with start_hcrun(tmp_path, "job", "--", *command) as process:
        wait_until(lambda: ready.exists() and runs(tmp_path), "the run is recorded")
        process.kill()
    run_hcrun(tmp_path, "job", "--", "true")
    assert [run.result for run in runs(tmp_path)] == ["success", "lost"]


def test_a_going_run_is_not_lost(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    with start_hcrun(tmp_path, check.uuid, "--", "sleep", "60", stub=stub) as process:
        stub.wait_for(check, 1)
        run_hcrun(tmp_path, "other", "--", "true", stub=stub)
        assert run_hcctl(tmp_path, "flush").stdout == "nothing to deliver\n"
        process.terminate()
    assert [(ping.kind, ping.exitstatus) for ping in check.pings] == [
        ("start", None),
        ("fail", 143),
    ]


def test_a_result_on_its_way_is_not_sent_by_another(tmp_path: Path, stub: HealthchecksStub) -> None:
    check, other = stub.add_check(), stub.add_check()
    stub.fault = Fault(delays(1.0), only=check.uuid)
    with start_hcrun(tmp_path, "--no-start", check.uuid, "--", "false", stub=stub) as process:
        stub.wait_for_requests(1)
        run_hcrun(tmp_path, "--no-start", other.uuid, "--", "true", stub=stub)
        assert process.wait(10) == 1
    assert len([r for r in stub.requests if check.uuid in r.path]) == 1


def test_flushes_at_once_send_nothing_twice(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    undelivered(tmp_path, stub, check, *["exit 1"] * 6)
    stub.fault = Fault(delays(0.05))
    flushes = [
        subprocess.Popen(
            [HCCTL, "flush"],
            env=environment(tmp_path, stub),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(4)
    ]
    assert 0 in [flush.wait(30) for flush in flushes]
    assert len(check.pings) == 6
    assert Journal(str(tmp_path / "state")).count_pending() == 0


@pytest.fixture
def clock(tmp_path: Path) -> Callable[[float], dict[str, str]]:
    """The environment of an hcrun on a host whose clock is so many seconds off."""
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock/sitecustomize.py").write_text(
        "import os, time\nreal, off = time.time, float(os.environ['OFF'])\n"
        "time.time = lambda: real() + off\n"
    )
    return lambda off: {"PYTHONPATH": str(tmp_path / "clock"), "OFF": str(off)}


@pytest.mark.parametrize(("first", "second"), [("exit 0", "exit 4"), ("exit 4", "exit 0")])
def test_the_clock_was_set_back_between_two_results(
    first: str,
    second: str,
    clock: Callable[[float], dict[str, str]],
    tmp_path: Path,
    stub: HealthchecksStub,
) -> None:
    """Which one is the newer is known all the same."""
    both, newer, older = (stub.add_check() for _ in range(3))

    def run(check: Check, command: str, off: float, delivered: bool) -> None:
        stub.fault = None if delivered else Fault(answers(503))
        env = QUICK | clock(off)
        run_hcrun(tmp_path, "--no-start", check.uuid, "sh", "-c", command, stub=stub, env=env)

    for check, delivered in ((both, (False, False)), (newer, (True, False))):
        run(check, first, 7200, delivered[0])
        run(check, second, 0, delivered[1])
    run(older, first, 7200, delivered=False)
    with Journal(str(tmp_path / "state"))._db as db:  # what the run before could not deliver
        (row,) = db.execute("SELECT max(id) FROM runs").fetchone()
        db.execute("UPDATE runs SET delivery = 'hidden' WHERE id = ?", (row,))
    run(older, second, 0, delivered=True)
    with Journal(str(tmp_path / "state"))._db as db:
        db.execute("UPDATE runs SET delivery = 'pending' WHERE id = ?", (row,))
    assert run_hcctl(tmp_path, "flush").returncode == 0
    expected = "down" if second == "exit 4" else "up"
    assert [check.status for check in (both, newer, older)] == [expected] * 3


def test_failures_are_counted_after_the_clock_was_set_back(
    clock: Callable[[float], dict[str, str]], tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    for off, command in ((7200, "true"), (0, "false"), (0, "false")):
        run_hcrun(
            tmp_path, "--fail-after", "2", check.uuid, "--", command, stub=stub, env=clock(off)
        )
    assert pings(check) == [("success", None), ("log", None), ("fail", 1)]
