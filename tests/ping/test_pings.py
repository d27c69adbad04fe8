"""What arrives at the server, and what hcrun says when it does not: through the command line."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from hcrun import __version__
from hcrun.journal.journal import Journal
from tests.stub.healthchecks import (
    GARBAGE,
    HUGE_HEADER,
    Check,
    Fault,
    HealthchecksStub,
    answers,
    cuts,
    delays,
    hangs,
    hangs_up,
    resets,
    sends,
)
from tests.support.command import last_run, run_hcrun, start_hcrun, wait_until

QUICK = {"HEALTHCHECKS_RETRY_DELAY": "20ms"}
TABLES = ("checks", "runs", "outputs", "limits")
LATER = "a later run or `hcctl flush` delivers it"


def kinds(check: Check) -> list[tuple[str, int | None]]:
    return [(ping.kind, ping.exitstatus) for ping in check.pings]


def delivery(tmp_path: Path) -> str:
    return Journal(str(tmp_path / "state")).runs()[0][1]


def recorded(tmp_path: Path) -> bytes:
    """All values in the journal."""
    with sqlite3.connect(tmp_path / "state" / "journal.db") as db:
        return repr([db.execute(f"SELECT * FROM {t}").fetchall() for t in TABLES]).encode()  # noqa: S608 - constants


def test_start_and_success_share_a_rid(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    done = run_hcrun(tmp_path, check.uuid, "--", "echo", "hello", stub=stub)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello\n", b"")
    assert kinds(check) == [("start", None), ("success", None)]
    start, end = check.pings
    assert start.rid == end.rid == last_run(tmp_path).run_id
    assert check.status == "up"
    assert not check.started
    assert delivery(tmp_path) == "sent"


def test_pings_are_posts_that_the_server_keeps_whole(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check(methods="POST", filter_http_body=True, success_kw="exit status 0")
    run_hcrun(tmp_path, check.uuid, "--", "printf", r"caf\303 \303\251", stub=stub)
    for request in stub.requests:
        assert request.method == "POST"
        assert request.headers["user-agent"] == f"hcrun/{__version__}"
        assert request.headers["content-type"] == "text/plain; charset=utf-8"
        assert request.headers["content-length"] == str(len(request.body))
        assert "transfer-encoding" not in request.headers
        request.body.decode()
    assert "caf\ufffd é" in check.pings[-1].body.decode()
    assert check.status == "up"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 0", ("success", None)),
        ("exit 3", ("fail", 3)),
        ("exit 255", ("fail", 255)),
        ("kill -9 $$", ("fail", 137)),
        ("kill -TERM $$", ("fail", 143)),
    ],
)
def test_exit_status_is_pinged(
    script: str, expected: tuple[str, int | None], tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    run_hcrun(tmp_path, check.uuid, "sh", "-c", script, stub=stub)
    assert kinds(check) == [("start", None), expected]


def test_judged_failures_have_no_status_to_ping(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    done = run_hcrun(tmp_path, "--expect", "deleted", check.uuid, "--", "echo", "no", stub=stub)
    assert done.returncode == 0
    assert kinds(check) == [("start", None), ("fail", None)]
    assert "printed no line matching --expect 'deleted'" in check.pings[-1].body.decode()


def test_command_that_cannot_start(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    done = run_hcrun(tmp_path, check.uuid, "--", "no-such-command", stub=stub)
    assert done.returncode == 127
    assert done.stderr == b"hcrun: no-such-command: command not found in PATH\n"
    assert kinds(check) == [("start", None), ("fail", 127)]
    assert "no-such-command: command not found in PATH" in check.pings[-1].body.decode()


def test_no_start_means_no_rid(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub)
    assert [(ping.kind, ping.rid) for ping in check.pings] == [("success", None)]


def test_start_that_was_not_taken_means_no_rid(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = Fault(answers(500), only="/start")
    run_hcrun(tmp_path, check.uuid, "--", "true", stub=stub, env=QUICK)
    assert [(ping.kind, ping.rid) for ping in check.pings] == [("success", None)]


@pytest.mark.parametrize("options", [["--on-exit", "1=log"], ["--fail-after", "2"]])
def test_a_run_that_may_end_as_log_sends_no_start(
    options: list[str], tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check(grace=0)
    run_hcrun(tmp_path, *options, check.uuid, "--", "sh", "-c", "exit 1", stub=stub)
    assert kinds(check) == [("log", None)]
    assert check.status == "new"


def test_fail_after_counts_failures_in_a_row(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    for script in ("false", "false", "true", "false", "false", "false", "false"):
        run_hcrun(tmp_path, "--fail-after", "3", check.uuid, "--", script, stub=stub)
    assert [ping.kind for ping in check.pings] == [
        *("log", "log", "success", "log", "log", "fail", "fail")
    ]
    assert "(failure 2 of 3 before an alert)" in check.pings[1].body.decode()
    assert "(failure 3 in a row)" in check.pings[5].body.decode()


def test_fail_after_without_a_journal_holds_nothing_back(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    (tmp_path / "state").write_text("a file where the directory should be")
    done = run_hcrun(tmp_path, "--fail-after", "3", check.uuid, "--", "false", stub=stub)
    assert done.returncode == 1
    assert kinds(check) == [("fail", 1)]
    assert done.stderr.decode().startswith("hcrun: not recorded: ")


def test_slug_and_create(tmp_path: Path, stub: HealthchecksStub) -> None:
    env = {"HEALTHCHECKS_PING_KEY": stub.ping_key}
    for _ in range(2):
        done = run_hcrun(tmp_path, "--create", "New-Job", "--", "true", stub=stub, env=env)
        assert (done.returncode, done.stderr) == (0, b"")
    assert kinds(stub.by_slug("new-job")) == [("start", None), ("success", None)] * 2


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (
            "0d2f4a7e-0000-4000-8000-000000000000",
            "no check has this UUID; copy it from the check's page, or create the check again",
        ),
        (
            "absent",
            (
                "no check has the slug absent in this project; add --create to create it,"
                " or correct HEALTHCHECKS_PING_KEY"
            ),
        ),
        ("twice", "several checks have the slug twice; change the slug of all but one"),
    ],
)
def test_refusals_are_explained_and_not_repeated(
    check: str, words: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    stub.add_check(slug="twice")
    stub.add_check(slug="twice")
    env = {"HEALTHCHECKS_PING_KEY": stub.ping_key}
    done = run_hcrun(tmp_path, check, "--", "sh", "-c", "exit 7", stub=stub, env=env)
    assert done.returncode == 7
    assert done.stderr.decode() == f"hcrun: not pinged: {words}\n"
    assert len(stub.requests) == 2  # start and end, each tried once
    assert delivery(tmp_path) == "refused"


@pytest.mark.parametrize("number", ["\xb2", "9" * 30, "9" * 5000, "-1", ""])
def test_numbers_of_an_answer_that_are_none(
    number: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {number}\r\nPing-Body-Limit: {number}\r\n\r\nOK"
    stub.fault = Fault(sends(head.encode("latin-1")))
    done = run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub, env=QUICK)
    assert (done.returncode, done.stderr) == (0, b"")
    assert delivery(tmp_path) == "sent"


@pytest.mark.parametrize(
    "body",
    [
        "9\r\nnot found\r\n0\r\n\r\n",
        "3;a=b\r\nnot\r\n6\r\n found\r\n",
        "9\r\nnot found\r\nnonsense\r\n",
    ],
)
def test_a_refusal_that_a_proxy_has_cut_into_chunks(
    body: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    head = "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: Chunked\r\n\r\n"
    stub.fault = Fault(sends((head + body).encode()))
    done = run_hcrun(tmp_path, "--no-start", stub.add_check().uuid, "--", "true", stub=stub)
    assert done.stderr.startswith(b"hcrun: not pinged: no check has this UUID; ")
    assert delivery(tmp_path) == "refused"


def test_what_a_server_says_does_not_reach_the_terminal_as_it_is(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    stub.fault = Fault(answers(400, "no\x1b]0;title\x07\x9b31m"))
    done = run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub)
    words = "the server refused the ping: 400 no ]0;title 31m"
    assert done.stderr.decode() == f"hcrun: result not delivered: {words}; {LATER}\n"


def test_a_400_is_explained(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = Fault(answers(400, "invalid url format"))
    done = run_hcrun(tmp_path, check.uuid, "--", "true", stub=stub)
    assert done.stderr.decode() == (
        "hcrun: not pinged: the server refused the ping: 400 invalid url format\n"
    )
    assert len(stub.requests) == 2


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_trouble_of_the_server_is_retried(
    status: int, tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    stub.fault = Fault(answers(status), times=2)
    done = run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub, env=QUICK)
    assert (done.returncode, done.stderr) == (0, b"")
    assert kinds(check) == [("success", None)]
    assert len(stub.requests) == 3


@pytest.mark.parametrize(
    "fault",
    [
        Fault(hangs_up, times=2),
        Fault(hangs_up, times=2, on_accept=True),
        Fault(resets(8), times=2),
        Fault(cuts(30), times=2),
        Fault(sends(GARBAGE), times=2),
        Fault(sends(HUGE_HEADER), times=2),
        Fault(answers(200, "<html>please log in</html>"), times=2),
        Fault(answers(503, retry_after="\xb2"), times=2),
        Fault(sends("HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\nOK".encode("latin-1")), times=2),
    ],
    ids=["hangs up", "hangs up at once", "resets", "cuts", "garbage", "huge header", "log-in page"]
    + ["odd number", "odd status"],
)
def test_broken_answers_are_retried(fault: Fault, tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = fault
    done = run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub, env=QUICK)
    assert (done.returncode, done.stderr) == (0, b"")
    assert kinds(check) == [("success", None)]
    assert stub.connections == 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(answers(503)), "the server is unavailable: 503"),
        (
            Fault(answers(200, "<html>please log in</html>")),
            (
                "the answer is not from a Healthchecks server; set HEALTHCHECKS_PING_URL"
                " like https://hc.example.com/ping"
            ),
        ),
        (
            Fault(sends(GARBAGE)),
            "cannot reach the server: SERVER: the answer is not HTTP",
        ),
        (
            Fault(hangs_up),
            "cannot reach the server: SERVER: closed the connection without an answer",
        ),
    ],
)
def test_what_could_not_be_delivered_is_kept(
    fault: Fault, words: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    stub.fault = fault
    done = run_hcrun(tmp_path, "--no-start", check.uuid, "false", stub=stub, env=QUICK)
    assert done.returncode == 1
    server = stub.ping_url.split("/")[2]
    expected = f"hcrun: result not delivered: {words.replace('SERVER', server)}; {LATER}\n"
    assert done.stderr.decode() == expected
    assert stub.connections == 3
    assert delivery(tmp_path) == "pending"


def test_retry_after_is_honoured(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = Fault(answers(429, retry_after=1), times=1)
    run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub, env=QUICK)
    first, second = stub.requests
    assert 1.0 <= second.received - first.received < 2.0


def test_retry_count_of_one_tries_once(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = Fault(answers(503))
    env = {"HEALTHCHECKS_RETRY_COUNT": "1"}
    run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub, env=env)
    assert len(stub.requests) == 1


def test_delay_between_tries_grows(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = Fault(answers(503))
    env = {"HEALTHCHECKS_RETRY_DELAY": "200ms"}
    run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", stub=stub, env=env)
    first, second, third = (request.received for request in stub.requests)
    assert second - first >= 0.1
    assert third - second >= 0.2


@pytest.mark.slow
def test_a_server_that_is_down_does_not_hold_hcrun_up(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    stub.go_down()
    began = time.monotonic()
    done = run_hcrun(tmp_path, check.uuid, "--", "true", stub=stub)
    assert time.monotonic() - began < 5
    server = stub.ping_url.split("/")[2]
    assert done.stderr.decode() == (
        f"hcrun: result not delivered: cannot reach the server: {server}:"
        f" Connection refused; {LATER}\n"
    )


def test_deadline_bounds_the_wait(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = Fault(hangs)
    began = time.monotonic()
    done = run_hcrun(tmp_path, "--deadline", "1s", check.uuid, "--", "true", stub=stub)
    assert 1.0 <= time.monotonic() - began < 2.5
    assert done.returncode == 0
    assert done.stderr.decode().startswith("hcrun: result not delivered: ")
    assert delivery(tmp_path) == "pending"


def test_start_is_answered_before_the_end_is_sent(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = Fault(delays(0.7), only="/start")
    run_hcrun(tmp_path, check.uuid, "--", "true", stub=stub)
    assert kinds(check) == [("start", None), ("success", None)]
    assert not check.started


def test_a_start_that_the_server_put_off_is_not_sent_when_the_command_has_ended(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    stub.fault = Fault(answers(503, retry_after=8), only="/start")
    began = time.monotonic()
    run_hcrun(tmp_path, check.uuid, "--", "sleep", "0.5", stub=stub)
    assert time.monotonic() - began < 8  # nor is it waited for
    assert len(stub.requests) == 2
    assert kinds(check) == [("success", None)]


def test_signal_while_pinging_leaves_at_once(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.fault = Fault(hangs)
    with start_hcrun(tmp_path, "--no-start", check.uuid, "--", "false", stub=stub) as process:
        stub.wait_for_requests(1)
        process.terminate()
        assert process.wait(3) == 1
    assert delivery(tmp_path) == "pending"


def test_ended_by_a_signal_is_still_pinged(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    with start_hcrun(tmp_path, check.uuid, "--", "sleep", "60", stub=stub) as process:
        stub.wait_for(check, 1)
        process.terminate()
        assert process.wait(10) == 143
    assert kinds(check) == [("start", None), ("fail", 143)]
    assert "killed by SIGTERM" in check.pings[-1].body.decode()


def test_skipped_run_goes_to_the_log(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    options = ("--overlap", "skip", check.uuid, "--")
    with start_hcrun(tmp_path, *options, "sleep", "60", stub=stub) as first:
        stub.wait_for(check, 1)
        second = run_hcrun(tmp_path, *options, "true", stub=stub)
        assert second.returncode == 75
        first.terminate()
    body = check.pings[1].body.decode()
    assert [ping.kind for ping in check.pings] == ["start", "log", "fail"]
    assert check.pings[1].rid is None
    assert f"pid {first.pid}, since " in body
    assert body.endswith(second.stderr.decode().removeprefix("hcrun: skipped: ").strip())


def test_disabled_pings_nobody_and_says_nothing(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    env = {"HEALTHCHECKS_ENABLED": "false"}
    done = run_hcrun(tmp_path, check.uuid, "--", "true", stub=stub, env=env)
    assert (done.returncode, done.stderr, stub.connections) == (0, b"", 0)
    assert last_run(tmp_path).result == "success"


def test_no_way_to_ping_is_one_line(tmp_path: Path, stub: HealthchecksStub) -> None:
    done = run_hcrun(tmp_path, "my-job", "--", "echo", "hi", stub=stub)
    assert (done.returncode, done.stdout) == (0, b"hi\n")
    assert done.stderr.decode() == (
        "hcrun: my-job is not pinged; set HC_CHECK_MY_JOB to the check's UUID or ping URL, or"
        " HEALTHCHECKS_PING_KEY (HEALTHCHECKS_ENABLED=false hides this message)\n"
    )


def test_body_limit_is_learned(tmp_path: Path) -> None:
    with HealthchecksStub(body_limit=400) as stub:
        check = stub.add_check()
        script = "seq 1 10000"
        run_hcrun(tmp_path, "--no-start", check.uuid, "sh", "-c", script, stub=stub)
        run_hcrun(tmp_path, "--no-start", check.uuid, "sh", "-c", script, stub=stub)
        first, second = (request.body for request in stub.requests)
        assert 9_000 < len(first) <= 10_000
        assert len(second) <= 400
        assert "OK: exit status 0" in second.decode().splitlines()[-1]


def test_bigger_limit_is_used_within_the_same_run(tmp_path: Path) -> None:
    with HealthchecksStub(body_limit=50_000) as stub:
        check = stub.add_check()
        run_hcrun(tmp_path, check.uuid, "seq", "1", "100000", stub=stub)
        assert 45_000 < len(check.pings[-1].body) <= 50_000


def test_secrets_stay_here(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    env = {"DB_PASSWORD": "hunter2hunter2", "HC_CHECK_JOB": check.uuid}
    script = "echo $DB_PASSWORD; echo postgres://app:pw123456@db/x; echo $HC_CHECK_JOB"
    command = ("sh", "-c", script + "; exit 9", "--password=abcdef")
    done = run_hcrun(tmp_path, "job", "--", *command, stub=stub, env=env)
    assert b"hunter2hunter2" in done.stdout
    kept = recorded(tmp_path)
    for place in (*(ping.body for ping in check.pings), done.stderr, kept):
        for secret in (b"hunter2hunter2", b"pw123456", check.uuid.encode(), b"abcdef"):
            assert secret not in place


def test_output_can_be_kept_back(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    done = run_hcrun(tmp_path, "--no-output", check.uuid, "--", "echo", "xyzzy", stub=stub)
    assert done.stdout == b"xyzzy\n"
    assert b"\nxyzzy" not in check.pings[-1].body
    assert last_run(tmp_path).excerpt.head == ""


def test_the_command_starts_before_any_ping(tmp_path: Path, stub: HealthchecksStub) -> None:
    """A server that hangs or a dead one delays neither start nor output."""
    check = stub.add_check()
    stub.fault = Fault(hangs)
    mark = tmp_path / "mark"
    command = ("sh", "-c", f"echo started > {mark}; cat")
    with start_hcrun(tmp_path, check.uuid, "--", *command, stub=stub) as process:
        wait_until(mark.exists, "the command has started")
        process.kill()
