"""--overlap: one run of a check at a time."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import (
    HCRUN,
    environment,
    last_run,
    run_hcrun,
    runs,
    start_hcrun,
    wait_until,
)

NOW = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \([^)]*\)"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run of `job` that has the lock, until it reads a line."""
    with start_hcrun(
        tmp_path,
        *("--overlap", "skip", "job", "--", "sh", "-c", "echo on; read -r x; echo end"),
        stdin=subprocess.PIPE,
    ) as hcrun:
        assert hcrun.stdout
        assert hcrun.stdout.readline() == b"on\n"
        yield hcrun
        if hcrun.stdin and not hcrun.stdin.closed:
            hcrun.communicate(b"\n")


def test_skip(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    done = run_hcrun(tmp_path, "--overlap", "skip", "job", "--", "echo", "not reached")
    assert (done.returncode, done.stdout) == (75, b"")
    why = f"pid {holder.pid} is still going, {NOW}"
    assert re.fullmatch(f"hcrun: skipped: {why}\n", done.stderr.decode())
    run = last_run(tmp_path)
    assert run.result == "skip"
    assert re.fullmatch(why, run.why)


def test_after_the_end_it_runs_again(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    assert holder.communicate(b"\n")[0] == b"end\n"
    done = run_hcrun(tmp_path, "--overlap", "skip", "job", "--", "echo", "reached")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"reached\n", b"")


@pytest.mark.usefixtures("holder")
def test_other_checks_and_those_that_allow_it_are_not_held_up(tmp_path: Path) -> None:
    for words in (("--overlap", "skip", "other"), ("--overlap", "allow", "job"), ("job",)):
        done = run_hcrun(tmp_path, *words, "--", "echo", "reached")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"reached\n", b"")


def test_wait(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    log = tmp_path / "log"
    script = f"echo second >>{log}"
    with start_hcrun(tmp_path, "--overlap", "wait", "job", "--", "sh", "-c", script) as waiter:
        wait_until(lambda: waits_for_lock(waiter.pid), "the other one waits")
        log.write_text("first\n")
        holder.communicate(b"\n")
        assert waiter.communicate() == (b"", b"")
        assert waiter.returncode == 0
    assert log.read_text() == "first\nsecond\n"
    assert [run.result for run in runs(tmp_path)] == ["success", "success"]


def waits_for_lock(pid: int) -> bool:
    return f"-> FLOCK  ADVISORY  WRITE {pid} " in Path("/proc/locks").read_text()


def test_the_lock_dies_with_its_holder(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    """Although the command lives on."""
    holder.kill()
    holder.wait()
    done = run_hcrun(tmp_path, "--overlap", "skip", "job", "--", "echo", "reached")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"reached\n", b"")


def test_what_the_command_leaves_behind_has_no_lock(tmp_path: Path) -> None:
    script = "sleep 60 >/dev/null 2>&1 & echo $!"
    first = run_hcrun(tmp_path, "--overlap", "skip", "job", "--", "sh", "-c", script)
    done = run_hcrun(tmp_path, "--overlap", "skip", "job", "--", "echo", "reached")
    os.kill(int(first.stdout), 15)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"reached\n", b"")


def test_without_a_place_for_locks_it_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = {"STATE_DIRECTORY": str(tmp_path / "file")}
    done = run_hcrun(tmp_path, "--overlap", "skip", "job", "--", "echo", "reached", env=env)
    assert (done.returncode, done.stdout) == (0, b"reached\n")
    first = done.stderr.decode().splitlines()[0]
    assert first.startswith(f"hcrun: --overlap skip has no effect: {tmp_path}/file/")
    assert first.endswith(".lock: no overlap lock: File exists")


def test_on_a_full_disk_the_lock_holds_and_the_command_runs(tmp_path: Path) -> None:
    inner = [HCRUN, "--overlap", "skip", "job", "--", "echo", "not reached"]
    done = subprocess.run(
        # A limit on the size of files, which is met as a full disk is.
        ["prlimit", "--fsize=0", HCRUN, "--overlap", "skip", "job", "--", *inner],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (75, "")
    first, *others = done.stderr.splitlines()
    assert first == "hcrun: skipped: another run is still going"
    assert all(line.startswith("hcrun: not recorded: ") for line in others)
