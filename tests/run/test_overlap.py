"""--overlap: one run of a check at a time."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import (
    HCRUN,
    last_run,
    name_of,
    run_hcrun,
    run_program,
    run_script,
    runs,
    start_hcrun,
    wait_until,
    waits_for_lock,
)

SKIP = ("--overlap", "skip", "job", "--")


def run_or_skip(tmp_path: Path, *options: str) -> tuple[int, bytes]:
    """Exit status and output of a run that prints `ran`."""
    done = run_hcrun(tmp_path, *(options or SKIP), "echo", "ran")
    return done.returncode, done.stdout


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run of `job` that has the lock until it reads a line."""
    script = "echo on; read -r x; echo end"
    with start_hcrun(tmp_path, *SKIP, "sh", "-c", script, stdin=subprocess.PIPE) as hcrun:
        assert hcrun.stdout
        assert hcrun.stdout.readline() == b"on\n"
        yield hcrun
        if hcrun.stdin and not hcrun.stdin.closed:
            hcrun.communicate(b"\n")


def test_skip(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    done = run_hcrun(tmp_path, *SKIP, "echo", "ran")
    assert (done.returncode, done.stdout) == (75, b"")
    run = last_run(tmp_path)
    assert run.result == "skip"
    assert done.stderr.decode() == f"hcrun: skipped: {run.why}\n"
    why = (
        rf"the previous run is still in progress: pid {holder.pid}, "
        r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \([^)]*\)"
    )
    assert re.fullmatch(why, run.why)


def test_the_end_of_a_run_releases_the_lock(
    tmp_path: Path, holder: subprocess.Popen[bytes]
) -> None:
    assert holder.communicate(b"\n")[0] == b"end\n"
    assert run_or_skip(tmp_path) == (0, b"ran\n")


@pytest.mark.usefixtures("holder")
@pytest.mark.parametrize("options", ["--overlap skip other", "--overlap allow job", "job"])
def test_runs_that_ignore_the_lock(tmp_path: Path, options: str) -> None:
    assert run_or_skip(tmp_path, *options.split(), "--") == (0, b"ran\n")


def test_wait(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    log = tmp_path / "log"
    script = f"echo second >>{log}"
    with start_hcrun(tmp_path, "--overlap", "wait", "job", "--", "sh", "-c", script) as waiter:
        wait_until(lambda: waits_for_lock(waiter.pid), "the other run waits")
        log.write_text("first\n")
        holder.communicate(b"\n")
        assert waiter.communicate() == (b"", b"")
        assert waiter.returncode == 0
    assert log.read_text() == "first\nsecond\n"
    assert [run.result for run in runs(tmp_path)] == ["success", "success"]


def test_the_lock_is_free_once_hcrun_and_its_command_are_killed(
    tmp_path: Path, holder: subprocess.Popen[bytes]
) -> None:
    holder.kill()
    holder.wait()
    assert run_or_skip(tmp_path, "--overlap", "wait", "job", "--") == (0, b"ran\n")


@pytest.mark.parametrize("killed", [True, False], ids=["hcrun is killed", "hcrun ends"])
def test_a_process_that_is_left_keeps_the_lock(tmp_path: Path, killed: bool) -> None:
    """As with flock: its child inherits the lock."""
    end = "sleep 60" if killed else "exit"
    script = f"setsid sleep 60 >/dev/null 2>&1 & echo $!; {end}"
    with start_hcrun(tmp_path, *SKIP, "sh", "-c", script) as first:
        assert first.stdout
        left = int(first.stdout.readline())
        wait_until(lambda: name_of(left) == "sleep", "it runs")
        if killed:
            first.kill()
        first.wait()
    assert run_or_skip(tmp_path) == (75, b"")
    assert re.fullmatch(
        rf"the previous run left processes that are still running: pid {left} \(sleep\), "
        r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \([^)-]*\)",
        last_run(tmp_path).why,
    )
    with start_hcrun(tmp_path, "--overlap", "wait", "job", "--", "echo", "ran") as waiter:
        wait_until(lambda: waits_for_lock(waiter.pid), "the other run waits")
        os.kill(left, signal.SIGTERM)
        assert waiter.communicate() == (b"ran\n", b"")


def test_a_process_that_closes_the_descriptor_has_no_lock(tmp_path: Path) -> None:
    first = run_script(tmp_path, "sleep 60 >/dev/null 2>&1 9>&- & echo $!", "--overlap skip")
    second = run_or_skip(tmp_path)
    os.kill(int(first.stdout), signal.SIGTERM)
    assert second == (0, b"ran\n")


def test_the_lock_takes_no_descriptor_of_the_command(tmp_path: Path) -> None:
    """hcrun was given descriptor 9 for the command."""
    (tmp_path / "given").write_text("given\n")
    script = f'exec 9<{tmp_path}/given; exec "$@"'
    done = run_program(tmp_path, "sh", "-c", script, "sh", HCRUN, *SKIP, "sh", "-c", "cat <&9")
    assert (done.returncode, done.stdout) == (0, "given\n")


def test_without_a_directory_for_locks_the_command_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = {"STATE_DIRECTORY": str(tmp_path / "file")}
    done = run_hcrun(tmp_path, *SKIP, "echo", "ran", env=env)
    assert (done.returncode, done.stdout) == (0, b"ran\n")
    line = done.stderr.decode().splitlines()[0]
    assert line.startswith(f"hcrun: --overlap skip has no effect: {tmp_path}/file/")
    assert ".lock: cannot lock: File exists; set STATE_DIRECTORY " in line


def test_a_full_disk_does_not_break_the_lock(tmp_path: Path) -> None:
    """A limit on the size of files has the same effect as a full disk."""
    words = [HCRUN, *SKIP, HCRUN, *SKIP, "echo", "ran"]
    done = run_program(tmp_path, "prlimit", "--fsize=0", *words)
    assert (done.returncode, done.stdout) == (75, "")
    first, *others = done.stderr.splitlines()
    assert first == "hcrun: skipped: the previous run is still in progress"
    assert all(line.startswith("hcrun: not recorded: ") for line in others)
