"""`hcctl view` on the database of a real Healthchecks server.

The test deletes what it creates there.
"""

import os
import time
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.api.test_contract_management import real_server
from tests.metrics.test_sql_view import DASHBOARD
from tests.support.command import run_hcctl
from tests.support.database import settings_of

pytestmark = pytest.mark.real("HC_REAL_DATABASE_URL")


def test_status_and_tags_are_those_of_the_api(tmp_path: Path) -> None:
    url = os.environ["HC_REAL_DATABASE_URL"]
    env = settings_of(url)
    suffix, rid = uuid4().hex[:8], str(uuid4())
    common = {"tags": "web env:production severity:warning tier:2", "timeout": 3600, "grace": 60}
    kinds = ("new", "up", "down", "paused", "many", "running")
    names = {kind: f"{kind}-{suffix}" for kind in kinds}
    with real_server() as server:
        created = {
            kind: server.add(name=f"[warning production] {name}", slug=name, **common)
            for kind, name in names.items()
        }
        server.ping(created["up"], f"/start?rid={rid}")
        time.sleep(0.5)
        server.ping(created["up"], f"?rid={rid}", b"HTTP OK - \xff\n\nHTTP OK - ok | latency=0.25s")
        for action in ("", "/3", "/log"):
            server.ping(created["down"], action)
        server.client.pause_check(created["paused"].uuid)
        for number in range(201):
            server.ping(created["many"], "/fail" if number % 4 == 0 else "")
        server.ping(created["running"], "/start")
        api = {check.slug: check.status for check in server.client.list_checks()}
        try:
            done = run_hcctl(tmp_path, "view", "install", env=env)
            assert (done.returncode, done.stderr) == (0, "")
            with psycopg.connect(url, row_factory=dict_row) as connection:
                on_dashboard = {row["service_name"] for row in connection.execute(DASHBOARD)}
                found = connection.execute(
                    "SELECT * FROM healthchecks_metrics WHERE service_name LIKE %s",
                    (f"%-{suffix}",),
                ).fetchall()
        finally:
            run_hcctl(tmp_path, "view", "remove", env=env)
    assert {*names.values()} <= on_dashboard
    rows = {kind: row for kind in kinds for row in found if row["service_name"] == names[kind]}
    for kind, row in rows.items():
        assert row["status"] == api[names[kind]], kind
        assert (row["environment"], row["tier"]) == ("production", "2")
        assert row["project"]
        assert row["slug"] == row["service_name"]
    assert rows["up"]["avg_response_time_1h"] == 0.25
    assert rows["up"]["avg_duration_1h"] == pytest.approx(0.5, abs=0.4)
    assert rows["up"]["success_rate_7d"] == 1
    assert (rows["down"]["success_rate_7d"], rows["down"]["error_count_24h"]) == (0.5, 1)
    assert rows["many"]["success_rate_7d"] is None  # pruned
    assert rows["many"]["success_rate_known"] == pytest.approx(0.75, abs=0.02)
    assert rows["running"]["last_ping"] is None
