"""A Docker engine of the tests' own, and the image hcbed:base: see docker-bed.sh."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BED = Path(__file__).with_name("docker-bed.sh")
NEEDED = ("dockerd", "docker", "debootstrap", "ip")
FIRST_START = 600.0  # seconds in which the image is built


class Engine:
    """A running one."""

    def __init__(self, directory: Path) -> None:
        self.env = {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{directory}/docker.sock"}
        self.env |= {"HOME": str(directory), "DOCKER_BUILDKIT": "0"}

    def run(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`docker WORDS...`."""
        done = subprocess.run(
            ["docker", *words],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done

    def out(self, *words: str | Path) -> str:
        return self.run(*words).stdout.rstrip("\n")

    def logs(self, name: str) -> str:
        done = self.run("logs", name)
        return done.stdout + done.stderr


def skip_unless_asked(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that build and install packages, except in `make test-docker`."""
    if "docker" not in config.option.markexpr:
        for item in items:
            if item.get_closest_marker("docker"):
                item.add_marker(pytest.mark.skip(reason="see `make test-docker`"))


@contextmanager
def engine() -> Iterator[Engine]:
    """Start one; skips the test where that is not possible."""
    if os.geteuid() != 0:
        pytest.skip("no Docker engine here: it needs root")
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        pytest.skip(f"no Docker engine here: {', '.join(missing)} not installed")
    directory = Path(tempfile.mkdtemp(prefix="hcbed-"))  # the path of a socket is short
    try:
        started = subprocess.run(
            ["sh", BED, "start", directory],
            capture_output=True,
            text=True,
            timeout=FIRST_START,
            check=False,
        )
        if started.returncode:
            pytest.skip(f"no Docker engine can be started here: {started.stderr.strip()}")
        yield Engine(directory)
    finally:
        subprocess.run(["sh", BED, "stop", directory], timeout=120, check=False)
        shutil.rmtree(directory, ignore_errors=True)
