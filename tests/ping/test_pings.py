"""What arrives at the server, and what hcrun says when it does not: through the command line."""

import time
from collections.abc import Callable

import pytest

from hcrun import __version__
from tests.stub.healthchecks import (
    GARBAGE,
    HUGE_HEADER,
    Check,
    Exchange,
    Fault,
    answers,
    cuts,
    delays,
    hangs,
    hangs_up,
    resets,
    sends,
)
from tests.support.command import last_run
from tests.support.host import Host

QUICK = {"HEALTHCHECKS_RETRY_DELAY": "20ms"}
LATER = "a later run or `hcctl flush` delivers it"
NO_UUID = "no check has this UUID; copy it from the check's page, or create the check again"
NO_SLUG = (
    "no check has the slug absent in this project; add --create to create it,"
    " or correct HEALTHCHECKS_PING_KEY"
)
NO_SERVER = (
    "the answer is not from a Healthchecks server; set HEALTHCHECKS_PING_URL"
    " like https://hc.example.com/ping"
)
CONTROLS = answers(400, "no\x1b]0;title\x07\x9b31m")
LOG_IN = answers(200, "<html>please log in</html>")


def kinds(check: Check) -> list[tuple[str, int | None]]:
    return [(ping.kind, ping.exitstatus) for ping in check.pings]


# What is sent


def test_start_and_success_share_a_rid(host: Host, check: Check) -> None:
    done = host.run(check.uuid, "--", "echo", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello\n", b"")
    assert kinds(check) == [("start", None), ("success", None)]
    start, end = check.pings
    assert start.rid == end.rid == last_run(host.path).run_id
    assert (check.status, check.started, host.delivery) == ("up", False, "sent")


def test_pings_are_posts_that_the_server_keeps_whole(host: Host) -> None:
    check = host.stub.add_check(methods="POST", filter_http_body=True, success_kw="exit status 0")
    host.run(check.uuid, "--", "printf", r"caf\303 \303\251")
    for request in host.stub.requests:
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
    script: str, expected: tuple[str, int | None], host: Host, check: Check
) -> None:
    host.run(check.uuid, "sh", "-c", script)
    assert kinds(check) == [("start", None), expected]


def test_a_failure_by_output_has_no_status_to_ping(host: Host, check: Check) -> None:
    assert host.run("--expect", "deleted", check.uuid, "--", "echo", "no").returncode == 0
    assert kinds(check) == [("start", None), ("fail", None)]
    assert "printed no line matching --expect 'deleted'" in check.pings[-1].body.decode()


@pytest.mark.parametrize("options", [["--no-start"], []], ids=["no start", "start not accepted"])
def test_without_a_start_there_is_no_rid(options: list[str], host: Host, check: Check) -> None:
    host.stub.fault = Fault(answers(500), only="/start")
    host.run(*options, check.uuid, "--", "true", **QUICK)
    assert [(ping.kind, ping.rid) for ping in check.pings] == [("success", None)]


@pytest.mark.parametrize("options", [["--on-exit", "1=log"], ["--fail-after", "2"]])
def test_a_run_that_may_end_as_log_sends_no_start(options: list[str], host: Host) -> None:
    check = host.stub.add_check(grace=0)
    host.run(*options, check.uuid, "--", "sh", "-c", "exit 1")
    assert (kinds(check), check.status) == ([("log", None)], "new")


def test_fail_after_counts_failures_in_a_row(host: Host, check: Check) -> None:
    for script in ("false", "false", "true", "false", "false", "false", "false"):
        host.run("--fail-after", "3", check.uuid, "--", script)
    expected = ["log", "log", "success", "log", "log", "fail", "fail"]
    assert [ping.kind for ping in check.pings] == expected
    assert "(failure 2 of 3 before an alert)" in check.pings[1].body.decode()
    assert "(failure 3 in a row)" in check.pings[5].body.decode()


