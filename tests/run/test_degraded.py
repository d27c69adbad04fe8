"""If hcrun cannot do its own work, it becomes the command."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.stub.healthchecks import Fault, HealthchecksStub, hangs
from tests.support.command import HCRUN, environment, last_run, run_hcrun, run_program

UNMONITORED = "hcrun: the command runs without monitoring: "
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


# Starts a program with so many descriptors: the rest of 32 are open files of a careless parent.
CARELESS = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
for fd in range(3, 32 + 3 - int(sys.argv[1])):
    os.dup2(0, fd)
os.execv(sys.argv[2], sys.argv[2:])
"""


def with_descriptors(tmp_path: Path, maximum: int, *words: str) -> subprocess.CompletedProcess[str]:
    return run_program(tmp_path, sys.executable, "-c", CARELESS, str(maximum), HCRUN, *words)


@pytest.mark.parametrize("maximum", [6, 8, 10])
def test_no_descriptors(maximum: int, tmp_path: Path) -> None:
    done = with_descriptors(tmp_path, maximum, "job", "--", "sh", "-c", "echo hi; exit 3")
    assert (done.returncode, done.stdout) == (3, "hi\n")
    assert done.stderr.startswith(f"{UNMONITORED}[Errno 24] Too many open files")
    assert done.stderr.count("\n") == 1


def test_no_descriptors_and_no_command(tmp_path: Path) -> None:
    done = with_descriptors(tmp_path, 8, "job", "--", "no-such-command")
    assert done.returncode == 127
    assert done.stderr.splitlines()[1] == "hcrun: no-such-command: cannot be started"


@pytest.mark.parametrize("maximum", [10, 11, 12])
def test_no_descriptors_for_a_retry(maximum: int, tmp_path: Path) -> None:
    """The journal and a ping may have taken them after the first attempt."""
    done = with_descriptors(tmp_path, maximum, "--retries", "2", "job", "--", "sh", "-c", "exit 3")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("PYTHONPATH", "{app}"), ("PYTHONHOME", "/nonexistent"), ("PYTHONWARNINGS", "error")]
    + [("PYTHONSAFEPATH", "1"), ("PYTHONSTARTUP", "x"), ("PYTHONUTF8", "x"), ("ENV", "{app}/env")],
)
def test_variables_of_the_application_are_the_commands(
    tmp_path: Path, name: str, value: str
) -> None:
    """Many crontabs set PYTHONPATH=/srv/app, whose modules are not meant for hcrun."""
    app = tmp_path / "app"
    app.mkdir()
    for module in ("sitecustomize", "usercustomize", "resource", "select", "fcntl", "re", "os"):
        (app / f"{module}.py").write_text("raise SystemExit('not meant for hcrun')\n")
    (app / "env").write_text("exit 9\n")
    value = value.format(app=app)
    command = ("sh", "-c", f'echo "${name}"; exit 3')
    done = run_hcrun(tmp_path, "--expect", "[[/a-z]", "job", "--", *command, env={name: value})
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{value}\n".encode(), b"")
    assert last_run(tmp_path).why.startswith("exit status 3")


@only_root
@pytest.mark.parametrize("closed", ["", "<&-", "<&- >&-"])
def test_no_dev_null(tmp_path: Path, closed: str) -> None:
    """A small chroot has no /dev."""
    script = f"mount -t tmpfs none /dev; {HCRUN} job -- sh -c 'echo hi; exit 3' {closed}"
    done = run_program(tmp_path, "unshare", "-m", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (3, "" if ">&-" in closed else "hi\n")
    assert "Traceback" not in done.stderr
    assert last_run(tmp_path).excerpt.head == "hi\n"


@only_root
@pytest.mark.parametrize("terminal", ["--no-tty", "--tty"])
@pytest.mark.parametrize(
    ("maximum", "seconds", "status", "message"),
    [(1, 1, 0, UNMONITORED), (2, 60, 124, "hcrun: timed out (--timeout 0.5 s)\n")],
)
def test_no_processes(
    tmp_path: Path,
    stub: HealthchecksStub,
    terminal: str,
    maximum: int,
    seconds: int,
    status: int,
    message: str,
) -> None:
    """A thread counts as a process: without one, hcrun pings after the command's end.

    With no process left at all, hcrun becomes the command. (--tty needs a second process.)
    """
    check = stub.add_check()
    stub.fault = Fault(hangs, only="/start")
    ability = "+dac_override,+dac_read_search"  # another user must find this Python and tmp_path
    user = 100_000 + os.getpid()  # whose other processes would count, too
    started = time.monotonic()
    with subprocess.Popen(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        + ["--inh-caps", ability, "--ambient-caps", ability, "prlimit", f"--nproc={maximum}"]
        + [HCRUN, terminal, "--timeout", "500ms", "--deadline", "1s", check.uuid]
        + ["--", "/bin/sh", "-c", f"echo hi; exec sleep {seconds}"],
        env=environment(tmp_path, stub),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as hcrun:
        assert hcrun.stdout
        assert hcrun.stderr
        assert hcrun.stdout.readline() in (b"hi\n", b"hi\r\n")
        assert time.monotonic() - started < 20
        text = hcrun.stderr.read().decode()
    assert hcrun.returncode == status
    assert message in text
