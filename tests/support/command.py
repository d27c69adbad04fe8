"""Runs the installed `hcrun` as a user would, in an environment with nothing of this machine's.

done = run_hcrun(tmp_path, "backup", "--", "sh", "-c", "echo hello; exit 3")
assert (done.returncode, done.stdout, done.stderr) == (3, b"hello\\n", b"")
assert last_run(tmp_path).why.startswith("exit status 3")
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from hcrun.journal.journal import Journal
from hcrun.journal.run import Run
from tests.stub.healthchecks import HealthchecksStub
from tests.support import forks

HCRUN = str(Path(sys.executable).parent / "hcrun")
HCCTL = str(Path(sys.executable).parent / "hcctl")
_OF_PYTHON = ("PYTHON", "LANG", "LC_", "LD_")
PATIENCE = 20.0  # seconds that anything may take on a loaded machine


def environment(tmp_path: Path, stub: HealthchecksStub | None = None) -> dict[str, str]:
    """A home and a journal in tmp_path; pings go to the stub, else nowhere."""
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(tmp_path),
        "STATE_DIRECTORY": str(tmp_path / "state"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if stub:
        return environ | {"HEALTHCHECKS_PING_URL": stub.ping_url}
    return environ | {"HEALTHCHECKS_ENABLED": "false"}


def run_hcrun(
    tmp_path: Path,
    *arguments: str | bytes,
    stub: HealthchecksStub | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,  # noqa: A002 - named as in subprocess.run
    timeout: float = 2 * PATIENCE,
) -> subprocess.CompletedProcess[bytes]:
    """`hcrun ARGUMENTS...` with `env` added to its environment; no input means /dev/null."""
    return subprocess.run(
        [HCRUN, *arguments],
        env=environment(tmp_path, stub) | dict(env or {}),
        capture_output=True,
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        timeout=timeout,
        check=False,
    )


def run_script(
    tmp_path: Path,
    script: str,
    options: str = "",
    stub: HealthchecksStub | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """`hcrun OPTIONS job -- sh -c SCRIPT`."""
    words = [*options.split(), "job", "--", "sh", "-c", script]
    return run_hcrun(tmp_path, *words, stub=stub, env=env)


def run_program(
    tmp_path: Path,
    *argv: str,
    stub: HealthchecksStub | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Another program that starts hcrun, in the environment that `run_hcrun` gives it."""
    return subprocess.run(
        argv,
        env=environment(tmp_path, stub) | dict(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


def hcctl_environment(tmp_path: Path, stub: HealthchecksStub | None = None) -> dict[str, str]:
    """The same environment, with pings allowed and the API's key."""
    environ = environment(tmp_path, stub) | {"HEALTHCHECKS_ENABLED": "true"}
    if stub:
        environ |= {"HEALTHCHECKS_API_URL": stub.api_url, "HEALTHCHECKS_API_KEY": stub.api_key}
    return environ


def run_hcctl(
    tmp_path: Path,
    *arguments: str,
    stub: HealthchecksStub | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """`hcctl ARGUMENTS...` with `env` added to its environment.

    Without variables that Python itself reads, in a fork.
    """
    environ = hcctl_environment(tmp_path, stub) | dict(env or {})
    if not any(name.startswith(_OF_PYTHON) for name in env or {}):
        return forks.hcctl([HCCTL, *arguments], environ, 3 * PATIENCE)
    return subprocess.run(
        [HCCTL, *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )


def start_hcrun(
    tmp_path: Path,
    *arguments: str | bytes,
    stub: HealthchecksStub | None = None,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | int | None = subprocess.DEVNULL,
    stdout: IO[bytes] | int | None = subprocess.PIPE,
    stderr: IO[bytes] | int | None = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """The same without waiting for it; use it in a `with` block."""
    return subprocess.Popen(
        [HCRUN, *arguments],
        env=environment(tmp_path, stub) | dict(env or {}),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def runs(tmp_path: Path) -> list[Run]:
    """The recorded runs, newest first."""
    return [run for run, _ in Journal(str(tmp_path / "state")).runs()]


def last_run(tmp_path: Path) -> Run:
    return runs(tmp_path)[0]


def wait_until(true: Callable[[], object], what: str) -> None:
    """Poll until `true()`; fails with `what` after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.01)


def waits_for_lock(pid: int) -> bool:
    """Whether the process waits for a lock that another one holds."""
    return f"-> FLOCK  ADVISORY  WRITE {pid} " in Path("/proc/locks").read_text()


def lives(pid: int) -> bool:
    """Whether it runs: a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def name_of(pid: int) -> str:
    """The name of a running process; a new one has its parent's until it is executed."""
    return Path(f"/proc/{pid}/comm").read_text().rstrip()
