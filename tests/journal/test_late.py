"""Results that could not be delivered, and runs whose hcrun vanished."""

import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from tests.stub.healthchecks import Check, Fault, answers, delays
from tests.support.command import (
    HCCTL,
    environment,
    run_hcrun,
    run_program,
    runs,
    start_hcrun,
    wait_until,
)
from tests.support.host import Host

QUICK = {"HEALTHCHECKS_RETRY_COUNT": "1"}


def undelivered(host: Host, check: Check, *commands: str) -> None:
    """Runs that end while the server accepts no pings."""
    host.stub.fault = Fault(answers(503))
    for command in commands:
        host.run("--no-start", check.uuid, "sh", "-c", command, **QUICK)
    host.stub.fault = None


def vanished(host: Host, check: Check) -> None:
    """A run whose hcrun is killed."""
    with host.start(check.uuid, "--", "sleep", "60") as process:
        host.stub.wait_for(check, 1)
        process.kill()


def pings(check: Check) -> list[tuple[str, int | None]]:
    return [(ping.kind, ping.exitstatus) for ping in check.pings]


def test_next_run_of_the_check_logs_what_was_missed(host: Host, check: Check) -> None:
    undelivered(host, check, "echo first; exit 4", "echo second")
    assert pings(check) == []
    host.run("--no-start", check.uuid, "--", "true")
    assert pings(check) == [("success", None), ("log", None), ("log", None)]
    _, first, second = (ping.body.decode() for ping in check.pings)
    assert first.startswith("FAILED: exit status 4 after ")
    assert "\nDelivered late: this run ended at 20" in first
    assert " A newer result of this check is known.\n" in first
    assert first.endswith("\n\nfirst")
    assert second.startswith("OK: exit status 0 after ")
    assert second.endswith("\n\nsecond")
    assert check.pings[1].rid is None
    assert host.flush().stdout == "nothing to deliver\n"


def test_newest_result_of_another_check_goes_as_itself(host: Host) -> None:
    missed, other = host.stub.add_check(), host.stub.add_check()
    undelivered(host, missed, "exit 0", "exit 4")
    host.run("--no-start", other.uuid, "--", "true")
    assert pings(missed) == [("log", None), ("fail", 4)]
    assert missed.status == "down"


def test_late_success_never_hides_a_newer_failure(host: Host, check: Check) -> None:
    undelivered(host, check, "exit 0")
    host.run("--no-start", check.uuid, "--", "false")
    assert pings(check) == [("fail", 1), ("log", None)]
    assert check.status == "down"


def test_a_run_of_a_clock_that_was_ahead_hides_no_failure(host: Host) -> None:
    """Neither one that is delivered late, nor one that --fail-after counts."""
    check, other = host.stub.add_check(), host.stub.add_check()
    host.run("--no-start", check.uuid, "--", "true")
    ahead = "UPDATE runs SET started = started + 3e8, ended = ended + 3e8"
    host.journal.change(ahead)
    undelivered(host, check, "exit 4")
    host.run("--no-start", other.uuid, "--", "true")
    assert pings(check) == [("success", None), ("fail", 4)]
    host.run("--no-start", "--fail-after", "2", check.uuid, "--", "false")
    assert pings(check)[2:] == [("fail", 1)]


def test_a_result_of_a_clock_that_was_ahead_is_old_when_a_newer_one_is_known(
    host: Host, check: Check
) -> None:
    undelivered(host, check, "exit 4")
    ahead = "UPDATE runs SET started = started + 3e8, ended = ended + 3e8"
    host.journal.change(ahead)
    host.run("--no-start", check.uuid, "--", "true")
    assert pings(check) == [("success", None), ("log", None)]


def test_two_names_of_one_check_are_one_check(host: Host, check: Check) -> None:
    undelivered(host, check, "exit 0")
    env = {"HC_CHECK_JOB": check.uuid}
    host.run("--no-start", "job", "--", "false", **env)
    assert pings(check) == [("fail", 1), ("log", None)]


