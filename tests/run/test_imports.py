"""The import budget: exactly which modules a plain run loads, and when.

Each module loaded before the command's start delays every job on every host: load it where it is
needed. docs/architecture.md lists what the usual ones cost.
"""

from pathlib import Path

import pytest

from tests.stub.healthchecks import HealthchecksStub
from tests.support.audit import audited, events, modules


def names(package: str, modules_of_it: str) -> set[str]:
    return {f"{package}.{module}".strip(".") for module in modules_of_it.split()}


# Beside the interpreter's own modules. `os` is not among them: it costs a tenth of a bare start.
BEFORE_THE_SPAWN = (
    names("", "__future__ _stat errno gc select hcrun")
    | names("hcrun", "environment errors results start_marker ping ping.target run")
    | names("hcrun.run", "background cli command job options output")
    | names("hcrun.run", "signals spawn streams")
)
BESIDE_THE_COMMAND = (
    names("", "_functools _sqlite3 fcntl resource")
    | names("hcrun", "excerpt paths redact settings text units run.reporter")
    | names("hcrun.ping", "client")
    | names("hcrun", "journal journal.database journal.delivery journal.journal")
    | names("hcrun.journal", "run")
)
FOR_PINGS = {"_socket", "hcrun.journal.message", "hcrun.ping.http"}


def loaded(
    tmp_path: Path, stub: HealthchecksStub | None, *arguments: str, **env: str
) -> tuple[set[str], set[str]]:
    """The modules before the spawn, and those loaded after it."""
    (tmp_path / "state").mkdir(mode=0o700, exist_ok=True)
    with audited(tmp_path, *arguments, stub=stub, env=env) as process:
        output, errors = process.communicate()
    # Without a server and unless pings are switched off, hcrun says so.
    assert (output, bool(errors)) == (b"hello\n", env.get("HEALTHCHECKS_ENABLED") == "")
    loaded_at = {event.name: set(event.text.split()) for event in events(tmp_path)}
    before = loaded_at["os.posix_spawn"]
    return before - modules("pass"), loaded_at["end"] - before


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ("", 0),
        ("--needs redis", 0),
        ("--no-start", 0),
        ("--timeout 1h --idle-timeout 1h", 0),
        ("", 3),
    ],
)
def test_a_run(options: str, status: int, tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    words = (*options.split(), check.uuid, "sh", "-c", f"echo hello; exit {status}")
    before, after = loaded(tmp_path, stub, *words)
    early = {"hcrun.units"} if "1h" in options else set()
    assert before == BEFORE_THE_SPAWN | early
    assert after == (BESIDE_THE_COMMAND | FOR_PINGS) - early
    assert check.status == ("down" if status else "up")


@pytest.mark.parametrize("enabled", ["false", ""])
def test_a_run_without_a_server(enabled: str, tmp_path: Path) -> None:
    before, after = loaded(tmp_path, None, "job", "echo", "hello", HEALTHCHECKS_ENABLED=enabled)
    assert before == BEFORE_THE_SPAWN
    # It says that no server is set.
    assert after == BESIDE_THE_COMMAND | (set() if enabled else {"hcrun.run.syslog"})


def test_a_run_with_an_env_file_and_secrets(tmp_path: Path, stub: HealthchecksStub) -> None:
    """They may load more modules, but not before the command's start."""
    check = stub.add_check()
    path = tmp_path / "hcrun.env"
    path.write_text(f"HC_CHECK_JOB={check.uuid}\nDB_PASSWORD=hunter2hunter2\n")
    options = ("--on-exit", "1=log", "--retries", "1", "job")
    before, _ = loaded(tmp_path, stub, *options, "--", "echo", "hello", HCRUN_ENV_FILE=str(path))
    assert before == BEFORE_THE_SPAWN
    assert check.status == "up"


def test_proxy_variables_that_do_not_apply(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Only a run that needs a proxy loads `requests`."""
    check = stub.add_check()
    env = {"http_proxy": "", "HTTPS_PROXY": "http://127.0.0.1:1", "no_proxy": "example.com"}
    _, after = loaded(tmp_path, stub, check.uuid, "--", "echo", "hello", **env)
    assert after == BESIDE_THE_COMMAND | FOR_PINGS