def test_fail_after_without_a_journal_holds_nothing_back(host: Host, check: Check) -> None:
    (host.path / "state").write_text("a file where the directory should be")
    done = host.run("--fail-after", "3", check.uuid, "--", "false")
    assert (done.returncode, kinds(check)) == (1, [("fail", 1)])
    assert done.stderr.decode().startswith("hcrun: not recorded: ")


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ("++", "success success"),  # a check that is up, or new
        ("-++-++", "fail log success fail log success"),
        ("-+-++", "fail log fail log success"),  # two in a row
        ("-" + 3 * "+", "fail log success success"),
        ("-+?+", "fail log log success"),  # --on-exit 3=log is neither
    ],
)
def test_recover_after(runs: str, expected: str, host: Host, check: Check) -> None:
    scripts = {"+": "exit 0", "-": "exit 1", "?": "exit 3"}
    for run in runs:
        options = ("--recover-after", "2", "--on-exit", "3=log", check.uuid)
        host.run(*options, "--", "sh", "-c", scripts[run])
    assert [ping.kind for ping in check.pings] == expected.split()


def test_recover_after_and_fail_after_dampen_a_check_that_flaps(host: Host, check: Check) -> None:
    for script in ("false", "true", "false", "false", "true", "false", "true", "true", "true"):
        host.run("--fail-after", "2", "--recover-after", "2", check.uuid, "--", script)
    expected = ["log", "success", "log", "fail", "log", "log", "log", "success", "success"]
    assert [ping.kind for ping in check.pings] == expected
    assert "OK, HELD BACK: exit status 0 after " in check.pings[4].body.decode()
    assert "(success 1 of 2 before the check is up)" in check.pings[6].body.decode()
    assert last_run(host.path).result == "success"


def test_no_success_is_held_back_if_the_failure_was_not_delivered(host: Host, check: Check) -> None:
    """The server has the check as up: without a success it would be down after its grace."""
    host.stub.go_down()
    host.run("--recover-after", "2", "--deadline", "1s", check.uuid, "--", "false")
    host.stub.come_back()
    host.run("--recover-after", "2", check.uuid, "--", "true")
    assert [ping.kind for ping in check.pings] == ["success", "log"]


def test_slug_and_create(host: Host) -> None:
    for _ in range(2):
        key = host.stub.ping_key
        done = host.run("--create", "New-Job", "--", "true", HEALTHCHECKS_PING_KEY=key)
        assert done.returncode == 0
    assert kinds(host.stub.by_slug("new-job")) == [("start", None), ("success", None)] * 2


# Answers


@pytest.mark.parametrize(
    ("check", "why"),
    [
        ("0d2f4a7e-0000-4000-8000-000000000000", NO_UUID),
        ("absent", NO_SLUG),
        ("twice", "several checks have the slug twice; change the slug of all but one"),
        ("bad", "the server refused the ping: 400 invalid url format"),
    ],
)
def test_rejections_are_explained_and_not_repeated(check: str, why: str, host: Host) -> None:
    for slug in ("twice", "twice", "bad"):
        host.stub.add_check(slug=slug)
    host.stub.fault = Fault(answers(400, "invalid url format"), only="/bad")
    key = host.stub.ping_key
    done = host.run(check, "--", "sh", "-c", "exit 7", HEALTHCHECKS_PING_KEY=key)
    assert (done.returncode, done.stderr.decode()) == (7, f"hcrun: not pinged: {why}\n")
    assert len(host.stub.requests) == 2  # start and end, each tried once
    assert host.delivery == "refused"


