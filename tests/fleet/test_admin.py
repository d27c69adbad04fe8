"""hcctl fleet init, check and prune; what a writer may not do; older and newer schemas."""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from hcrun.catalog import SHIPPED
from hcrun.errors import HcrunError
from hcrun.fleet import admin
from hcrun.fleet.connection import connected
from tests.fleet.test_ship import ship, shipped, some, sound
from tests.servers.fleet import Fleet, aged
from tests.servers.postgres import Cluster
from tests.support import forks
from tests.support.command import HCCTL, PATIENCE, environment, run_hcctl
from tests.support.journals import Past

NOW = time.time()
BATCH: dict[str, Any] = {
    name: [] for name in ("checks", "texts", "runs", "again", "series", "readings", "windows")
}


def hcctl(
    tmp_path: Path, fleet: Fleet, *words: str, role: str = "fleet_owner"
) -> subprocess.CompletedProcess[str]:
    env = environment(tmp_path) | {"HCRUN_FLEET_URL": fleet.url(role), "TZ": "Europe/Paris"}
    return forks.hcctl([HCCTL, *words], env, PATIENCE)


def test_init(tmp_path: Path, cluster: Cluster) -> None:
    made = Fleet(cluster)
    done = hcctl(tmp_path, made, "fleet", "init")
    assert done.stdout.endswith(" has version 1 now\n"), done.stderr
    again = hcctl(tmp_path, made, "fleet", "init", "--raw-days", "30", "--size", "100GB")
    assert again.stdout.endswith(" is up to date\n"), again.stderr
    assert made.ask("SELECT zone, raw_days, hour_days, day_days, max_bytes FROM hcrun.meta") == [
        ("Europe/Paris", 30, 35, 400, 100_000_000_000)
    ]


def test_a_reader_is_no_owner(tmp_path: Path, fleet: Fleet) -> None:
    done = hcctl(tmp_path, fleet, "fleet", "init", "--raw-days", "2", role="viewer")
    assert done.returncode == 1
    assert "hcctl fleet the owner" in done.stderr
    assert fleet.ask("SELECT raw_days FROM hcrun.meta") == [(14,)]


