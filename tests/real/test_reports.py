"""`hcctl status` and `hcctl report` of a real Healthchecks server.

The tests delete what they create there.
"""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.api.test_contract_management import real_server
from tests.support.client import client_of
from tests.support.command import PATIENCE, run_hcctl, run_hcrun
from tests.support.real import setting, settings

pytestmark = pytest.mark.real


@pytest.fixture
def slug() -> Iterator[str]:
    """A check of this test's own."""
    slug = f"look-{uuid4()}"
    with real_server() as server:
        server.add(name=slug, slug=slug, tags=f"{slug} tier:1", timeout=3600, grace=60)
        yield slug


def env(**more: str) -> dict[str, str]:
    return settings() | {"HEALTHCHECKS_ENABLED": "true", "TZ": "UTC"} | more


READ_ONLY = {"HEALTHCHECKS_API_KEY": ""}
READ_WRITE = {"HEALTHCHECKS_READ_KEY": ""}


@pytest.mark.parametrize("keys", [READ_ONLY, READ_WRITE], ids=["read-only", "read-write"])
def test_a_failure_a_success_a_pause(tmp_path: Path, slug: str, keys: dict[str, str]) -> None:
    def look() -> tuple[dict[str, Any], int]:
        given = env(**keys)
        done = run_hcctl(tmp_path, "status", "--tag", slug, "--json", env=given)
        assert done.stderr == ""
        [check] = json.loads(done.stdout)["checks"]
        return check, done.returncode

    check, status = look()
    assert (check["slug"], check["status"], check["tier"], status) == (slug, "new", "1", 1)
    run_hcrun(tmp_path, slug, "--", "sh", "-c", "exit 3", env=env())
    check, status = look()
    assert (check["status"], check["source"], status) == ("down", "server", 2)
    assert datetime.fromisoformat(check["last_ping"]).timestamp() == pytest.approx(
        time.time(), abs=PATIENCE
    )
    # The server keeps flips to the second.
    time.sleep(1.1)
    run_hcrun(tmp_path, slug, "--", "true", env=env())
    check, status = look()
    assert (check["status"], check["success_rate_7d"], status) == ("up", 0.5, 0)
    assert datetime.fromisoformat(check["next_expected"]).timestamp() == pytest.approx(
        time.time() + 3600, abs=PATIENCE
    )

    time.sleep(1.1)
    assert run_hcctl(tmp_path, "pause", slug, "--reason", "disks", env=env()).returncode == 0
    assert look()[0]["status"] == "paused"
    time.sleep(1.1)
    assert run_hcctl(tmp_path, "resume", slug, env=env()).returncode == 0
    time.sleep(1.1)
    run_hcrun(tmp_path, slug, "--", "true", env=env())

    yesterday = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400))
    today = time.strftime("%Y-%m-%d", time.gmtime())
    arguments = ("report", f"{yesterday}..{today}", "--tag", slug, "--format", "json")
    done = run_hcctl(tmp_path, *arguments, env=env(**keys))
    assert (done.returncode, done.stderr) == (0, "")
    [check] = json.loads(done.stdout)["checks"]
    now = check["now"]
    assert check["source"] == "server"
    assert len(now["outages"]) == 1  # the pause and the resume are none
    assert now["down_seconds"] >= 1
    assert now["maintenance_seconds"] >= 1
    assert now["unknown_seconds"] > 86400
    assert now["runs"] == {"fail": 1, "success": 2}
    assert check["maintenance"][0]["reason"] == "disks"


def test_flips_by_unique_key_are_those_by_uuid(slug: str) -> None:
    """What a report with a read-only key relies on."""
    both = []
    for key in ("API_KEY", "READ_KEY"):
        client = client_of(setting("API_URL"), setting(key))
        [check] = client.list_checks(slug)
        if check.uuid:
            requests.post(check.raw["ping_url"], timeout=PATIENCE)
        both.append(client.list_flips(check.uuid or check.unique_key))
    assert both[0] == both[1] != []
