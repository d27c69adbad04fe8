"""hcrun as PID 1 of a container: it reaps orphans, and leaves soon when it is told to."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stub.healthchecks import Fault, HealthchecksStub, hangs
from tests.support.command import HCRUN, environment, last_run, start_hcrun, wait_until

UNSHARE = ("unshare", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")
DOCKER_STOP = 10.0  # seconds from SIGTERM to SIGKILL
NOWHERE = {"HEALTHCHECKS_ENABLED": "true", "HEALTHCHECKS_PING_URL": "http://127.0.0.1:1/ping"}

IGNORES = "trap '' TERM; echo on; while :; do sleep 0.05; done"
OBEYS = "trap 'exit 0' TERM; echo on; while :; do sleep 0.02; done"
LEAVES = "setsid sleep 60 & trap 'exit 3' TERM; echo on; while :; do sleep 0.02; done"

pytestmark = pytest.mark.skipif(
    subprocess.run([*UNSHARE, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0,
    reason="this user may not create namespaces",
)


@contextmanager
def container(
    environ: Mapping[str, str], *arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`hcrun ARGUMENTS` as PID 1 of a namespace: its parent, and its own pid outside."""
    with subprocess.Popen(
        [*UNSHARE, HCRUN, *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as unshare:
        children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
        wait_until(children.read_text, "unshare has forked")
        try:
            yield unshare, int(children.read_text())
        finally:
            unshare.kill()


@pytest.mark.parametrize("options", ["", "--tty"])
def test_orphans_do_not_stay_as_zombies(tmp_path: Path, options: str) -> None:
    orphans = "for i in 1 2 3; do (sleep 0.1 & echo $! >>orphans); done"
    gone = "for pid in $(cat orphans); do while [ -e /proc/$pid ]; do sleep 0.01; done; done"
    script = f"cd {tmp_path}; {orphans}; {gone}; echo reaped; exit 3"
    words = (*options.split(), "job", "--", "sh", "-c", script)
    with container(environment(tmp_path), *words) as (hcrun, _):
        output, errors = hcrun.communicate(timeout=20)
        assert (output.rstrip(), errors, hcrun.returncode) == (b"reaped", b"", 3)


@pytest.mark.parametrize(
    ("server", "options", "script", "status", "why"),
    [
        ("none", "", IGNORES, 137, "container stopped, killed 5 s after SIGTERM after "),
        (
            "silent",
            "--kill-after 1s",
            IGNORES,
            137,
            "container stopped, killed 1 s after SIGTERM after ",
        ),
        ("dead", "", OBEYS, 0, "exit status 0 after "),
        ("silent", "", OBEYS, 0, "exit status 0 after "),
        ("silent", "--retries 9 --retry-delay 20s", LEAVES, 3, "exit status 3 after "),
    ],
)
def test_it_leaves_in_time(
    tmp_path: Path,
    stub: HealthchecksStub,
    server: str,
    options: str,
    script: str,
    status: int,
    why: str,
) -> None:
    """With the result in the journal."""
    check = stub.add_check()
    stub.fault = Fault(hangs)
    environ = {"none": environment(tmp_path), "silent": environment(tmp_path, stub)}
    environ["dead"] = environ["none"] | NOWHERE
    words = (*options.split(), check.uuid, "--", "sh", "-c", script)
    with container(environ[server], *words) as (hcrun, pid):
        assert hcrun.stdout
        assert hcrun.stdout.readline() == b"on\n"
        os.kill(pid, signal.SIGTERM)
        told = time.monotonic()
        assert hcrun.wait(DOCKER_STOP) == status
        assert time.monotonic() - told < 0.9 * DOCKER_STOP
    run = last_run(tmp_path)
    assert (run.status, run.result) == (status, "fail" if status else "success")
    assert run.why.startswith(why)


@pytest.mark.parametrize("options", ["--overlap wait", "--splay 1000h"])
def test_it_leaves_before_the_command_starts(tmp_path: Path, options: str) -> None:
    words = (*options.split(), "job", "--", "echo", "not reached")
    hold = ("--overlap", "skip", "job", "--", "sh", "-c", "echo on; exec sleep 60")
    with start_hcrun(tmp_path, *hold) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"on\n"
        with container(environment(tmp_path), *words) as (hcrun, pid):
            waits = "locks" if "overlap" in options else "nanosleep"
            wait_until(lambda: waits in Path(f"/proc/{pid}/wchan").read_text(), "it waits")
            os.kill(pid, signal.SIGTERM)
            assert hcrun.communicate(timeout=5) == (b"", b"")
            assert hcrun.returncode == 143
        holder.kill()
