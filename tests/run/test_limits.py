"""--timeout, --idle-timeout, --min-runtime, --expect, --reject, --on-exit, --retries, --splay."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import last_run, run_hcrun, start_hcrun, wait_until

STUBBORN = "trap '' TERM; echo on; while :; do sleep 0.05; done"


def run(tmp_path: Path, options: str, script: str) -> subprocess.CompletedProcess[bytes]:
    return run_hcrun(tmp_path, *options.split(), "job", "--", "sh", "-c", script)


def socketpair() -> tuple[int, int]:
    first, second = socket.socketpair()
    return first.detach(), second.detach()


def test_timeout_ends_the_whole_group(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check(slug="job")
    env = {"HC_CHECK_JOB": str(check.uuid)}
    script = "sleep 60 & echo $!; sleep 60; echo not reached"
    done = run_hcrun(
        tmp_path, "--timeout", "0.3s", "job", "--", "sh", "-c", script, stub=stub, env=env
    )
    assert done.returncode == 124
    assert done.stderr == b"hcrun: timed out (--timeout 0.3 s)\n"
    assert not Path(f"/proc/{int(done.stdout)}/exe").exists()
    _, end = stub.wait_for(check, 2)
    assert (end.kind, end.exitstatus) == ("fail", 124)
    assert end.body.startswith(b"timed out (--timeout 0.3 s) after 0.3")


def test_kill_after(tmp_path: Path) -> None:
    done = run(tmp_path, "--timeout 0.2s --kill-after 0.2s", STUBBORN)
    text = "timed out (--timeout 0.2 s), killed 0.2 s after SIGTERM"
    assert (done.returncode, done.stdout) == (124, b"on\n")
    assert done.stderr.decode() == f"hcrun: {text}\n"
    assert last_run(tmp_path).why.startswith(f"{text} after 0.4")


def test_what_the_command_left_is_killed_as_well(tmp_path: Path) -> None:
    script = f"sh -c '{STUBBORN.replace(chr(39), chr(34))}' & echo $!; wait"
    done = run(tmp_path, "--timeout 0.2s --kill-after 0.2s", script)
    assert done.returncode == 124
    pid = int(next(word for word in done.stdout.split() if word.isdigit()))
    wait_until(lambda: not Path(f"/proc/{pid}/exe").exists(), "the child has ended")


def test_a_timeout_that_is_not_reached(tmp_path: Path) -> None:
    done = run(tmp_path, "--timeout 1h --idle-timeout 1h", "echo hi; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"hi\n", b"")


def test_a_command_that_ends_well_when_told_to_has_timed_out_all_the_same(tmp_path: Path) -> None:
    script = "trap 'echo cleaned up; exit 0' TERM; while :; do sleep 0.02; done"
    done = run(tmp_path, "--timeout 0.2s", script)
    assert (done.returncode, done.stdout) == (124, b"cleaned up\n")
    assert last_run(tmp_path).result == "fail"


def test_a_stopped_command_times_out(tmp_path: Path) -> None:
    done = run(tmp_path, "--timeout 0.2s", "kill -STOP $$")
    assert (done.returncode, done.stderr) == (124, b"hcrun: timed out (--timeout 0.2 s)\n")


@pytest.mark.parametrize("pair", [os.pipe, socketpair])
def test_a_reader_that_does_not_read_does_not_keep_the_timeout(
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


def test_idle_timeout(tmp_path: Path) -> None:
    done = run(tmp_path, "--idle-timeout 0.3s", "echo on; sleep 60")
    assert (done.returncode, done.stdout) == (124, b"on\n")
    assert done.stderr == b"hcrun: no output for 0.3 s (--idle-timeout)\n"


def test_idle_timeout_starts_anew_with_each_line(tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5 6; do sleep 0.2; echo $i >&2; done"
    done = run(tmp_path, "--idle-timeout 1s", script)
    assert (done.returncode, done.stderr) == (0, b"1\n2\n3\n4\n5\n6\n")
    duration = last_run(tmp_path).duration
    assert duration is not None
    assert duration > 1.1


def test_a_slow_reader_is_not_an_idle_command(tmp_path: Path) -> None:
    with start_hcrun(
        tmp_path, "--idle-timeout", "0.3s", "job", "--", "head", "-c", "2000000", "/dev/zero"
    ) as hcrun:
        assert hcrun.stdout
        time.sleep(0.8)
        assert len(hcrun.stdout.read()) == 2_000_000
        assert hcrun.wait() == 0


def test_min_runtime(tmp_path: Path) -> None:
    done = run(tmp_path, "--min-runtime 1h", "true")
    assert (done.returncode, done.stderr) == (0, b"")
    assert last_run(tmp_path).result == "fail"
    assert last_run(tmp_path).why.endswith(", quicker than --min-runtime 1 h")
    run(tmp_path, "--min-runtime 1ms", "sleep 0.01")
    assert last_run(tmp_path).result == "success"


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
    ],
)
def test_expect_and_reject(
    tmp_path: Path, option: str, pattern: str, script: str, why: str
) -> None:
    done = run_hcrun(tmp_path, option, pattern, "job", "--", "sh", "-c", script)
    assert done.returncode == 0
    last = last_run(tmp_path)
    assert last.result == ("fail" if why else "success")
    assert last.why.partition(", ")[2] == why


# A pattern for which each further character doubles the time, and a line that takes years of it.
ENDLESS, LINE = "(a+)+$b", "a" * 60 + "!"


@pytest.mark.parametrize("option", ["--expect", "--reject"])
def test_a_pattern_that_matches_without_end(tmp_path: Path, option: str) -> None:
    """It holds up neither the output nor the time-out, and is not taken for kept."""
    script = f"echo {LINE}; echo next; exec sleep 60"
    done = run_hcrun(
        tmp_path, "--timeout", "0.5s", option, ENDLESS, "job", "--", "sh", "-c", script
    )
    assert (done.returncode, done.stdout) == (124, f"{LINE}\nnext\n".encode())
    run_hcrun(tmp_path, option, ENDLESS, "job", "--", "echo", LINE)
    why = f"printed a line on which {ENDLESS!r} matches without end"
    assert (last_run(tmp_path).result, last_run(tmp_path).why.partition(", ")[2]) == ("fail", why)


def test_what_is_expected_may_stand_anywhere_in_a_huge_line(tmp_path: Path) -> None:
    for offset in (0, 65530, 131066, 200000):
        script = f"head -c {offset} /dev/zero | tr '\\0' x; printf needle; head -c 200000 /dev/zero"
        run(tmp_path, "--expect needle", script)
        assert last_run(tmp_path).result == "success"


@pytest.mark.parametrize(
    ("options", "status", "result"),
    [
        ("--on-exit 1=log", 1, "log"),
        ("--on-exit 1=log", 2, "fail"),
        ("--on-exit 3-5,9=success", 4, "success"),
        ("--on-exit 3-5,9=success", 9, "success"),
        ("--on-exit 3-5,9=success", 6, "fail"),
        ("--on-exit 1-255=success --on-exit 7=fail", 7, "fail"),
        ("--on-exit 1-255=success --on-exit 7=fail", 8, "success"),
        ("--on-exit 0=fail", 0, "fail"),
    ],
)
def test_on_exit(tmp_path: Path, options: str, status: int, result: str) -> None:
    assert run(tmp_path, options, f"exit {status}").returncode == status
    assert last_run(tmp_path).result == result


def test_retries_until_it_succeeds(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check(slug="job")
    env = {"HC_CHECK_JOB": str(check.uuid)}
    script = f"cd {tmp_path}; echo x >>tries; wc -l <tries; [ $(wc -l <tries) = 3 ]"
    options = ("--retries", "5", "--retry-delay", "10ms")
    done = run_hcrun(tmp_path, *options, "job", "--", "sh", "-c", script, stub=stub, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n2\n3\n", b"")
    start, end = stub.wait_for(check, 2)
    assert (start.kind, end.kind) == ("start", "success")
    assert ", 3 attempts" in end.body.decode().partition("\n")[0]


def test_retries_that_are_used_up(tmp_path: Path) -> None:
    done = run(tmp_path, "--retries 2", "echo tried; exit 4")
    assert (done.returncode, done.stdout) == (4, b"tried\n" * 3)
    last = last_run(tmp_path)
    assert last.why.endswith(", 3 attempts")
    lines = last.excerpt.head.splitlines()
    assert lines[0::2] == ["tried"] * 3
    for number, line in enumerate(lines[1::2], 1):
        assert line.startswith(f"hcrun: attempt {number}: exit status 4")
        assert line.endswith("; trying again")


def test_retries_look_at_what_was_printed(tmp_path: Path) -> None:
    """Each attempt for itself."""
    script = f"cd {tmp_path}; echo x >>tries; [ $(wc -l <tries) = 2 ] || echo bad"
    run(tmp_path, "--retries 3 --reject bad", script)
    assert last_run(tmp_path).result == "success"
    assert (tmp_path / "tries").read_text() == "x\nx\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_while_it_waits_for_the_next_attempt(tmp_path: Path, number: int) -> None:
    options = ("--retries", "3", "--retry-delay", "1h")
    with start_hcrun(tmp_path, *options, "job", "--", "sh", "-c", "echo $$; exit 4") as hcrun:
        assert hcrun.stdout
        pid = int(hcrun.stdout.readline())
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the first attempt has ended")
        hcrun.send_signal(number)
        assert hcrun.communicate() == (b"", b"")
        assert hcrun.returncode == 4
    assert last_run(tmp_path).why.startswith("exit status 4 after ")
    assert last_run(tmp_path).result == "fail"


def test_a_signal_to_an_attempt_ends_the_retries(tmp_path: Path) -> None:
    with start_hcrun(
        tmp_path, "--retries", "3", "job", "--", "sh", "-c", "echo on; exec sleep 60"
    ) as hcrun:
        assert hcrun.stdout
        assert hcrun.stdout.readline() == b"on\n"
        hcrun.terminate()
        assert hcrun.communicate() == (b"", b"")
        assert hcrun.returncode == 143


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_splay(tmp_path: Path, name: str) -> None:
    """The delay is fixed for a host and a check."""
    delay = 0.5 * crc32(f"{os.uname().nodename} {name}".encode()) / 2**32
    began = time.time()
    done = run_hcrun(tmp_path, "--splay", "0.5s", name, "--", "true")
    assert (done.returncode, done.stderr) == (0, b"")
    assert last_run(tmp_path).started - began >= delay
