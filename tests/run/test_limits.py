"""--timeout, --idle-timeout, --min-runtime, --expect, --reject, --on-exit, --retries, --splay."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from hcrun.results import FAIL, HELD, LOG, SUCCESS
from hcrun.text import checksum
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import last_run, lives, run_hcrun, run_script, start_hcrun, wait_until

STUBBORN = "trap '' TERM; echo on; while :; do sleep 0.05; done"
ENDS_WELL = "exec 2>/dev/null; trap 'echo cleaned up; exit 0' TERM; while :; do sleep 0.02; done"


@pytest.mark.parametrize(
    ("options", "script", "output", "message"),
    [
        ("--timeout 0.3s", "echo on; sleep 60", "on\n", "timed out (--timeout 0.3 s)"),
        (
            "--timeout 0.2s --kill-after 0.2s",
            STUBBORN,
            "on\n",
            "timed out (--timeout 0.2 s), killed 0.2 s after SIGTERM",
        ),
        ("--timeout 0.5s", ENDS_WELL, "cleaned up\n", "timed out (--timeout 0.5 s)"),
        ("--timeout 0.2s", "kill -STOP $$", "", "timed out (--timeout 0.2 s)"),
        (
            "--idle-timeout 0.3s",
            "echo on; sleep 60",
            "on\n",
            "no output for 0.3 s (--idle-timeout)",
        ),
    ],
)
def test_limit(
    tmp_path: Path, stub: HealthchecksStub, options: str, script: str, output: str, message: str
) -> None:
    check = stub.add_check(slug="job")
    done = run_script(tmp_path, script, options, stub=stub, env={"HC_CHECK_JOB": str(check.uuid)})
    assert (done.returncode, done.stdout.decode()) == (124, output)
    assert done.stderr.decode() == f"hcrun: {message}\n"
    _, end = stub.wait_for(check, 2)
    assert (end.kind, end.exitstatus) == ("fail", 124)
    assert end.body.decode().startswith(f"FAILED: {message} after 0.")
    assert last_run(tmp_path).result == "fail"


@pytest.mark.parametrize("script", ["sleep 60", f"sh -c '{STUBBORN.replace(chr(39), chr(34))}'"])
def test_a_timeout_ends_the_whole_group(tmp_path: Path, script: str) -> None:
    done = run_script(tmp_path, f"{script} & echo $!; wait", "--timeout 0.2s --kill-after 0.2s")
    assert done.returncode == 124
    pid = int(next(word for word in done.stdout.split() if word.isdigit()))
    wait_until(lambda: not lives(pid), "the child has ended")


def socketpair() -> tuple[int, int]:
    first, second = socket.socketpair()
    return first.detach(), second.detach()


@pytest.mark.parametrize("pair", [os.pipe, socketpair])
def test_a_reader_that_does_not_read_does_not_delay_the_timeout(
    tmp_path: Path, pair: Callable[[], tuple[int, int]]
) -> None:
    read, write = pair()
    words = ("--timeout", "0.3s", "job", "--", "cat", "/dev/zero")
    with start_hcrun(tmp_path, *words, stdout=write) as hcrun:
        os.close(write)
        try:
            assert hcrun.wait(20) == 124
        finally:
            os.close(read)


def test_each_line_restarts_the_idle_timeout(tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5 6; do sleep 0.2; echo $i >&2; done"
    done = run_script(tmp_path, script, "--idle-timeout 1s")
    assert (done.returncode, done.stderr) == (0, b"1\n2\n3\n4\n5\n6\n")
    assert (last_run(tmp_path).duration or 0) > 1.1


def test_a_slow_reader_is_not_an_idle_command(tmp_path: Path) -> None:
    words = ("--idle-timeout", "0.3s", "job", "--", "head", "-c", "2000000", "/dev/zero")
    with start_hcrun(tmp_path, *words) as hcrun:
        assert hcrun.stdout
        time.sleep(0.8)
        assert len(hcrun.stdout.read()) == 2_000_000
        assert hcrun.wait() == 0


@pytest.mark.parametrize(
    ("option", "pattern", "script", "why"),
    [
        ("--expect", "[0-9]+ rows", "echo deleted 12 rows", ""),
        ("--expect", "[0-9]+ rows", "echo deleted 12 rows >&2", ""),
        ("--expect", "^b$", "printf 'a\\nb\\nc\\n'", ""),
        ("--expect", "^end$", "printf 'a\\nend'", ""),
        ("--expect", "red", "printf '\\033[31mr\\033[0med\\n'", ""),
        ("--expect", "ab", "printf a; sleep 0.05; echo b", ""),
        ("--expect", "ab", "printf a; echo b >&2", "printed no line matching --expect 'ab'"),
        ("--expect", "a.b", "printf 'a\\nb\\n'", "printed no line matching --expect 'a.b'"),
        ("--expect", "X", "true", "printed no line matching --expect 'X'"),
        ("--reject", "(?i)error", "echo fine", ""),
        ("--reject", "(?i)error", "echo Error: x", "printed a line matching --reject '(?i)error'"),
        ("--reject", "^err", "echo err >&2", "printed a line matching --reject '^err'"),
        ("--reject", "a\\sb", "printf 'a\\nb\\n'", ""),
        ("--min-runtime", "1h", "true", "shorter than --min-runtime 1 h"),
        ("--min-runtime", "1ms", "sleep 0.01", ""),
    ],
)
def test_conditions_of_success(
    tmp_path: Path, option: str, pattern: str, script: str, why: str
) -> None:
    done = run_hcrun(tmp_path, option, pattern, "job", "--", "sh", "-c", script)
    assert done.returncode == 0
    run = last_run(tmp_path)
    assert run.result == ("fail" if why else "success")
    assert run.why.partition(", ")[2] == why
    assert own_lines(done) == ([f"hcrun: the run failed: {run.why}"] if why else [])


def own_lines(done: CompletedProcess[bytes]) -> list[str]:
    """What hcrun itself says on stderr."""
    return [line for line in done.stderr.decode().splitlines() if line.startswith("hcrun: ")]


@pytest.mark.parametrize(
    ("options", "script", "status", "result", "speaks"),
    [
        ("--on-exit 0=fail", "exit 0", 0, FAIL, True),
        ("--on-exit 0=log", "exit 0", 0, LOG, False),
        ("--on-exit 3=success --reject bad", "echo bad; exit 3", 3, FAIL, True),
        ("--on-exit 3=log --reject bad", "echo bad; exit 3", 3, LOG, False),
        ("--expect X", "exit 3", 3, FAIL, False),  # the status shows it
        ("--fail-after 2 --expect X", "exit 0", 0, HELD, True),
        ("--quiet --expect X", "exit 0", 0, FAIL, True),
        ("--retries 2 --expect X", "exit 0", 0, FAIL, True),
        ("--retries 1 --expect 1", "cat tries; echo 1 >>tries", 0, SUCCESS, False),
        ("--min-runtime 1h", "exit 4", 4, FAIL, False),
        ("--min-runtime 1h --on-exit 4=log", "exit 4", 4, LOG, False),
        ("--min-runtime 1h --on-exit 4=success", "exit 4", 4, FAIL, True),
        # Two short attempts are no long one.
        ("--retries 1 --retry-delay 1s --min-runtime 1s", "exit 0", 0, FAIL, True),
    ],
)
def test_a_failure_that_the_exit_status_hides(
    tmp_path: Path, options: str, script: str, status: int, result: str, speaks: bool
) -> None:
    """It is one line, for any number of attempts."""
    done = run_script(tmp_path, f"cd {tmp_path}; {script}", options)
    run = last_run(tmp_path)
    assert (done.returncode, run.result) == (status, result)
    why = run.why.partition(" (failure 1 of 2")[0]
    assert own_lines(done) == ([f"hcrun: the run failed: {why}"] if speaks else [])


# Each further character doubles the time that this pattern takes; the line would take years.
ENDLESS, LINE = "(a+)+$b", "a" * 60 + "!"


@pytest.mark.parametrize("option", ["--expect", "--reject"])
def test_a_pattern_that_takes_too_long(tmp_path: Path, option: str) -> None:
    """It delays neither the output nor the timeout, and counts as a failure."""
    script = f"echo {LINE}; echo next; exec sleep 60"
    done = run_script(tmp_path, script, f"--timeout 0.5s {option} {ENDLESS}")
    assert (done.returncode, done.stdout) == (124, f"{LINE}\nnext\n".encode())
    run_script(tmp_path, f"echo {LINE}", f"{option} {ENDLESS}")
    run = last_run(tmp_path)
    assert run.result == "fail"
    assert run.why.endswith(f", pattern {ENDLESS!r} takes too long on a printed line")


@pytest.mark.parametrize("offset", [0, 65530, 131066, 200000])
def test_a_match_anywhere_in_a_huge_line(tmp_path: Path, offset: int) -> None:
    script = f"head -c {offset} /dev/zero | tr '\\0' x; printf needle; head -c 200000 /dev/zero"
    run_script(tmp_path, script, "--expect needle")
    assert last_run(tmp_path).result == "success"


def test_retries_until_success(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check(slug="job")
    script = f"cd {tmp_path}; echo x >>tries; wc -l <tries; [ $(wc -l <tries) = 3 ]"
    options, env = "--retries 5 --retry-delay 10ms", {"HC_CHECK_JOB": str(check.uuid)}
    done = run_script(tmp_path, script, options, stub=stub, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n2\n3\n", b"")
    start, end = stub.wait_for(check, 2)
    assert (start.kind, end.kind) == ("start", "success")
    assert last_run(tmp_path).why.endswith(", 3 attempts")


def test_retries_without_success(tmp_path: Path) -> None:
    done = run_script(tmp_path, "echo tried; exit 4", "--retries 2")
    assert (done.returncode, done.stdout) == (4, b"tried\n" * 3)
    lines = last_run(tmp_path).excerpt.head.splitlines()
    assert lines[0::2] == ["tried"] * 3
    for number, line in enumerate(lines[1::2], 1):
        assert line.startswith(f"hcrun: attempt {number}: exit status 4")
        assert line.endswith("; trying again")


def test_each_attempt_has_its_own_output_to_match(tmp_path: Path) -> None:
    script = f"cd {tmp_path}; echo x >>tries; [ $(wc -l <tries) = 2 ] || echo bad"
    run_script(tmp_path, script, "--retries 3 --reject bad")
    assert last_run(tmp_path).result == "success"
    assert (tmp_path / "tries").read_text() == "x\nx\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_during_the_retry_delay(tmp_path: Path, number: int) -> None:
    options = ("--retries", "3", "--retry-delay", "1h")
    with start_hcrun(tmp_path, *options, "job", "--", "sh", "-c", "echo $$; exit 4") as hcrun:
        assert hcrun.stdout
        pid = int(hcrun.stdout.readline())
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the first attempt has ended")
        hcrun.send_signal(number)
        assert hcrun.communicate() == (b"", b"")
        assert hcrun.returncode == 4
    run = last_run(tmp_path)
    assert (run.status, run.result) == (4, "fail")


def test_a_signal_to_an_attempt_ends_the_retries(tmp_path: Path) -> None:
    words = ("--retries", "3", "job", "--", "sh", "-c", "echo on; exec sleep 60")
    with start_hcrun(tmp_path, *words) as hcrun:
        assert hcrun.stdout
        assert hcrun.stdout.readline() == b"on\n"
        hcrun.terminate()
        assert hcrun.communicate() == (b"", b"")
        assert hcrun.returncode == 143


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_splay(tmp_path: Path, name: str) -> None:
    """The delay is fixed for a host and a check."""
    delay = 0.5 * checksum(f"{os.uname().nodename} {name}") / 2**32
    started = time.time()
    done = run_hcrun(tmp_path, "--splay", "0.5s", name, "--", "true")
    assert (done.returncode, done.stderr) == (0, b"")
    assert last_run(tmp_path).started - started >= delay
