"""probe-sql, through its command line, on a real server and on what only looks like one."""

import datetime
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hcrun.catalog import SHIPPED
from probes.check_sql import evaluate
from probes.framework.verdict import Range, Status
from tests.servers.postgres import PASSWORD, Cluster
from tests.servers.process import Command, Like, until

pytestmark = pytest.mark.slow

LATENCY = "latency=#s;5;;0"


@pytest.fixture
def probe(libpq_probe: Command) -> Command:
    libpq_probe.environ["PROBE_SQL_QUERY"] = "SELECT 7"
    return libpq_probe


@pytest.fixture(scope="module")
def tenants(primary: Cluster) -> Cluster:
    """A primary with a table of tenants: 22 of 30 are active."""
    primary.ask(
        "CREATE TABLE tenants AS SELECT i AS id, i <= 22 AS active FROM generate_series(1, 30) i"
    )
    primary.ask("GRANT SELECT, DELETE ON tenants TO plain")
    primary.ask("CREATE TABLE secrets AS SELECT 1 AS id")
    return primary


@pytest.fixture
def at(probe: Command, tenants: Cluster) -> Command:
    probe.environ["PGPORT"] = str(tenants.port)
    return probe


ACTIVE = "SELECT count(*) FROM tenants WHERE active"
DELETE = "DELETE FROM tenants RETURNING 1"
SHARE = "SELECT count(*) FILTER (WHERE active), count(*) FROM tenants"


class TestCatalogue:
    """The queries of the catalogue, with those in comments, on tables as they name them."""

    TABLES = """
        CREATE TABLE tokens AS SELECT now() AS expires_at;
        CREATE TABLE token_refreshes AS SELECT i < 20 AS success, now() AS refreshed_at
            FROM generate_series(1, 20) i;
        CREATE TABLE syncs AS SELECT true AS success, now() - '4 min'::interval AS finished_at;
        CREATE TABLE documents AS SELECT now() AS created_at;
        CREATE TABLE encryption_keys AS SELECT now() - '31 days'::interval AS created_at;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO plain
    """
    LATER = """
        UPDATE tokens SET expires_at = now() - '2 days'::interval;
        UPDATE token_refreshes SET success = false;
        UPDATE syncs SET finished_at = now() - '6 min'::interval;
        DELETE FROM documents;
        UPDATE encryption_keys SET created_at = now() - '33 days'::interval
    """

    def test_queries(self, at: Command, tenants: Cluster) -> None:
        catalogue = Path(SHIPPED).read_text(encoding="utf-8")
        checks = tomllib.loads(re.sub(r"^#(?=\S|    )", "", catalogue, flags=re.M))["checks"]
        commands = {
            slug: check["command"][1:]
            for slug, check in checks.items()
            if "probe-sql" in check.get("command", ())[:1]
        }
        tenants.ask("CREATE DATABASE figures")
        at.environ["PGDATABASE"] = "figures"
        for tables, statuses in (
            (self.TABLES, {"expired-tokens": 0, "token-refresh-rate": 0, "data-freshness": 0,
                           "new-documents": 0, "key-age": 0}),
            (self.LATER, {"expired-tokens": 2, "token-refresh-rate": 1, "data-freshness": 1,
                          "new-documents": 1, "key-age": 1}),
        ):  # fmt: skip
            with tenants.connect(dbname="figures") as connection:
                connection.execute(tables.encode())
            found = {slug: at(*words).status for slug, words in commands.items()}
            assert found == statuses


