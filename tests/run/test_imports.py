"""The import budget (law 4): exactly which modules a plain run loads, and when.

A module more before the command's start delays every job on every host. Where one is needed,
load it where it is needed; docs/architecture.md says what the usual ones cost.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stub.healthchecks import HealthchecksStub
from tests.support.audit import audited, events, modules

# Beside the interpreter's own and `os`, which `site` loads anyway.
BEFORE_THE_SPAWN = {
    *("__future__", "errno", "gc", "select"),
    *("hcrun", "hcrun.errors", "hcrun.results", "hcrun.units", "hcrun.ping", "hcrun.ping.target"),
    *("hcrun.run", "hcrun.run.cli", "hcrun.run.options", "hcrun.run.job", "hcrun.run.command"),
    *("hcrun.run.spawn", "hcrun.run.child", "hcrun.run.oom", "hcrun.run.signals"),
    *("hcrun.run.streams", "hcrun.run.sink", "hcrun.run.output", "hcrun.run.capture"),
    "hcrun.run.background",
}
# Beside those, and what _sqlite3 loads by itself.
BESIDE_THE_COMMAND = {
    *("_socket", "binascii", "fcntl", "resource"),
    *("hcrun.excerpt", "hcrun.paths", "hcrun.redact", "hcrun.settings", "hcrun.text"),
    *("hcrun.ping.body", "hcrun.ping.client", "hcrun.ping.http", "hcrun.ping.wire"),
    *("hcrun.journal", "hcrun.journal.database", "hcrun.journal.journal", "hcrun.journal.run"),
    *("hcrun.journal.delivery", "hcrun.journal.message", "hcrun.run.reporter"),
}


def loaded(
    tmp_path: Path, stub: HealthchecksStub | None, *arguments: str, **env: str
) -> tuple[set[str], set[str]]:
    """Modules at the moment of the spawn, and those that came afterwards."""
    with audited(tmp_path, *arguments, stub=stub, env=env) as process:
        output, errors = process.communicate()
    assert (output, errors) == (b"hello\n", b"")
    found = {event.name: set(event.text.split()) for event in events(tmp_path)}
    before = found["os.posix_spawn"]
    return before - modules("import os"), found["end"] - before - modules("import _sqlite3")


@pytest.mark.parametrize(
    "options", [(), ("--no-start",), ("--timeout", "1h", "--idle-timeout", "1h")], ids=" ".join
)
def test_a_plain_run(options: tuple[str, ...], tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    before, after = loaded(tmp_path, stub, *options, check.uuid, "--", "echo", "hello")
    assert before == BEFORE_THE_SPAWN
    assert after == BESIDE_THE_COMMAND
    assert check.status == "up"


def test_a_failed_run(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    before, after = loaded(tmp_path, stub, check.uuid, "sh", "-c", "echo hello; exit 3")
    assert before == BEFORE_THE_SPAWN
    assert after == BESIDE_THE_COMMAND
    assert check.status == "down"


def test_a_run_without_a_server(tmp_path: Path) -> None:
    before, after = loaded(tmp_path, None, "job", "--", "echo", "hello")
    assert before == BEFORE_THE_SPAWN
    assert after <= BESIDE_THE_COMMAND


def test_a_run_with_an_env_file_and_secrets(tmp_path: Path, stub: HealthchecksStub) -> None:
    """What is not plain costs what it takes, but not before the command's start."""
    check = stub.add_check()
    path = tmp_path / "hcrun.env"
    path.write_text(f"HC_CHECK_JOB={check.uuid}\nDB_PASSWORD=hunter2hunter2\n")
    options = ("--on-exit", "1=log", "--retries", "1", "job")
    before, _ = loaded(tmp_path, stub, *options, "--", "echo", "hello", HCRUN_ENV_FILE=str(path))
    assert before == BEFORE_THE_SPAWN
    assert check.status == "up"


def test_no_proxy_variable_is_no_proxy(tmp_path: Path, stub: HealthchecksStub) -> None:
    """An empty one, and that of another scheme: `requests` is for those who need it."""
    check = stub.add_check()
    env = {"http_proxy": "", "HTTPS_PROXY": "http://127.0.0.1:1", "no_proxy": "example.com"}
    _, after = loaded(tmp_path, stub, check.uuid, "--", "echo", "hello", **env)
    assert after == BESIDE_THE_COMMAND
