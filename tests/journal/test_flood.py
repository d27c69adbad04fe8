"""A flood of output: handed on in the kernel, whole, and its end is kept all the same."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.support.command import HCRUN, environment, last_run

LAST = 6_000_000
SIZE = 46_888_896  # of `seq LAST`


@pytest.fixture(scope="module")
def expected() -> str:
    done = subprocess.run(["seq", str(LAST)], capture_output=True, check=True)
    assert len(done.stdout) == SIZE
    return hashlib.sha256(done.stdout).hexdigest()


@pytest.mark.parametrize("where", ["| sha256sum", "| cat | sha256sum", "> FILE", ">> FILE"])
def test_every_byte_arrives_and_the_end_is_kept(where: str, tmp_path: Path, expected: str) -> None:
    file = tmp_path / "out"
    command = f"{HCRUN} job -- seq {LAST} {where.replace('FILE', str(file))}"
    done = subprocess.run(
        ["sh", "-c", command], env=environment(tmp_path), capture_output=True, check=True
    )
    assert done.stderr == b""
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""
    assert (digest or done.stdout.decode().split()[0]) == expected
    kept = last_run(tmp_path).excerpt
    assert kept.head.startswith("1\n2\n3\n")
    assert kept.tail.endswith(f"{LAST - 1}\n{LAST}\n")
    assert len(kept.head) + kept.omitted + len(kept.tail) == SIZE


def test_what_is_looked_for_is_found_in_a_flood(tmp_path: Path) -> None:
    done = subprocess.run(
        [HCRUN, "--expect", "^3456789$", "job", "--", "seq", str(LAST)],
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0
    assert last_run(tmp_path).result == "success"
