"""`hcctl` without a command: where things stand, and the next step."""

import re
import time
from pathlib import Path

from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import run_hcctl
from tests.support.journals import Past


def overview(tmp_path: Path, stub: HealthchecksStub | None = None, **env: str) -> dict[str, str]:
    done = run_hcctl(tmp_path, stub=stub, env={"TZ": "UTC"} | env)
    assert (done.returncode, done.stderr) == (0, "")
    *facts, empty, step, commands = done.stdout.splitlines()
    assert (empty, commands) == ("", "all commands: hcctl --help")
    found = dict(re.split("  +", fact, maxsplit=1) for fact in facts)
    assert list(found) == ["settings", "server", "journal", "catalogue", "jobs"]
    return found | {"step": step.removeprefix("next step: ")}


def test_on_a_new_host(tmp_path: Path) -> None:
    found = overview(tmp_path, HEALTHCHECKS_ENABLED="")
    assert found["settings"] == "no env file; no ping key"
    assert "there is no journal" in found["journal"]
    assert found["step"].startswith("write HEALTHCHECKS_PING_KEY=... to ~/.config/hcrun/hcrun.env")


def test_step_by_step(tmp_path: Path, stub: HealthchecksStub) -> None:
    found = overview(tmp_path, stub, HEALTHCHECKS_PING_KEY=stub.ping_key)
    assert found["server"] == f"{stub.api_url}: no checks"
    assert found["step"] == "hcrun -v --create NAME -- COMMAND"
    past = Past(tmp_path)
    past.run("one", time.time() - 65)
    found = overview(tmp_path, stub, HEALTHCHECKS_PING_KEY=stub.ping_key)
    assert re.fullmatch(r"1 run, the last one 1 min \d+ s ago", found["journal"])
    assert found["step"] == "hcctl init"  # this machine has neither catalogue nor jobs
    past.run("one", time.time() - 60, pending=True)
    found = overview(tmp_path, stub, HEALTHCHECKS_PING_KEY=stub.ping_key)
    assert found["journal"].endswith(" ago; 1 result not delivered")
    assert found["step"] == "hcctl flush"
    stub.add_check("up").stored_status = "up"
    check = stub.add_check("one")
    check.stored_status, check.last_ping = "down", time.monotonic() - 7200
    found = overview(tmp_path, stub, HEALTHCHECKS_PING_KEY=stub.ping_key)
    assert re.fullmatch(rf"{re.escape(stub.api_url)}: 1 \w[\w ]+, 1 \w[\w ]+", found["server"])
    assert found["step"] == "hcctl status --down"


def test_what_is_wrong_comes_first(tmp_path: Path, stub: HealthchecksStub) -> None:
    found = overview(tmp_path, stub, HEALTHCHECKS_PING_KEY="k", HCRUN_ENV_FILE="/nowhere")
    assert found["settings"].startswith("HCRUN_ENV_FILE: /nowhere: no such file")
    assert found["step"] == "hcctl doctor"
    stub.go_down()
    found = overview(tmp_path, stub, HEALTHCHECKS_PING_KEY="k" * 22, HEALTHCHECKS_RETRY_COUNT="1")
    assert "cannot be reached" in found["server"]


def test_suggestions(tmp_path: Path) -> None:
    for words, meant in (
        ("stauts", "status"),
        ("journal chek", "check"),
        ("sync --environmnt", "--environment"),
    ):
        done = run_hcctl(tmp_path, *words.split())
        assert (done.returncode, done.stdout) == (2, "")
        assert f"Did you mean '{meant}'?" in done.stderr


def test_version(tmp_path: Path) -> None:
    versions = [run_hcctl(tmp_path, flag).stdout for flag in ("-V", "--version")]
    assert re.fullmatch(r"hcctl \d+\.\d+\.\d+\n", versions[0])
    assert versions[0] == versions[1]
