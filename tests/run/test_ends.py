"""How the command ends is how hcrun ends, and signals on the way to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import last_run, lives, run_hcrun, start_hcrun, wait_until

# Says which of the signals that hcrun passes on came, and ends at a line of input.
LISTENER = """
for name in TERM HUP INT QUIT USR1 USR2; do trap "echo $name" $name; done
echo on
until read -r line; do :; done
exit 7
"""


@pytest.mark.parametrize("status", [0, 1, 3, 124, 125, 126, 127, 255])
def test_exit_status_is_passed_on(tmp_path: Path, status: int) -> None:
    done = run_hcrun(tmp_path, "job", "--", "sh", "-c", f"exit {status}")
    assert (done.returncode, done.stdout, done.stderr) == (status, b"", b"")
    run = last_run(tmp_path)
    assert run.status == status
    assert run.result == ("fail" if status else "success")
    assert run.why.startswith(f"exit status {status} after ")


@pytest.mark.parametrize("number", [1, 2, 6, 9, 11, 13, 15, 34])
def test_death_by_signal(tmp_path: Path, number: int) -> None:
    done = run_hcrun(tmp_path, "job", "--", "sh", "-c", f"ulimit -c 0; kill -{number} $$")
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, b"", b"")
    name = signal.Signals(number).name
    assert last_run(tmp_path).why.startswith(f"killed by {name} after ")


def directory(tmp_path: Path) -> str:
    path = tmp_path / "directory"
    path.mkdir()
    return str(path)


def plain_file(tmp_path: Path) -> str:
    path = tmp_path / "file"
    path.write_text("#!/bin/sh\n")
    return str(path)


def without_interpreter(tmp_path: Path) -> str:
    path = tmp_path / "script"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    return str(path)


def test_not_found(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check(slug="job")
    env = {"HC_CHECK_JOB": str(check.uuid)}
    done = run_hcrun(tmp_path, "job", "--", "no-such-command", stub=stub, env=env)
    trouble = "no-such-command: command not found in PATH"
    assert (done.returncode, done.stdout) == (127, b"")
    assert done.stderr.decode() == f"hcrun: {trouble}\n"
    start, end = stub.wait_for(check, 2)
    assert (start.kind, end.kind, end.exitstatus) == ("start", "fail", 127)
    assert trouble in end.body.decode()


@pytest.mark.parametrize(
    ("command", "status", "trouble"),
    [
        (lambda _: "/no/such/file", 127, "{0}: no such file"),
        (lambda _: "", 127, "'' is not a command"),
        (directory, 126, "{0}: is a directory"),
        (plain_file, 126, "{0}: not executable: Permission denied"),
        (without_interpreter, 127, "{0}: its interpreter (#! line) does not exist"),
    ],
)
def test_cannot_be_started(tmp_path: Path, command: object, status: int, trouble: str) -> None:
    assert callable(command)
    name = command(tmp_path)
    done = run_hcrun(tmp_path, "job", "--", name)
    text = trouble.format(name)
    assert (done.returncode, done.stdout) == (status, b"")
    assert done.stderr.decode() == f"hcrun: {text}\n"
    assert last_run(tmp_path).why.startswith(text)


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    done = run_hcrun(tmp_path, "job", "--", b"\xff")
    assert done.returncode == 127
    assert done.stderr == b"hcrun: \xff: command not found in PATH\n"


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2"])
def test_signals_are_passed_on(tmp_path: Path, name: str) -> None:
    with start_hcrun(tmp_path, "job", "--", "bash", "-c", LISTENER, stdin=subprocess.PIPE) as hcrun:
        assert hcrun.stdout
        assert hcrun.stdout.readline() == b"on\n"
        hcrun.send_signal(signal.Signals[f"SIG{name}"])
        assert hcrun.stdout.readline() == f"{name}\n".encode()
        # hcrun waits for the command, which is not ended by it.
        assert hcrun.communicate(b"\n")[0] == b""
        assert hcrun.returncode == 7
    assert last_run(tmp_path).why.startswith("exit status 7 after ")


def test_a_signal_ends_the_whole_group_and_the_end_is_told(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check(slug="job")
    env = {"HC_CHECK_JOB": str(check.uuid)}
    script = "sleep 60 & echo $!; sleep 60; echo not reached"
    with start_hcrun(tmp_path, "job", "--", "sh", "-c", script, stub=stub, env=env) as hcrun:
        assert hcrun.stdout
        child = int(hcrun.stdout.readline())
        hcrun.terminate()
        assert hcrun.communicate() == (b"", b"")
        assert hcrun.returncode == 143
    wait_until(lambda: not lives(child), "the command's child has ended")
    start, end = stub.wait_for(check, 2)
    assert (start.kind, end.kind, end.exitstatus) == ("start", "fail", 143)
    assert end.body.decode().startswith("killed by SIGTERM after ")


def test_a_signal_that_comes_before_the_command(tmp_path: Path) -> None:
    """hcrun waits for the lock, and has nothing to pass the signal on to: it just ends."""
    options = ("--overlap", "wait")
    holder_started = tmp_path / "started"
    script = f"touch {holder_started}; read x"
    with start_hcrun(
        tmp_path, *options, "job", "--", "sh", "-c", script, stdin=subprocess.PIPE
    ) as holder:
        wait_until(holder_started.exists, "the lock is held")
        for number in (signal.SIGTERM, signal.SIGINT):
            with start_hcrun(tmp_path, *options, "job", "--", "echo", "no") as waiter:
                wait_until(lambda: waits_for_lock(waiter.pid), "the other one waits")
                waiter.send_signal(number)
                assert waiter.communicate() == (b"", b"")
                assert waiter.returncode == -number
        holder.communicate(b"\n")


def waits_for_lock(pid: int) -> bool:
    return f"-> FLOCK  ADVISORY  WRITE {pid} " in Path("/proc/locks").read_text()


def test_a_signal_during_the_ping(tmp_path: Path) -> None:
    """The command has ended: a signal now asks hcrun to stop waiting for the server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/00000000-0000-4000-8000-000000000000"
        env = {"HEALTHCHECKS_ENABLED": "true"}
        with start_hcrun(tmp_path, "--no-start", url, "--", "true", env=env) as hcrun:
            server.settimeout(20)
            connection, _ = server.accept()
            with connection:
                hcrun.terminate()
                assert hcrun.wait(5) == 0
    assert last_run(tmp_path).result == "success"


