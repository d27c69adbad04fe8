"""Runs Python applications that use hcrun, each in a process of its own, as users' are."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from tests.stub.healthchecks import Check, HealthchecksStub
from tests.support.command import PATIENCE, environment


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
    env: Mapping[str, str] | None = None,
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
    tmp_path: Path, script: str, stub: HealthchecksStub | None = None, **checks: Check
) -> subprocess.Popen[str]:
    """The same without waiting for it; use it in a `with` block."""
    return subprocess.Popen(
        [sys.executable, _file(tmp_path, script)],
        env=variables(tmp_path, stub, checks),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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
