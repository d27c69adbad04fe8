"""Readings of each tenant, by probe-sql --tenants and by the pattern of probe-log-rate."""

import json
from pathlib import Path

import pytest

from probes.clients import tenants
from probes.framework.verdict import Range
from tests.servers.postgres import Cluster
from tests.servers.process import Command

pytestmark = pytest.mark.slow

USAGE = "SELECT name AS tenant, requests, p95, users FROM usage ORDER BY requests DESC, name"
HOSTILE = "a/b='| x\\n\u202e" + "y" * 10_000


@pytest.fixture(scope="module")
def usage(primary: Cluster) -> Cluster:
    """300 tenants with 300, 299, ... requests; the last one's name is hostile."""
    primary.ask(
        "CREATE TABLE usage AS SELECT 't' || i AS name, 301 - i AS requests,"
        " i / 100.0 AS p95, CASE WHEN i > 1 THEN i END AS users FROM generate_series(1, 300) i"
    )
    primary.ask("GRANT SELECT ON usage TO plain")
    return primary


@pytest.fixture
def probe(tmp_path: Path) -> Command:
    return Command("probe-sql", tmp_path)


@pytest.fixture
def sql(libpq_probe: Command, usage: Cluster) -> Command:
    libpq_probe.environ |= {"PGPORT": str(usage.port), "PROBE_SQL_TENANTS": "true"}
    return libpq_probe


def test_the_first_twenty_by_name_and_the_rest_together(sql: Command) -> None:
    result, readings = sql.json("--query", USAGE)
    assert result["status"] == "OK"
    assert "300 tenants" in result["message"]
    found = {label: row["value"] for label, row in readings.items() if label.startswith("tenant/")}
    assert len({label.split("/")[1] for label in found}) == 21
    assert (found["tenant/t1/requests"], found["tenant/t20/users"]) == (300, 20)
    assert "tenant/t1/users" not in found  # NULL: not known
    assert found["tenant/*/requests"] == sum(range(1, 281))
    assert found["tenant/*/p95"] == 3.0  # the largest


def test_the_threshold_is_for_each_tenant(sql: Command) -> None:
    ran = sql("--query", USAGE, "--value-critical", "3:")
    assert ran.status == 2
    assert "tenant/t300/requests 1 (under 3)" in ran.line
    assert "tenant/t299/requests 2 (under 3)" in ran.line
    assert "tenant/t298" not in ran.line


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 'a'", "the query returns no columns with own names"),
        ("SELECT 'a', 1 AS x, 2 AS x", "the query returns no columns with own names"),
        ("SELECT 'a' AS tenant, 'b' AS requests", "requests: the query returns a str, not a"),
        ("SELECT i::text AS t, 1 AS n FROM generate_series(1, 10001) i", "more than 10,000"),
    ],
)
def test_queries_that_do_not_fit(query: str, message: str, sql: Command) -> None:
    ran = sql("--query", query)
    assert ran.status == 3, ran
    assert message in ran.line


def test_no_tenant_is_none(sql: Command) -> None:
    assert "0 tenants" in sql("--query", f"{USAGE} LIMIT 0").line


def test_a_hostile_name_breaks_nothing() -> None:
    rows = [(HOSTILE, {"a=b/c": (1.0, "")}), ("*", {"n": (2.0, "")}), ("", {"n": (3.0, "")})]
    readings = list(tenants.evaluate(rows, {}, {}))
    for reading in readings[:-1]:
        label = reading.label
        assert label.count("/") == 2
        assert len(label) < 100
        assert label.isprintable()
        assert "=" not in label
        assert reading.perfdata().count("=") == 1
    assert readings[-1].text == "3 tenants"
    assert "tenant/*/n" in {reading.label for reading in readings}


def test_a_broken_threshold_of_thousands_names_twenty() -> None:
    rows = [(f"t{i}", {"n": (1.0, "")}) for i in range(5000)]
    limit = Range.parse("2:", "")
    readings = list(tenants.evaluate(rows, {"value": (None, limit)}, {"n": "value"}))
    assert len(readings) < 50
    assert readings[-1].text == "5,000 tenants, 5000 of their readings break a threshold"


def test_the_requests_of_each_tenant_in_a_log(tmp_path: Path) -> None:
    log, probe = tmp_path / "log", Command("probe-log-rate", tmp_path)
    log.write_text("")
    pattern = r"tenant=(?P<tenant>\S+) status=(?P<status>\d+) t=(?P<seconds>[\d.]+)"
    words = ("--json", "--access", "--file", log, "--pattern", pattern, "--errors-warning", "off")
    probe(*words)
    with log.open("a") as file:
        for number in range(100):
            status = 500 if number % 10 == 0 else 200
            file.write(f"tenant=acme status={status} t=0.{number:02}\n")
        file.writelines(f"tenant=x{i} status=200 t=1.5\n" for i in range(3000))
    result = json.loads(probe(*words).line)
    found = {row["label"]: row["value"] for row in result["readings"]}
    assert (found["tenant/acme/requests"], found["tenant/acme/errors"]) == (100, 10)
    assert found["tenant/acme/p95"] == pytest.approx(0.94, abs=0.02)
    assert found["tenant/*/requests"] == 3000 - 19
    assert found["tenant/*/p95"] == 1.5
    assert len([label for label in found if label.startswith("tenant/")]) == 21 * 3