def test_check(tmp_path: Path, fleet: Fleet) -> None:
    some(Past(tmp_path), 20)
    ship(tmp_path, fleet)
    done = hcctl(tmp_path, fleet, "fleet", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("version 1, 1 host, days of UTC\n")
    fleet.ask(
        "UPDATE hcrun.source SET host = 'web7', clock_ahead = -300,"
        " last_seen = now() - interval '3 hours'"
    )
    done = hcctl(tmp_path, fleet, "fleet", "check")
    assert done.returncode == 1
    assert "silent: web7 (3 h); " in done.stderr
    assert "wrong clock: web7 (-300 s); " in done.stderr
    found = json.loads(hcctl(tmp_path, fleet, "fleet", "check", "--json").stdout)
    assert found["meta"]["raw_days"] == 14
    assert [(host["name"], host["ahead"]) for host in found["hosts"]] == [("web7", -300.0)]
    assert len(found["problems"]) == 2


def test_the_forecast_of_the_size(tmp_path: Path, fleet: Fleet) -> None:
    some(Past(tmp_path), 2000)
    ship(tmp_path, fleet)
    aged(fleet, 1)
    done = hcctl(tmp_path, fleet, "fleet", "check")
    assert " a day, " in done.stdout
    assert " at its retention; " in done.stdout


def test_prune(tmp_path: Path, fleet: Fleet) -> None:
    past = Past(tmp_path)
    some(past, 30)
    ship(tmp_path, fleet)
    day = aged(fleet, 20)
    new = some(past, 5, NOW - 3600)
    ship(tmp_path, fleet)
    done = hcctl(tmp_path, fleet, "fleet", "prune")
    assert done.stdout == f"1 day of runs deleted: {day}\n", done.stderr
    assert shipped(fleet) == new
    assert fleet.ask("SELECT sum(s + f)::int FROM hcrun.day") == [(35,)]  # the sums stay
    assert hcctl(tmp_path, fleet, "fleet", "prune").stdout == "0 days of runs deleted\n"


def test_prune_by_size(tmp_path: Path, fleet: Fleet) -> None:
    some(Past(tmp_path), 500)
    ship(tmp_path, fleet)
    aged(fleet, 3)
    assert hcctl(tmp_path, fleet, "fleet", "prune").stdout == "0 days of runs deleted\n"
    hcctl(tmp_path, fleet, "fleet", "init", "--size", "1kB")
    assert hcctl(tmp_path, fleet, "fleet", "prune").stdout.startswith("1 day of runs deleted: ")


def test_a_host_that_is_gone(tmp_path: Path, fleet: Fleet) -> None:
    some(Past(tmp_path), 30)
    ship(tmp_path, fleet)
    fleet.ask("UPDATE hcrun.source SET host = 'web7'")
    done = hcctl(tmp_path, fleet, "fleet", "prune", "--host", "web8", "--yes")
    assert done.returncode == 1
    assert "unknown host web8" in done.stderr
    assert "add --yes" in hcctl(tmp_path, fleet, "fleet", "prune", "--host", "web7").stderr
    done = hcctl(tmp_path, fleet, "fleet", "prune", "--host", "web7", "--yes")
    assert done.stdout == "1 journal of web7 deleted\n", done.stderr
    for table in ("source", "checks", "rollup", "last", "change", "series", "named"):
        assert fleet.ask(f"SELECT count(*) FROM hcrun.{table}") == [(0,)]
    assert json.loads(_reading(tmp_path, fleet, "history", "--json")) == []


def test_a_newer_schema(tmp_path: Path, fleet: Fleet) -> None:
    """A shipper goes on, as long as take_1 is there; readers and init refuse."""
    fleet.ask("UPDATE hcrun.meta SET version = 2")
    ids = some(Past(tmp_path), 5)
    assert ship(tmp_path, fleet).returncode == 0
    assert shipped(fleet) == ids
    for words in (("fleet", "init"), ("fleet", "check"), ("history", "--fleet")):
        done = hcctl(tmp_path, fleet, *words)
        assert done.returncode == 1
        assert "its schema has version 2, this hcrun knows 1; upgrade hcrun" in done.stderr
    fleet.ask("DROP FUNCTION hcrun.take_1")
    some(Past(tmp_path), 5, NOW - 3600)
    assert "run hcctl fleet init, or upgrade hcrun" in ship(tmp_path, fleet).stderr


def test_a_migration(tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the next version: once, with all rows; one that fails changes nothing."""
    ids = some(Past(tmp_path), 5)
    ship(tmp_path, fleet)
    script = tmp_path / "two.sql"
    monkeypatch.setattr(admin, "VERSION", 2)
    monkeypatch.setattr(admin, "_SCHEMAS", ("schema.sql", str(script)))

    def migrate() -> int:
        with connected(fleet.settings("fleet_owner"), "tests") as connection:
            return admin.init(connection, "UTC", {})

    script.write_text("ALTER TABLE hcrun.source ADD kernel text DEFAULT '6'; SELECT 1 / 0")
    with pytest.raises(HcrunError, match="division by zero"):
        migrate()
    assert fleet.ask("SELECT version FROM hcrun.meta") == [(1,)]
    script.write_text("ALTER TABLE hcrun.source ADD kernel text DEFAULT '6'")
    assert [migrate(), migrate()] == [1, 2]
    assert fleet.ask("SELECT version, kernel FROM hcrun.meta, hcrun.source") == [(2, "6")]
    more = some(Past(tmp_path), 5, NOW - 3600)
    assert ship(tmp_path, fleet).returncode == 0
    assert shipped(fleet) == sorted([*ids, *more])


def test_a_hostile_writer(tmp_path: Path, fleet: Fleet) -> None:
    """It adds rows of its own, and can neither read, nor change, nor pose as another."""
    ids = some(Past(tmp_path), 10)
    ship(tmp_path, fleet)
    [(journal, host)] = fleet.ask("SELECT journal, host FROM hcrun.source")
    with psycopg.connect(fleet.url("web2"), autocommit=True) as evil:

        def refused(query: str, *values: Any) -> str:
            with pytest.raises(psycopg.Error) as caught:
                evil.execute(query.encode(), values or None)
            return caught.value.sqlstate or ""

        for statement in (
            "SELECT * FROM hcrun.run",
            "SELECT * FROM hcrun.source",
            "SELECT * FROM healthchecks_metrics",
            "DELETE FROM hcrun.checks",
            "UPDATE hcrun.source SET role = current_user",
            "TRUNCATE hcrun.run",
            "DROP SCHEMA hcrun CASCADE",
            "SELECT hcrun.roll(NULL, NULL, NULL, NULL, NULL, 1)",
            "SELECT hcrun.forget('web1')",
            "SELECT hcrun.prune()",
            "SELECT hcrun.partition('2020-01-01')",
            "CREATE TABLE hcrun.x ()",
        ):
            assert refused(statement) == "42501", statement
        hello = "SELECT hcrun.hello_1(%s, %s, 'root', now())"
        assert refused(hello, journal, "other") == "42501"
        assert refused(hello, uuid4(), host) == "42501"
        take = "SELECT hcrun.take_1(%s, %s, %s, %s::jsonb)"
        assert refused(take, journal, 10, 11, json.dumps(BATCH)) == "42501"
        own, many = uuid4(), f"{{{','.join(['1'] * 2001)}}}"
        evil.execute(hello.encode(), (own, "evil"))
        assert refused(take, own, 0, 1, json.dumps(BATCH | {"runs": {"c": many}})) == "54000"
        assert refused(take, own, 0, 1, json.dumps(BATCH | {"runs": {"c": "x"}})) == "22P02"
        assert refused(take, own, 0, 1, json.dumps(BATCH | {"runs": {"r": "{z}"}})) == "22023"
        checks = [{"name": f"c{at}", "identity": at} for at in range(2000)]
        evil.execute(take.encode(), (own, 0, 1, json.dumps(BATCH | {"checks": checks})))
        more = [{"name": f"d{at}", "identity": at} for at in range(2000)]
        evil.execute(take.encode(), (own, 1, 2, json.dumps(BATCH | {"checks": more})))
        # Its search_path and its objects change nothing in the functions.
        evil.execute("SET search_path = pg_temp, public; CREATE TEMP TABLE source (id int)")
        evil.execute(take.encode(), (own, 2, 3, json.dumps(BATCH)))
    assert shipped(fleet) == ids
    assert fleet.ask("SELECT count(*) FROM hcrun.checks") == [(2003,)]
    sound(fleet)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("crontab", "*/5 * * * *"), ("systemd", "ExecStart=/opt/hcrun/bin/hcrun")],
)
def test_the_built_in_catalogue_has_its_jobs(kind: str, expected: str, tmp_path: Path) -> None:
    text = Path(str(SHIPPED)).read_text()
    jobs = "".join(re.findall(r"^#\[checks\.(?:ship|fleet.*)\]\n(?:#.*\n)+", text, re.M))
    catalog = tmp_path / "checks.toml"
    catalog.write_text(re.sub("^#", "", jobs, flags=re.M) + "[tiers.4]\n")
    done = run_hcctl(
        tmp_path, "render", kind, "--catalog", str(catalog), "--hcrun", "/opt/hcrun/bin/hcrun"
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
    for command in ("hcctl ship", "hcctl fleet prune", "probe-fleet --timeout 29s"):
        assert command in done.stdout


def _reading(tmp_path: Path, fleet: Fleet, *words: str) -> str:
    return hcctl(tmp_path, fleet, *words, "--fleet", role="viewer").stdout