def test_flush_delivers_in_order(host: Host) -> None:
    one, two = host.stub.add_check(), host.stub.add_check()
    undelivered(host, one, "exit 1", "exit 0")
    undelivered(host, two, "exit 5")
    done = host.flush()
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split(", ") for line in done.stdout.splitlines()]
    assert [(name, result) for name, _, result in lines] == [
        (one.uuid[:8], "fail: sent to the check's log"),
        (one.uuid[:8], "success: sent"),
        (two.uuid[:8], "fail: sent"),
    ]
    assert pings(one) == [("log", None), ("success", None)]
    assert pings(two) == [("fail", 5)]


def test_flush_says_what_is_left(host: Host, check: Check) -> None:
    undelivered(host, check, "exit 1", "exit 0")
    host.stub.go_down()
    done = host.flush()
    assert done.returncode == 1
    error, summary = done.stderr.splitlines()
    assert error.endswith(": Connection refused")
    assert summary.startswith("hcctl: 2 of 2 results are not delivered; ")
    host.stub.come_back()
    assert host.flush().returncode == 0
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
    status: int, page: str, why: str, host: Host
) -> None:
    """A proxy while the server behind it restarts, a firewall, a list of allowed hosts."""
    check, other = host.stub.add_check(), host.stub.add_check()
    host.stub.fault = Fault(answers(status, page), only=check.uuid)
    done = host.run("--no-start", check.uuid, "--", "false")
    words = done.stderr.decode()
    assert words.startswith(f"hcrun: result not delivered: {why}")
    assert words.endswith("; a later run or `hcctl flush` delivers it\n")
    assert len(host.stub.requests) == 1  # it is not tried at once again
    undelivered(host, other, "exit 5")
    host.stub.fault = Fault(answers(status, page), only=check.uuid)
    assert host.flush().returncode == 1
    assert pings(other) == [("fail", 5)]  # it does not stand in the way of others
    host.stub.fault = None
    assert host.flush().returncode == 0
    assert pings(check) == [("fail", 1)]


_MANY = """
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO runs (check_id, run_id, pid, started, ended, duration, result, why, command, user,
    delivery)
SELECT check_id, n, pid, started - n * 60, ended - n * 60, duration, result, why, command, user,
    delivery
FROM runs, n WHERE delivery = 'pending'
"""


def test_very_many_that_cannot_be_delivered_keep_no_others_back(host: Host) -> None:
    """A wrong address, for two weeks, of what runs each minute."""
    wrong = f"{host.stub.site_root}/pin/{host.stub.add_check().uuid}"
    host.run("--no-start", wrong, "--", "true")
    with closing(sqlite3.connect(host.path / "state" / "journal.db")) as journal, journal:
        journal.execute(_MANY)
    check, other = host.stub.add_check(), host.stub.add_check()
    undelivered(host, check, "exit 5")
    host.stub.requests.clear()
    host.run("--no-start", other.uuid, "--", "true")
    assert pings(check) == [("fail", 5)]
    assert len(host.stub.requests) == 3  # the wrong one was tried once


def test_a_result_whose_check_is_gone_is_given_up(host: Host, check: Check) -> None:
    undelivered(host, check, "exit 1")
    host.stub.checks.clear()
    done = host.flush()
    assert "no check has this UUID" in done.stderr
    assert host.flush().stdout == "nothing to deliver\n"


@pytest.mark.slow
def test_a_run_spends_about_a_second_on_old_results(host: Host, check: Check) -> None:
    undelivered(host, check, *["exit 1"] * 8)
    host.stub.fault = Fault(delays(0.4))
    began = time.monotonic()
    host.run("--no-start", check.uuid, "--", "true")
    assert time.monotonic() - began < 10
    assert 2 <= len(check.pings) <= 5
    host.stub.fault = None
    assert host.flush().returncode == 0
    run_ids = {re.findall(", run ([0-9a-f-]{36})", str(ping.body))[0] for ping in check.pings}
    assert len(run_ids) == 9


def test_vanished_run_is_found_by_flush(host: Host, check: Check) -> None:
    vanished(host, check)
    assert ", lost: sent\n" in host.flush().stdout
    assert host.flush().stdout == "nothing to deliver\n"
    assert [ping.kind for ping in check.pings] == ["start", "fail"]


def test_vanished_run_goes_to_the_log_when_a_newer_one_has_ended(host: Host, check: Check) -> None:
    vanished(host, check)
    host.run(check.uuid, "--", "true")
    assert [ping.kind for ping in check.pings] == ["start", "start", "success", "log"]
    assert check.status == "up"