@pytest.mark.parametrize(
    ("answer", "status"),
    [(answers(429, "rate limit exceeded"), 429), (answers(200, "OK (rate limited)"), 200)],
)
def test_pinged_too_often(
    answer: Callable[[Exchange], None], status: int, host: Host, check: Check
) -> None:
    """It is not trouble of the server: other checks are pinged, and the result is kept."""
    host.stub.fault = Fault(answer)
    done = host.run("--no-start", check.uuid, "--", "true", **QUICK)
    label = str(check.uuid)[:8]
    why = (
        f"pinged too often ({status}); run {label} less often, add --no-start, or raise the limit"
        " of the server"
    )
    assert done.stderr.decode() == f"hcrun: result not delivered: {why}; {LATER}\n"
    assert host.delivery == "pending"
    other = host.stub.add_check()
    host.run("--no-start", other.uuid, "--", "true", **QUICK)
    host.stub.fault = Fault(answer, only=str(check.uuid))
    flushed = host.flush()
    assert (flushed.returncode, kinds(other), kinds(check)) == (1, [("success", None)], [])
    assert flushed.stderr.splitlines()[0].endswith(f", success: {why}")


def test_create_that_the_server_refuses(host: Host) -> None:
    done = host.run("--create", "new", "--", "true", HEALTHCHECKS_PING_KEY="x" * 22)
    assert done.stderr.decode() == (
        "hcrun: not pinged: the server did not create new; correct HEALTHCHECKS_PING_KEY, or"
        " delete checks if the account has too many\n"
    )
    assert host.delivery == "refused"


@pytest.mark.parametrize("number", ["\xb2", "9" * 30, "9" * 5000, "-1", ""])
def test_bad_numbers_in_an_answer(number: str, host: Host, check: Check) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {number}\r\nPing-Body-Limit: {number}\r\n\r\nOK"
    host.stub.fault = Fault(sends(head.encode("latin-1")))
    done = host.run("--no-start", check.uuid, "--", "true", **QUICK)
    assert (done.returncode, done.stderr, host.delivery) == (0, b"", "sent")


@pytest.mark.parametrize(
    "body",
    [
        "9\r\nnot found\r\n0\r\n\r\n",
        "3;a=b\r\nnot\r\n6\r\n found\r\n",
        "9\r\nnot found\r\nnonsense\r\n",
    ],
)
def test_a_rejection_that_a_proxy_has_cut_into_chunks(body: str, host: Host, check: Check) -> None:
    head = "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: Chunked\r\n\r\n"
    host.stub.fault = Fault(sends((head + body).encode()))
    done = host.run("--no-start", check.uuid, "--", "true")
    assert done.stderr.startswith(b"hcrun: not pinged: no check has this UUID; ")
    assert host.delivery == "refused"


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(answers(status)) for status in (408, 429, 500, 502, 503, 504)),
        Fault(hangs_up),
        Fault(hangs_up, on_accept=True),
        Fault(resets()),
        Fault(cuts()),
        Fault(sends(GARBAGE)),
        Fault(sends(HUGE_HEADER)),
        Fault(LOG_IN),
        Fault(answers(503, retry_after="\xb2")),
        Fault(sends("HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\nOK".encode("latin-1"))),
    ],
)
def test_failures_of_the_server_are_retried(fault: Fault, host: Host, check: Check) -> None:
    fault.times = 2
    host.stub.fault = fault
    done = host.run("--no-start", check.uuid, "--", "true", **QUICK)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (kinds(check), host.stub.connections) == ([("success", None)], 3)


@pytest.mark.parametrize(
    ("answer", "tries", "why"),
    [
        (answers(503), 3, "the server is unavailable: 503"),
        (LOG_IN, 3, NO_SERVER),
        (sends(GARBAGE), 3, "cannot reach the server: SERVER: the answer is not HTTP"),
        (hangs_up, 3, "cannot reach the server: SERVER: closed the connection without an answer"),
        # No controls of a server reach the terminal.
        (CONTROLS, 1, "the server refused the ping: 400 no ]0;title 31m"),
    ],
)
def test_an_undelivered_result_is_kept(
    answer: Callable[[Exchange], None], tries: int, why: str, host: Host, check: Check
) -> None:
    host.stub.fault = Fault(answer)
    done = host.run("--no-start", check.uuid, "false", **QUICK)
    why = why.replace("SERVER", host.stub.ping_url.split("/")[2])
    errors = f"hcrun: result not delivered: {why}; {LATER}\n"
    assert (done.returncode, done.stderr.decode()) == (1, errors)
    assert (host.stub.connections, host.delivery) == (tries, "pending")


