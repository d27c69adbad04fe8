"""When hcrun cannot do its own work at all, it becomes the command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.command import HCRUN, environment


def run_with_descriptors(
    tmp_path: Path, most: int, *command: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["prlimit", f"--nofile={most}", HCRUN, "job", "--", *command],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("most", [6, 8, 10])
def test_out_of_descriptors(most: int, tmp_path: Path) -> None:
    done = run_with_descriptors(tmp_path, most, "sh", "-c", "echo hi; exit 3")
    assert (done.returncode, done.stdout) == (3, "hi\n")
    assert done.stderr.startswith(
        "hcrun: the command runs, but is neither watched nor recorded: [Errno 24] Too many open"
    )
    assert len(done.stderr.splitlines()) == 1


def test_out_of_descriptors_and_not_found(tmp_path: Path) -> None:
    done = run_with_descriptors(tmp_path, 8, "no-such-command")
    assert done.returncode == 127
    assert done.stderr.splitlines()[1] == "hcrun: no-such-command: cannot be started"