class TestNumbers:
    def test_number(self, at: Command, tenants: Cluster) -> None:
        ran = at("--query", ACTIVE, "--name", "active tenants", "--value-critical", "1:")
        assert ran.line == Like(
            f"SQL OK - 127.0.0.1:{tenants.port} answers in #T, active tenants 22 | "
            f"{LATENCY} 'active tenants'=22;;1:"
        )

    def test_share(self, at: Command, tenants: Cluster) -> None:
        ran = at("--query", SHARE, "--value-warning", "70%:", "--value-critical", "50%:")
        assert ran.line == Like(
            f"SQL OK - 127.0.0.1:{tenants.port} answers in #T, value 22 of 30, 73.3% | "
            f"{LATENCY} value=22;21:;15:;0;30"
        )

    @pytest.mark.parametrize(
        ("query", "flag", "words"),
        [
            (ACTIVE, "--value-warning=23:", "WARNING - value 22 (under 23)"),
            (ACTIVE, "--value-critical=20", "CRITICAL - value 22 (over 20)"),
            (SHARE, "--value-warning=75%:", "WARNING - value 22 of 30, 73.3% (under 75%)"),
            (SHARE, "--value-critical=5%", "CRITICAL - value 22 of 30, 73.3% (over 5%)"),
            (SHARE, "--value-critical=20", "CRITICAL - value 22 of 30, 73.3% (over 20)"),
            (ACTIVE, "--value-critical=5%", "UNKNOWN - value 22 (no maximum to take 5% of)"),
            (ACTIVE, "--latency-warning=0", "WARNING - 127.0.0.1:PORT answers in "),
        ],
    )
    def test_over_a_threshold(
        self, at: Command, tenants: Cluster, query: str, flag: str, words: str
    ) -> None:
        ran = at("--query", query, flag)
        assert ran.line.startswith(f"SQL {words}".replace("PORT", str(tenants.port)))
        assert at("--query", query, f"{flag.partition('=')[0]}=off").status == 0

    def test_sample_too_small(self, at: Command) -> None:
        flags = ["--query", SHARE, "--value-critical", "95%:"]
        few = at(*flags, "--min-sample", "31")
        assert few.status == 0
        assert ", value 22 of 30 (sample smaller than 31) | " in few.line
        assert at(*flags, "--min-sample", "30").status == 2
        none = at("--query", "SELECT 0, 0", "--value-critical", "95%:", "--min-sample", "1")
        assert none.status == 0
        assert ", value 0 of 0 (sample smaller than 1) | " in none.line

    def test_query_from_a_file(self, at: Command, tmp_path: Path) -> None:
        query = tmp_path / "share.sql"
        query.write_text(f"-- how many\n{SHARE}\nWHERE id % 2 = 0;\n")
        ran = at("--query", f"@{query}", "--min-sample", 15)
        assert (ran.status, ", value 11 of 15, 73.3% |" in ran.line) == (0, True)
        query.write_bytes(b"SELECT '\xff'")
        ran = at("--query", f"@{query}")
        assert ran.status == 3
        assert f"{query}: is not UTF-8 text; see probe-sql --help" in ran.line


class TestNoNumber:
    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ("SELECT NULL", "value: the query returns NULL"),
            ("SELECT avg(id) FROM tenants WHERE false", "value: the query returns NULL"),
            ("SELECT 1, NULL", "value: the query returns NULL"),
            ("SELECT 'seven'", "value: the query returns a str, not a number; cast it to numeric"),
            ("SELECT now()", "value: the query returns a datetime, not a number; cast it"),
            ("SELECT 'NaN'::numeric", "value: the query returns NaN; cast"),
            ("SELECT 'infinity'::float", "value: the query returns inf; cast"),
            ("SELECT 1e400::numeric", "value: the query returns a number that is too large; cast"),
            ("SELECT 1 WHERE false", "value: the query returns no row; select one row "),
            ("SELECT id FROM tenants", "value: the query returns several rows; select "),
            ("SELECT 1, 2, 3", "value: the query returns a row of 3 columns; select one row with "),
            ("SELECT", "value: the query returns a row of 0 columns; select one row with a number"),
        ],
    )
    def test_answer_is_no_number(self, at: Command, query: str, words: str) -> None:
        assert at("--query", query).line.startswith(f"SQL UNKNOWN - {words}")

    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ("nonsense", 'syntax error at or near "nonsense"; fix the query'),
            ("SELECT id FROM nowhere", 'relation "nowhere" does not exist; fix the query'),
            ("SELECT 1/0", "division by zero; fix the query"),
            ("COPY (SELECT 1) TO STDOUT", "COPY cannot be used with this method; "),
            (DELETE, "cannot execute DELETE in a read-only transaction; fix the query"),
            (f"COMMIT; {DELETE}", "cannot insert multiple commands into a prepared statement; "),
            ("SELECT id FROM secrets", "permission denied for table secrets; GRANT the role acces"),
        ],
    )
    def test_query_fails(self, at: Command, tenants: Cluster, query: str, words: str) -> None:
        ran = at("--query", query)
        assert ran.line.startswith(f"SQL UNKNOWN - 127.0.0.1:{tenants.port}: {words}")
        assert tenants.ask("SELECT count(*) FROM tenants") == 30

    def test_statement_without_answer(self, at: Command) -> None:
        ran = at("--query", "SET search_path = public")
        assert ran.line.startswith("SQL UNKNOWN - 127.0.0.1:")
        assert ran.line.endswith("; fix the query")

    def test_endless_rows_are_not_fetched(self, at: Command) -> None:
        ran = at("--query", "SELECT generate_series(1, 1e12)", "--timeout", "9s")
        assert ran.line.startswith("SQL UNKNOWN - value: the query returns several rows")
        assert ran.seconds < 8


