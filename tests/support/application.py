"""Runs Python applications that use hcrun, each in a process of its own, as users' are."""

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from hcrun.journal.run import Run
from tests.stub.healthchecks import Check, HealthchecksStub
from tests.support.command import PATIENCE, environment, runs

Environ = Mapping[str, str] | None

PUBLIC = ("monitor_endpoint", "monitor_task")


def variables(
    tmp_path: Path, stub: HealthchecksStub | None, checks: Mapping[str, Check]
) -> dict[str, str]:
    """An environment in which each name is that of a check of the stub."""
    found = {"HC_CHECK_" + name.upper().replace("-", "_"): c.uuid for name, c in checks.items()}
    return environment(tmp_path, stub) | {"HEALTHCHECKS_RETRY_COUNT": "1"} | found


def python(
    tmp_path: Path,
    script: str,
    stub: HealthchecksStub | None = None,
    env: Environ = None,
    **checks: Check,
) -> subprocess.CompletedProcess[str]:
    """Run a script, in a file of its own: it may start processes of multiprocessing."""
    return subprocess.run(
        [sys.executable, _file(tmp_path, script)],
        env=variables(tmp_path, stub, checks) | dict(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )


def application(
    tmp_path: Path,
    script: str,
    stub: HealthchecksStub | None = None,
    env: Environ = None,
    **checks: Check,
) -> subprocess.Popen[str]:
    """The same without waiting for it; use it in a `with` block."""
    return subprocess.Popen(
        [sys.executable, _file(tmp_path, script)],
        env=variables(tmp_path, stub, checks) | dict(env or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class App:
    """An application that reports the check `job` of a stub, and has a journal of its own."""

    def __init__(self, path: Path, stub: HealthchecksStub) -> None:
        self.path = path
        self.stub = stub
        self.job = stub.add_check()

    def run(
        self, script: str, env: Environ = None, server: bool = True, **checks: Check
    ) -> subprocess.CompletedProcess[str]:
        """Run a script that uses `monitor_task`. Without `server`, nothing is pinged."""
        stub, known = self._server(server, checks)
        return python(self.path, _importing(script), stub, env, **known)

    def fine(self, script: str, env: Environ = None, server: bool = True, **checks: Check) -> None:
        """The same; it must print "fine" and nothing else."""
        done = self.run(script, env, server, **checks)
        assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", ""), done

    def start(self, script: str, server: bool = True, **checks: Check) -> subprocess.Popen[str]:
        """The same without waiting for it; use it in a `with` block."""
        stub, known = self._server(server, checks)
        return application(self.path, _importing(script), stub, None, **known)

    def _server(
        self, server: bool, checks: Mapping[str, Check]
    ) -> tuple[HealthchecksStub | None, Mapping[str, Check]]:
        return (self.stub, {"job": self.job, **checks}) if server else (None, {})

    def runs(self) -> list[Run]:
        return runs(self.path)

    def journal(self, sql: str) -> list[tuple[object, ...]]:
        return self.journal_of(self.path, sql)

    @staticmethod
    def journal_of(path: Path, sql: str, state: str = "state") -> list[tuple[object, ...]]:
        connection = sqlite3.connect(path / state / "journal.db")
        rows = connection.execute(sql).fetchall()
        connection.close()
        return rows


def _importing(script: str) -> str:
    """Return the script with a first line that imports what it uses of hcrun."""
    names = [name for name in PUBLIC if name in script]
    return f"from hcrun import {', '.join(names)}\n" + textwrap.dedent(script)


def _file(tmp_path: Path, script: str) -> str:
    path = tmp_path / "application.py"
    path.write_text(textwrap.dedent(script))
    return str(path)


def kinds(check: Check) -> list[str]:
    """What the server has got."""
    return [ping.kind for ping in check.pings]


def text(check: Check, number: int) -> list[str]:
    """The lines of a ping's body."""
    return check.pings[number].body.decode().splitlines()
