"""`hcctl view` on the database of a real Healthchecks server.

The test deletes what it creates there.
"""

import os
import time
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import requests
from psycopg.rows import dict_row

from hcrun.api.client import HealthchecksClient
from tests.support.command import PATIENCE, run_hcctl
from tests.support.real import setting

pytestmark = pytest.mark.real("HC_REAL_DATABASE_URL")


def test_status_and_tags_are_those_of_the_api(tmp_path: Path) -> None:
    client = HealthchecksClient(setting("API_URL"), setting("API_KEY"))
    url = os.environ["HC_REAL_DATABASE_URL"]
    env = {"HEALTHCHECKS_DATABASE_URL": url}
    suffix, common = uuid4().hex[:8], {"tags": "web env:staging tier:2", "timeout": 3600}
    kinds = ("new", "up", "down", "paused", "many", "running")
    names = {kind: f"{kind}-{suffix}" for kind in kinds}
    created = {
        kind: client.create(common | {"name": name, "grace": 60}) for kind, name in names.items()
    }

    def ping(kind: str, action: str = "", rid: str = "") -> None:
        address = f"{created[kind].raw['ping_url']}{action}"
        answer = requests.post(address, params={"rid": rid} if rid else None, timeout=PATIENCE)
        assert answer.status_code == 200

    try:
        rid = str(uuid4())
        ping("up", "/start", rid)
        time.sleep(0.5)
        ping("up", "", rid)
        for action in ("", "/3", "/log"):
            ping("down", action)
        client.pause(created["paused"].uuid)
        for number in range(201):
            ping("many", "/fail" if number % 4 == 0 else "")
        ping("running", "/start")
        done = run_hcctl(tmp_path, "view", "install", env=env)
        assert (done.returncode, done.stderr) == (0, "")
        with psycopg.connect(url, row_factory=dict_row) as connection:
            found = connection.execute(
                "SELECT * FROM healthchecks_metrics WHERE service_name LIKE %s", (f"%-{suffix}",)
            ).fetchall()
        rows = {kind: row for kind in kinds for row in found if row["service_name"] == names[kind]}
        api = {check.name: check.status for check in client.checks()}
        for kind, row in rows.items():
            assert row["status"] == api[names[kind]], kind
            assert (row["environment"], row["tier"]) == ("staging", "2")
        assert rows["up"]["avg_response_time_1h"] == pytest.approx(0.5, abs=0.4)
        assert rows["up"]["success_rate_7d"] == 1
        assert (rows["down"]["success_rate_7d"], rows["down"]["error_count_24h"]) == (0.5, 1)
        assert rows["many"]["success_rate_7d"] is None  # pruned
        assert rows["many"]["success_rate_known"] == pytest.approx(0.75, abs=0.02)
        assert rows["running"]["last_ping"] is None
    finally:
        for check in created.values():
            client.delete(check.uuid)
        run_hcctl(tmp_path, "view", "remove", env=env)