class TestNoService:
    def test_hung_query(self, at: Command, tenants: Cluster) -> None:
        ran = at("--query", "SELECT 1 FROM pg_sleep(60)", "--timeout", "3s")
        assert ran.line == (f"SQL CRITICAL - no answer from 127.0.0.1:{tenants.port} within 3 s")
        assert ran.seconds < 8
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        until(lambda: tenants.ask(asleep) == 0, "the query ends with the probe's time")

    @pytest.mark.parametrize(
        ("function", "status", "words"),
        [
            ("pg_cancel_backend", 3, "UNKNOWN - {}: canceling statement due to user request"),
            ("pg_terminate_backend", 2, "CRITICAL - {}: terminating connection due to adm"),
        ],
    )
    def test_ended_by_hand(
        self, at: Command, tenants: Cluster, function: str, status: int, words: str
    ) -> None:
        # The server ends its own session while the query runs.
        query = f"SELECT 1 FROM {function}(pg_backend_pid()), pg_sleep(5)"  # noqa: S608 - ours
        ran = at("--query", query)
        assert ran.status == status
        assert ran.line.startswith(f"SQL {words.format(f'127.0.0.1:{tenants.port}')}")


class TestUsage:
    def test_settings(self, at: Command, tmp_path: Path) -> None:
        env_file = tmp_path / "hcrun.env"
        env_file.write_text(
            "PROBE_SQL_NAME=seven\nPROBE_SQL_VALUE_CRITICAL=6\nPROBE_SQL_MIN_SAMPLE=2\n"
        )
        at.environ["HCRUN_ENV_FILE"] = str(env_file)
        assert at().line.startswith("SQL CRITICAL - seven 7 (over 6), ")
        assert at(PROBE_SQL_VALUE_CRITICAL="off").status == 0
        assert at("--query", "SELECT 2, 2", "--value-critical", "99%").status == 2

    def test_secrets_stay_secret(self, at: Command) -> None:
        ran = at.run("--verbose", "--query", "SELECT nonsense 's3cr3t'", DATABASE_URL="")
        assert ran.returncode == 3
        assert "s3cr3t" not in ran.stdout + ran.stderr
        assert PASSWORD not in ran.stdout + ran.stderr

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--query", "@/nowhere.sql"], "/nowhere.sql: No such file or directory"),
            (["--query", "@/"], "/: Is a directory"),
            (["--min-sample", "0"], "0 is not in the range x>=1"),
            (["--name", ""], "the name is empty"),
        ],
    )
    def test_wrong(self, probe: Command, flags: list[str], message: str) -> None:
        assert message in probe.misused(*flags).line

    def test_no_query(self, probe: Command) -> None:
        ran = probe(PROBE_SQL_QUERY="")
        assert ran.line == "SQL UNKNOWN - no query; give one with --query or PROBE_SQL_QUERY"


CAST = "cast it to numeric, or use extract(epoch FROM ...)"


@pytest.mark.parametrize(
    ("row", "status", "words"),
    [
        ((True,), Status.CRITICAL, "value 1 (under 5)"),
        ((Decimal("7.125"),), Status.OK, "value 7.12"),
        ((-1.5,), Status.CRITICAL, "value -1.5 (under 5)"),
        ((Decimal(19), 20), Status.OK, "value 19 of 20, 95%"),
        ((19, 19), Status.OK, "value 19 of 19 (sample smaller than 20)"),
        ((0, -1), Status.OK, "value 0 of -1 (sample smaller than 20)"),
        ((4, 1e6), Status.CRITICAL, "value 4 of 1000000, 0.0004% (under 5)"),
        (
            (datetime.timedelta(1),),
            Status.UNKNOWN,
            f"value: the query returns a timedelta, not a number; {CAST}",
        ),
    ],
)
def test_evaluate(row: tuple[Any, ...], status: Status, words: str) -> None:
    reading = evaluate([row], "value", 20, {"value": (None, Range.parse("5:"))})
    assert reading.status == status
    assert reading.message() == words
