"""hcrun ends as the command does, and forwards the signals that come before."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import hcrun
from tests.stub.healthchecks import Fault, HealthchecksStub, hangs
from tests.support.command import (
    last_run,
    lives,
    run_hcrun,
    run_program,
    run_script,
    start_hcrun,
    wait_until,
    waits_for_lock,
)

# Prints the forwarded signals that come, and ends when it reads a line.
# Waits for the signal itself: bash may miss one that comes just before `read` blocks (1 of 1,500).
LISTENER = """
import signal, sys
signals = {getattr(signal, "SIG" + name) for name in "TERM HUP INT QUIT USR1 USR2".split()}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("on", flush=True)
print(signal.sigwait(signals).name.removeprefix("SIG"), flush=True)
sys.stdin.readline()
sys.exit(7)
"""


@pytest.mark.parametrize("status", [0, 1, 3, 124, 125, 126, 127, 255])
def test_exit_status(tmp_path: Path, status: int) -> None:
    done = run_script(tmp_path, f"exit {status}")
    assert (done.returncode, done.stdout, done.stderr) == (status, b"", b"")
    run = last_run(tmp_path)
    assert (run.status, run.result) == (status, "fail" if status else "success")


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "SIGHUP"), (2, "SIGINT"), (6, "SIGABRT"), (9, "SIGKILL"), (11, "SIGSEGV")]
    + [(13, "SIGPIPE"), (15, "SIGTERM"), (34, "SIGRTMIN"), (40, "signal 40")],
)
def test_death_by_signal(tmp_path: Path, number: int, name: str) -> None:
    done = run_script(tmp_path, f"ulimit -c 0; kill -{number} $$")
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, b"", b"")
    assert last_run(tmp_path).why.startswith(f"killed by {name} after ")


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("no-such-command", 127, "no-such-command: command not found in PATH"),
        ("/no/such/file", 127, "/no/such/file: no such file"),
        ("", 127, "'' is not a command"),
        ("./directory", 126, "./directory: is a directory"),
        ("./file", 126, "./file: not executable; run chmod +x ./file"),
        (
            "./script",
            127,
            "./script: its interpreter /no/such/interpreter (#! line) does not exist",
        ),
    ],
)
def test_a_command_that_cannot_be_started(
    tmp_path: Path,
    stub: HealthchecksStub,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("directory").mkdir()
    Path("file").write_text("#!/bin/sh\n")
    Path("script").write_text("#!/no/such/interpreter\n")
    Path("script").chmod(0o755)
    check = stub.add_check()
    done = run_hcrun(tmp_path, check.uuid, "--", name, stub=stub)
    assert (done.returncode, done.stdout) == (status, b"")
    assert done.stderr.decode() == f"hcrun: {message}\n"
    start, end = stub.wait_for(check, 2)
    assert (start.kind, end.kind, end.exitstatus) == ("start", "fail", status)
    assert end.body.decode().startswith(f"FAILED: {message}\n")
    assert last_run(tmp_path).why == message


def test_a_command_name_that_is_not_utf8(tmp_path: Path) -> None:
    done = run_hcrun(tmp_path, "job", "--", b"\xff")
    assert done.returncode == 127
    assert done.stderr.startswith(b"hcrun: \xff: ")


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2"])
def test_signals_are_forwarded(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", LISTENER]
    with start_hcrun(tmp_path, "job", "--", *command, stdin=subprocess.PIPE) as hcrun:
        assert hcrun.stdout
        assert hcrun.stdout.readline() == b"on\n"
        hcrun.send_signal(signal.Signals[f"SIG{name}"])
        assert hcrun.stdout.readline() == f"{name}\n".encode()
        assert hcrun.communicate(b"\n")[0] == b""
        assert hcrun.returncode == 7
    assert last_run(tmp_path).status == 7


def test_a_signal_ends_the_whole_group_and_the_end_is_reported(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    script = "sleep 60 & echo $!; sleep 60; echo not reached"
    with start_hcrun(tmp_path, check.uuid, "--", "sh", "-c", script, stub=stub) as hcrun:
        assert hcrun.stdout
        child = int(hcrun.stdout.readline())
        hcrun.terminate()
        assert hcrun.communicate() == (b"", b"")
        assert hcrun.returncode == 143
    wait_until(lambda: not lives(child), "the command's child has ended")
    start, end = stub.wait_for(check, 2)
    assert (start.kind, end.kind, end.exitstatus) == ("start", "fail", 143)
    assert end.body.decode().startswith("FAILED: killed by SIGTERM after ")


def test_a_signal_before_the_command(tmp_path: Path) -> None:
    """While hcrun waits for the lock there is no command: hcrun itself ends."""
    wait = ("--overlap", "wait", "job", "--")
    started = tmp_path / "started"
    script = f"touch {started}; read x"
    with start_hcrun(tmp_path, *wait, "sh", "-c", script, stdin=subprocess.PIPE) as holder:
        wait_until(started.exists, "the lock is held")
        for number in (signal.SIGTERM, signal.SIGINT):
            with start_hcrun(tmp_path, *wait, "echo", "not reached") as waiter:
                wait_until(lambda: waits_for_lock(waiter.pid), "the other run waits")
                waiter.send_signal(number)
                assert waiter.communicate() == (b"", b"")
                assert waiter.returncode == -number
        holder.communicate(b"\n")


def test_a_signal_during_the_ping(tmp_path: Path, stub: HealthchecksStub) -> None:
    """After the command's end, a signal asks hcrun to stop waiting for the server."""
    stub.fault = Fault(hangs)
    words = ("--no-start", stub.add_check().uuid, "--", "true")
    with start_hcrun(tmp_path, *words, stub=stub) as hcrun:
        stub.wait_until(lambda: stub.connections > 0, 20)
        hcrun.terminate()
        assert hcrun.wait(5) == 0
    assert last_run(tmp_path).result == "success"