def test_vanished_run_is_recorded_without_a_server(host: Host) -> None:
    ready = host.path / "ready"
    command = ("sh", "-c", f"echo > {ready}; exec sleep 60")
    with start_hcrun(host.path, "job", "--", *command) as process:
        wait_until(lambda: ready.exists() and runs(host.path), "the run is recorded")
        process.kill()
    run_hcrun(host.path, "job", "--", "true")
    assert [run.result for run in runs(host.path)] == ["success", "lost"]


def test_a_going_run_is_not_lost(host: Host, check: Check) -> None:
    with host.start(check.uuid, "--", "sleep", "60") as process:
        host.stub.wait_for(check, 1)
        host.run("other", "--", "true")
        assert host.flush().stdout == "nothing to deliver\n"
        process.terminate()
    assert pings(check) == [("start", None), ("fail", 143)]


def test_a_result_on_its_way_is_not_sent_by_another(host: Host) -> None:
    check, other = host.stub.add_check(), host.stub.add_check()
    host.stub.fault = Fault(delays(1.0), only=check.uuid)
    with host.start("--no-start", check.uuid, "--", "false") as process:
        host.stub.wait_for_requests(1)
        host.run("--no-start", other.uuid, "--", "true")
        assert process.wait(10) == 1
    assert len([r for r in host.stub.requests if check.uuid in r.path]) == 1


def test_flushes_at_once_send_nothing_twice(host: Host, check: Check) -> None:
    undelivered(host, check, *["exit 1"] * 6)
    host.stub.fault = Fault(delays(0.05))
    flushes = [
        subprocess.Popen(
            [HCCTL, "flush"],
            env=environment(host.path, host.stub),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(4)
    ]
    assert 0 in [flush.wait(30) for flush in flushes]
    assert len(check.pings) == 6
    assert host.journal.count_pending() == 0


# hcrun on a host whose clock is the first argument in seconds off.
CLOCK = """
import sys, time
real, off = time.time, float(sys.argv.pop(1))
time.time = lambda: real() + off
from hcrun.run.cli import main
main()
"""


def with_clock(host: Host, off: float, *words: str) -> None:
    clock = [sys.executable, "-c", CLOCK, str(off)]
    run_program(host.path, *clock, *words, stub=host.stub, env=QUICK)


@pytest.mark.parametrize(("first", "second"), [("exit 0", "exit 4"), ("exit 4", "exit 0")])
def test_the_clock_was_set_back_between_two_results(first: str, second: str, host: Host) -> None:
    """Which one is the newer is known all the same."""
    both, newer, older = (host.stub.add_check() for _ in range(3))

    def run(check: Check, command: str, off: float, delivered: bool) -> None:
        host.stub.fault = None if delivered else Fault(answers(503))
        with_clock(host, off, "--no-start", check.uuid, "sh", "-c", command)

    for check, delivered in ((both, (False, False)), (newer, (True, False))):
        run(check, first, 7200, delivered[0])
        run(check, second, 0, delivered[1])
    run(older, first, 7200, delivered=False)
    urls = {path: path.read_text() for path in (host.path / "state").glob("journal.db.url-*")}
    with host.journal._db as db:  # what the run before could not deliver
        (row,) = db.execute("SELECT max(id) FROM runs").fetchone()
        db.execute("UPDATE runs SET delivery = 'hidden' WHERE id = ?", (row,))
    run(older, second, 0, delivered=True)
    for path, url in urls.items():
        path.write_text(url)
    with host.journal._db as db:
        db.execute("UPDATE runs SET delivery = 'pending' WHERE id = ?", (row,))
    assert host.flush().returncode == 0
    expected = "down" if second == "exit 4" else "up"
    assert [check.status for check in (both, newer, older)] == [expected] * 3


def test_failures_are_counted_after_the_clock_was_set_back(host: Host, check: Check) -> None:
    for off, command in ((7200, "true"), (0, "false"), (0, "false")):
        with_clock(host, off, "--fail-after", "2", check.uuid, "--", command)
    assert pings(check) == [("success", None), ("log", None), ("fail", 1)]