# Tries and time


@pytest.mark.parametrize(
    ("fault", "env", "pauses"),
    [
        (Fault(answers(429, retry_after=1), times=1), QUICK, [1.0]),
        (Fault(answers(503)), {"HEALTHCHECKS_RETRY_COUNT": "1"}, []),
        (Fault(answers(503)), {"HEALTHCHECKS_RETRY_DELAY": "200ms"}, [0.1, 0.2]),
    ],
    ids=["Retry-After", "one try", "growing delays"],
)
def test_tries(
    fault: Fault, env: dict[str, str], pauses: list[float], host: Host, check: Check
) -> None:
    host.stub.fault = fault
    host.run("--no-start", check.uuid, "--", "true", **env)
    times = [request.received for request in host.stub.requests]
    assert len(times) == len(pauses) + 1
    for before, after, pause in zip(times[:-1], times[1:], pauses, strict=True):
        assert pause <= after - before < pause + 1.0


def test_deadline_bounds_the_wait(host: Host, check: Check) -> None:
    host.stub.fault = Fault(hangs)
    began = time.monotonic()
    done = host.run("--deadline", "1s", check.uuid, "--", "true")
    assert 1.0 <= time.monotonic() - began < 8
    assert (done.returncode, host.delivery) == (0, "pending")
    assert done.stderr.decode().startswith("hcrun: result not delivered: ")


def test_start_is_answered_before_the_end_is_sent(host: Host, check: Check) -> None:
    host.stub.fault = Fault(delays(0.7), only="/start")
    host.run(check.uuid, "--", "true")
    assert kinds(check) == [("start", None), ("success", None)]
    assert not check.started


def test_a_start_that_the_server_put_off_is_not_sent_after_the_end(
    host: Host, check: Check
) -> None:
    host.stub.fault = Fault(answers(503, retry_after=8), only="/start")
    began = time.monotonic()
    host.run(check.uuid, "--", "sleep", "0.5")
    assert time.monotonic() - began < 8  # nor is it waited for
    assert (len(host.stub.requests), kinds(check)) == (2, [("success", None)])


def test_skipped_run_goes_to_the_log(host: Host, check: Check) -> None:
    options = ("--overlap", "skip", check.uuid, "--")
    with host.start(*options, "sleep", "60") as first:
        host.stub.wait_for(check, 1)
        second = host.run(*options, "true")
        assert second.returncode == 75
        first.terminate()
    body = check.pings[1].body.decode()
    assert [ping.kind for ping in check.pings] == ["start", "log", "fail"]
    assert check.pings[1].rid is None
    assert f"pid {first.pid}, since " in body
    why = second.stderr.decode().removeprefix("hcrun: skipped: ").strip()
    assert body.startswith(f"SKIPPED: {why}\n")


# Without pings


def test_disabled_pings_nobody_and_says_nothing(host: Host, check: Check) -> None:
    done = host.run(check.uuid, "--", "true", HEALTHCHECKS_ENABLED="false")
    assert (done.returncode, done.stderr, host.stub.connections) == (0, b"", 0)
    assert last_run(host.path).result == "success"


# Bodies


def test_body_limit_is_learned(host: Host, check: Check) -> None:
    host.stub.body_limit = 400
    for _ in range(2):
        host.run("--no-start", check.uuid, "seq", "1", "10000")
    first, second = (request.body for request in host.stub.requests)
    assert 9_000 < len(first) <= 10_000
    assert len(second) <= 400
    assert "OK: exit status 0" in second.decode().splitlines()[0]
