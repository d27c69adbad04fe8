"""When hcrun cannot do its own work at all, it becomes the command."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.stub.healthchecks import Fault, HealthchecksStub, hangs
from tests.support.command import HCRUN, environment, last_run, run_hcrun


def run_with_descriptors(
    tmp_path: Path, maximum: int, *command: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["prlimit", f"--nofile={maximum}", HCRUN, "job", "--", *command],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("maximum", [6, 8, 10])
def test_out_of_descriptors(maximum: int, tmp_path: Path) -> None:
    done = run_with_descriptors(tmp_path, maximum, "sh", "-c", "echo hi; exit 3")
    assert (done.returncode, done.stdout) == (3, "hi\n")
    assert done.stderr.startswith(
        "hcrun: the command runs, but is neither watched nor recorded: [Errno 24] Too many open"
    )
    assert len(done.stderr.splitlines()) == 1


def test_out_of_descriptors_and_not_found(tmp_path: Path) -> None:
    done = run_with_descriptors(tmp_path, 8, "no-such-command")
    assert done.returncode == 127
    assert done.stderr.splitlines()[1] == "hcrun: no-such-command: cannot be started"


def test_out_of_descriptors_for_a_second_attempt(tmp_path: Path) -> None:
    """By then the journal and a ping have theirs, or not yet: whatever there is will do."""
    for maximum in (10, 11, 12):
        done = subprocess.run(
            [
                "prlimit",
                f"--nofile={maximum}",
                HCRUN,
                "--retries",
                "2",
                "job",
                "--",
                "sh",
                "-c",
                "exit 3",
            ],
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["resource", "select", "fcntl", "binascii", "re"])
def test_modules_of_the_application_are_not_taken_for_pythons(tmp_path: Path, module: str) -> None:
    """PYTHONPATH=/srv/app stands in many a crontab."""
    (tmp_path / "app").mkdir()
    (tmp_path / f"app/{module}.py").write_text("raise SystemExit('not meant for hcrun')\n")
    env = {"PYTHONPATH": str(tmp_path / "app")}
    command = ("sh", "-c", 'echo "$PYTHONPATH"; exit 3')
    done = run_hcrun(tmp_path, "--redact", "xyzzy", "job", "--", *command, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path}/app\n".encode(), b"")
    assert last_run(tmp_path).why.startswith("exit status 3")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take /dev away")
@pytest.mark.parametrize("closed", ["", "<&-", "<&- >&-"])
def test_without_dev_null(tmp_path: Path, closed: str) -> None:
    """As in a small chroot."""
    script = f"mount -t tmpfs none /dev; {HCRUN} job -- sh -c 'echo hi; exit 3' {closed}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "" if ">&-" in closed else "hi\n")
    assert "Traceback" not in done.stderr
    assert last_run(tmp_path).excerpt.head == "hi\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("maximum", "terminal"), [(1, "--no-tty"), (2, "--no-tty"), (1, "--tty"), (2, "--tty")]
)
def test_out_of_processes(
    maximum: int, terminal: str, tmp_path: Path, stub: HealthchecksStub
) -> None:
    """A thread counts as one: what the server is told waits for the command's end, not it for that.

    With none left at all hcrun becomes the command. (With --tty a second one stands between.)
    """
    check = stub.add_check()
    stub.fault = Fault(hangs, only="/start")
    ability = "+dac_override,+dac_read_search"  # whoever it is, it finds this Python and tmp_path
    user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    script = "echo hi; exec sleep 1"
    began = time.monotonic()
    with subprocess.Popen(
        [*user, "--inh-caps", ability, "--ambient-caps", ability, "prlimit", f"--nproc={maximum}"]
        + [HCRUN, terminal, "--timeout", "500ms", "--deadline", "1s", check.uuid]
        + ["--", "/bin/sh", "-c", script],
        env=environment(tmp_path, stub),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as hcrun:
        assert hcrun.stdout
        assert hcrun.stderr
        assert hcrun.stdout.readline() in (b"hi\n", b"hi\r\n")
        assert time.monotonic() - began < 8
        words = hcrun.stderr.read().decode()
    status, first = (0, "the command runs, but is neither watched nor recorded: ")
    if maximum == 2:
        status, first = (124, "timed out (--timeout 0.5 s)\n")
    assert hcrun.returncode == status
    assert words.startswith(f"hcrun: {first}")