def test_environment_of_the_command_names_the_run(tmp_path: Path) -> None:
    done = run_hcrun(tmp_path, "job", "--", "sh", "-c", "echo $HCRUN_CHECK $HCRUN_RUN_ID")
    assert done.stdout.decode() == f"job {last_run(tmp_path).run_id}\n"


def test_hcrun_that_is_killed_leaves_the_command_alone(tmp_path: Path) -> None:
    script = "echo $$; exec sleep 60 >/dev/null 2>&1"
    with start_hcrun(tmp_path, "job", "--", "sh", "-c", script) as hcrun:
        assert hcrun.stdout
        pid = int(hcrun.stdout.readline())
        hcrun.kill()
        hcrun.wait()
        assert lives(pid)
        os.kill(pid, signal.SIGTERM)


def test_hcrun_that_is_not_there_is_told_from_a_command_that_failed(tmp_path: Path) -> None:
    """Half an upgrade: systemd's back-stop knows 125, and a 1 would be the command's."""
    launcher = Path(__file__).parents[2] / "hcrun" / "bin" / "hcrun"
    done = subprocess.run(
        [sys.executable, "-I", "-S", launcher, "job", "--", "touch", "it-ran"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == (
        "hcrun: the command was not run: No module named 'hcrun'; install hcrun again\n"
    )
    assert list(tmp_path.iterdir()) == []