def with_logger(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """A logger(1) that writes its arguments to a file."""
    directory, logged = tmp_path / "logger", tmp_path / "logged"
    directory.mkdir()
    (directory / "logger").write_text(f'#!/bin/sh\necho "$@" > {logged}\n')
    (directory / "logger").chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}"}, logged


def test_a_missing_package_is_not_a_failed_command(tmp_path: Path) -> None:
    """Half an upgrade: systemd's back-stop handles 125, while 1 would be the command's status."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix) / 'bin'}\n")
    (tmp_path / "bin/python3").symlink_to(Path(sys.executable).resolve())
    launcher = str(shutil.copy(Path(hcrun.__file__).parent / "bin/hcrun", tmp_path / "bin"))
    env, logged = with_logger(tmp_path)
    done = run_program(tmp_path, launcher, "job", "--", "touch", "it-ran", env=env)
    assert (done.returncode, done.stdout) == (125, "")
    why = "the command was not run: No module named 'hcrun'. Install hcrun again.\n"
    assert done.stderr == f"hcrun: {why}"
    assert logged.read_text() == f"-i -t hcrun -p cron.err {why}"
    assert not (tmp_path / "it-ran").exists()


def test_a_missing_python_is_not_a_failed_command(tmp_path: Path) -> None:
    """The environment was moved, or its Python removed."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").touch()
    launcher = str(shutil.copy(Path(hcrun.__file__).parent / "bin/hcrun", tmp_path / "bin"))
    env, logged = with_logger(tmp_path)
    done = run_program(tmp_path, launcher, "job", "--", "true", env=env)
    assert (done.returncode, done.stdout) == (125, "")
    assert f"no Python at '{tmp_path}/bin/python3'" in done.stderr
    assert f"hcrun: {logged.read_text().removeprefix('-i -t hcrun -p cron.err ')}" == done.stderr
    logged.unlink()
    run_program(tmp_path, launcher, "job", "--", "true", env=env | {"JOURNAL_STREAM": "1:2"})
    assert not logged.exists()  # systemd has what is printed
