"""What hcrun says under cron also goes to the system's log, which keeps it: MAILTO="" does not.

tests/schedulers has a real cron.
"""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command import HCRUN, PATIENCE, environment

# A /dev with the log of the test.
OWN = 'mount --bind /dev/null "$1/null" && mount --rbind "$1" /dev && shift && exec "$@"'


def possible() -> bool:
    tried = ["unshare", "-r", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return not subprocess.run(tried, capture_output=True, check=False).returncode


pytestmark = pytest.mark.skipif(not possible(), reason="no mount namespace for this user")


@dataclass
class System:
    path: Path
    log: socket.socket

    def run(self, *words: str, journal: bool = False, **env: str) -> list[str]:
        """Run hcrun without a terminal; returns what was printed and what the log got."""
        given = environment(self.path) | {"HEALTHCHECKS_ENABLED": "true"} | env
        with (self.path / "stderr").open("w+") as stderr:
            at = os.fstat(stderr.fileno())
            given |= {"JOURNAL_STREAM": f"{at.st_dev}:{at.st_ino + (not journal)}"}
            unshare = ["unshare", "-r", "-m", "sh", "-c", OWN, "sh", str(self.path / "dev")]
            done = subprocess.run(
                [*unshare, HCRUN, *words],
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                timeout=2 * PATIENCE,
                check=False,
            )
            assert done.stdout == (b"out\n" if done.returncode != 125 else b"")
            stderr.seek(0)
            self.said = stderr.read().splitlines()
        found = []
        while True:
            try:
                found.append(self.log.recv(10000).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "null").touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "dev" / "log"))
        log.setblocking(False)
        yield System(tmp_path, log)


JOB = ("job", "--", "echo", "out")


def test_with_mailto_empty(system: System) -> None:
    (line,) = system.run(*JOB, MAILTO="")
    (said,) = system.said
    head = re.match(r"<76>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d hcrun\[\d+\]: job: ", line)
    assert head
    assert f"hcrun: {line[head.end() :]}" == said
    assert said.startswith("hcrun: job is not pinged: set HC_CHECK_JOB")


def test_a_line_that_hcrun_refuses(system: System) -> None:
    (line,) = system.run("--bogus", *JOB, MAILTO="ops@example.com")
    assert line.partition("]: ")[2].startswith("unknown option --bogus;")


def test_where_it_is_kept_already(system: System) -> None:
    """systemd's journal has it; without cron, whoever runs hcrun reads it."""
    assert system.run(*JOB, MAILTO="", journal=True) == []
    assert system.run(*JOB) == []
    assert len(system.said) == 1


def test_when_all_is_well(system: System) -> None:
    assert system.run("-v", *JOB, MAILTO="", HEALTHCHECKS_ENABLED="false") == []
    assert len(system.said) == 1


def test_no_secret(system: System) -> None:
    url = "http://127.0.0.1:1/ping/0a1b2c3d-4e5f-6789-abcd-ef0123456789"
    (line,) = system.run(url, *JOB[1:], MAILTO="", HEALTHCHECKS_RETRY_COUNT="1")
    assert ": 0a1b2c3d: result not delivered: " in line
    assert "4e5f" not in line


@pytest.mark.parametrize("gone", ["listener", "log"])
def test_without_a_log(gone: str, system: System) -> None:
    if gone == "log":
        (system.path / "dev" / "log").unlink()
    system.log.close()
    with pytest.raises(OSError, match="descriptor"):
        system.run(*JOB, MAILTO="")
    assert len(system.said) == 1
