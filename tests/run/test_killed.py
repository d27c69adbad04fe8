"""hcrun is killed: its command ends with it, and the next run reports what is left."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.stub.healthchecks import Fault, HealthchecksStub, hangs
from tests.support.command import (
    HCRUN,
    lives,
    name_of,
    run_hcrun,
    run_program,
    runs,
    start_hcrun,
    wait_until,
)

# The command and a child, which ignore what can be ignored.
STUBBORN = "trap '' TERM HUP INT; sleep 60 & echo $$ $!; sleep 60; echo not reached"


def pids(hcrun: subprocess.Popen[bytes]) -> list[int]:
    """What the command printed first."""
    assert hcrun.stdout
    return [int(word) for word in hcrun.stdout.readline().split()]


@pytest.mark.parametrize("options", ["", "--tty", "--quiet", "--overlap skip", "--retries 1"])
def test_the_kernel_kills_the_whole_group(tmp_path: Path, options: str) -> None:
    script = STUBBORN
    told = tmp_path / "pids"
    if "retries" in options:  # the second attempt
        script = f"test -e {tmp_path}/tried || {{ >{tmp_path}/tried; exit 1; }}; {STUBBORN}"
    script = script.replace("echo $$ $!", f"echo $$ $! >{told}.new; mv {told}.new {told}")
    with start_hcrun(tmp_path, *options.split(), "job", "--", "sh", "-c", script) as hcrun:
        wait_until(told.exists, "the command runs")
        group = [int(pid) for pid in told.read_text().split()]
        wait_until(lambda: runs(tmp_path), "hcrun has tied the command to itself")
        assert all(lives(pid) for pid in group)
        hcrun.kill()
        assert b"not reached" not in hcrun.communicate()[0]
    wait_until(lambda: not any(lives(pid) for pid in group), "the command and its child have ended")


def test_timeout_kills_what_it_kills_without_hcrun(tmp_path: Path) -> None:
    """coreutils' timeout sends SIGKILL to its child and to its process group."""
    told = tmp_path / "pids"
    script = STUBBORN.replace("echo $$ $!", f"echo $$ $! >{told}")
    words = ("timeout", "-k", "0.2", "1", HCRUN, "job", "--", "sh", "-c", script)
    assert run_program(tmp_path, *words).returncode == -signal.SIGKILL
    group = [int(pid) for pid in told.read_text().split()]
    assert len(group) == 2
    wait_until(lambda: not any(lives(pid) for pid in group), "the command and its child have ended")


def test_setsid_lets_the_command_live(tmp_path: Path) -> None:
    """It is named in the report of the lost run."""
    script = "echo $$; exec sleep 60 >/dev/null 2>&1"
    with start_hcrun(tmp_path, "job", "--", "setsid", "-w", "sh", "-c", script) as hcrun:
        (command,) = pids(hcrun)
        wait_until(lambda: name_of(command) == "sleep", "it runs")
        wait_until(lambda: runs(tmp_path), "it is recorded")
        hcrun.kill()
    assert run_hcrun(tmp_path, "other", "--", "true").returncode == 0
    lost = runs(tmp_path)[-1]
    assert (lost.check, lost.result) == ("job", "lost")
    assert re.fullmatch(
        rf"hcrun \(pid {hcrun.pid}\) vanished before the command's end: .* UTC; "
        rf"still running: pid {command} \(sleep\)",
        lost.why,
    )
    assert lives(command)
    os.kill(command, signal.SIGKILL)


def test_processes_left_by_a_command_that_has_ended_live(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    """hcrun is killed while it waits for the server."""
    stub.fault = Fault(hangs)
    script = "sleep 60 >/dev/null 2>&1 & echo $!"
    words = ("--no-start", stub.add_check().uuid, "--", "sh", "-c", script)
    with start_hcrun(tmp_path, *words, stub=stub) as hcrun:
        (left,) = pids(hcrun)
        stub.wait_until(lambda: stub.connections > 0, 20)
        hcrun.kill()
        hcrun.wait()
    assert lives(left)
    os.kill(left, signal.SIGKILL)
