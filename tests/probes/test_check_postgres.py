"""probe-postgres, through its command line, on real servers and on what only looks like one."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from probes.check_postgres import (
    HORIZON,
    PROBE,
    Replica,
    Server,
    Session,
    evaluate_replica,
    evaluate_sessions,
    evaluate_wraparound,
)
from probes.framework.verdict import Status
from tests.servers.postgres import PASSWORD, SETTINGS, Cluster, follows
from tests.servers.process import Command, Like, certificate, listening, speak_http, until
from tests.servers.ranges import default_ranges

pytestmark = pytest.mark.slow

READINGS = (
    "latency=#s;0.5;;0 connections=#;7.2;8.1;0;9 long_query=#s;30;;0 "
    "idle_in_transaction=#s;300;;0 wraparound=#;1073741824;1610612736;0;2147483648 size=#B;;;0"
)


@pytest.fixture
def probe(libpq_probe: Command) -> Command:
    libpq_probe.environ["PGUSER"] = "looker"
    return libpq_probe


@pytest.fixture
def at_primary(probe: Command, primary: Cluster) -> Command:
    # The client of the test before may be on its way out still.
    clients = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    until(lambda: primary.ask(clients) == 1, "former clients have gone")
    probe.environ["PGPORT"] = str(primary.port)
    return probe


class TestPrimary:
    def test_healthy(self, at_primary: Command, primary: Cluster) -> None:
        assert at_primary().line == Like(
            f"POSTGRES OK - 127.0.0.1:{primary.port} answers in #T, # of 9 connections, "
            f"postgres has #B | {READINGS} replicas=#;;;0"
        )

    def test_over_a_threshold(self, at_primary: Command, primary: Cluster) -> None:
        target = f"127.0.0.1:{primary.port}"
        for flag, words in {
            "--latency-warning=0": f"WARNING - {target} answers in #T (over 0 s)",
            "--connections-warning=0": "WARNING - # of 9 connections (over 0)",
            "--connections-critical=5%": "CRITICAL - # of 9 connections (over 5%)",
            "--size-warning=1MB": "WARNING - postgres has #B (over 1.0 MB)",
            "--size-critical=1TB:": "CRITICAL - postgres has #B (under 1.0 TB)",
        }.items():
            assert at_primary.worst(flag) == Like(words)

    def test_wraparound(self, at_primary: Command) -> None:
        ran = at_primary("--wraparound-warning", "1", "--wraparound-critical", "off")
        assert ran.status == 1
        assert re.match(
            r"POSTGRES WARNING - (\w+) is at 0% of transaction wraparound \(over 1\); "
            r"VACUUM FREEZE in \1; check what blocks vacuum, 127",
            ran.line,
        )

    def test_long_query(self, at_primary: Command, primary: Cluster) -> None:
        with closing(primary.connect()) as busy:
            pid = busy.info.backend_pid
            busy.pgconn.send_query(b"SELECT pg_sleep(60)")
            until(lambda: _state(primary, pid) == "active", "the query runs")
            time.sleep(0.06)
            ran = at_primary("--long-query-warning", "50ms")
            other = at_primary()
            busy.cancel_safe()
        assert ran.line.startswith("POSTGRES WARNING - 1 session running for ")
        assert f"(over 50 ms); check pid {pid} of admin in pg_stat_activity, " in ran.line
        assert other.status == 0

    @pytest.mark.parametrize("aborted", [False, True])
    def test_idle_in_transaction(
        self, at_primary: Command, primary: Cluster, aborted: bool
    ) -> None:
        with primary.connect() as idle:
            pid = idle.info.backend_pid
            idle.execute("BEGIN")
            if aborted:
                with pytest.raises(psycopg.Error):
                    idle.execute("nonsense")
            until(lambda: "idle in tr" in _state(primary, pid), "the session is idle")
            time.sleep(0.06)
            ran = at_primary("--idle-in-transaction-critical", "50ms")
            idle.execute("ROLLBACK")
        assert ran.line.startswith("POSTGRES CRITICAL - 1 session idle in transaction for ")
        assert f"; check pid {pid} of admin in pg_stat_activity, " in ran.line

    def test_no_room(self, at_primary: Command, primary: Cluster) -> None:
        with ExitStack() as stack:
            for _ in range(7):
                stack.enter_context(primary.connect("looker"))
            nearly = at_primary()
            for _ in range(2):
                stack.enter_context(primary.connect("looker"))
            reserved = at_primary()
            for _ in range(3):
                stack.enter_context(primary.connect())
            full = at_primary()
        start = f"POSTGRES CRITICAL - 127.0.0.1:{primary.port}: FATAL: "
        hint = "; raise max_connections, or put a pooler before it"
        assert nearly.line.startswith("POSTGRES WARNING - 8 of 9 connections (over 80%), ")
        assert reserved.line.startswith(f"{start}remaining connection slots are reserved")
        assert reserved.line.endswith(hint)
        assert full.line == f"{start}sorry, too many clients already{hint}"
        assert (nearly.status, reserved.status, full.status) == (1, 2, 2)

    def test_hung_query(self, at_primary: Command, primary: Cluster) -> None:
        primary.ask("CREATE SCHEMA stuck; GRANT USAGE ON SCHEMA stuck TO looker")
        primary.ask(
            "CREATE FUNCTION stuck.pg_database_size(name) RETURNS bigint LANGUAGE sql "
            "AS 'SELECT 1::bigint FROM pg_sleep(60)'"
        )
        options = "-c search_path=stuck,pg_catalog"
        ran = at_primary("--timeout", "4s", PGOPTIONS=options)
        target = f"127.0.0.1:{primary.port}"
        assert ran.line == Like(
            f"POSTGRES CRITICAL - no answer from {target} within 4 s, {target} answers in #T, "
            f"# of 9 connections | {READINGS.removesuffix(' size=#B;;;0')}"
        )
        assert ran.seconds < 6
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        until(lambda: primary.ask(asleep) == 0, "the query ends with the probe's time")


def _state(cluster: Cluster, pid: int) -> str:
    return str(cluster.ask(f"SELECT state FROM pg_stat_activity WHERE pid = {pid}"))  # noqa: S608 - a number


class TestRights:
    def test_role_without_pg_monitor(self, at_primary: Command) -> None:
        assert at_primary("--user", "plain").line == Like(
            "POSTGRES UNKNOWN - plain cannot see the queries of other roles; "
            'GRANT pg_monitor TO "plain", '
            "127.0.0.1:# answers in #T, # of 9 connections, postgres has #B | "
            "latency=#s;0.5;;0 connections=#;7.2;8.1;0;9 "
            "wraparound=#;1073741824;1610612736;0;2147483648 size=#B;;;0 replicas=#;;;0"
        )

    def test_it_counts_connections_all_the_same(
        self, at_primary: Command, primary: Cluster
    ) -> None:
        with ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(primary.connect())
            _, seen = at_primary.json("--user", "plain")
        assert seen["connections"]["value"] == 5

    def test_nobody_asked_for_what_it_cannot_see(self, at_primary: Command) -> None:
        off = ["--long-query-warning", "off", "--idle-in-transaction-warning", "off"]
        assert at_primary("--user", "plain", *off).status == 0

    def test_wrong_credentials(self, at_primary: Command, primary: Cluster) -> None:
        start = f"POSTGRES UNKNOWN - 127.0.0.1:{primary.port}: "
        wrong = at_primary(PGPASSWORD="wr0ng")
        assert wrong.line == (
            f'{start}FATAL: password authentication failed for user "looker"; '
            "check user and password"
        )
        nobody = at_primary("--user", "nobody")
        assert nobody.line.startswith(f"{start}FATAL: password authentication failed")
        none = at_primary(PGPASSWORD="")
        assert none.line.startswith(start)
        assert none.line.endswith("no password supplied; set PGPASSWORD or PGPASSWORD_FILE")
        assert wrong.status == nobody.status == none.status == 3

    def test_no_such_database(self, at_primary: Command, primary: Cluster) -> None:
        assert at_primary("--dbname", "nowhere").line == (
            f"POSTGRES CRITICAL - 127.0.0.1:{primary.port}: "
            'FATAL: database "nowhere" does not exist'
        )

    def test_no_right_to_connect(self, at_primary: Command, primary: Cluster) -> None:
        primary.ask("CREATE DATABASE closed")
        primary.ask("REVOKE CONNECT ON DATABASE closed FROM public")
        ran = at_primary("--dbname", "closed")
        assert ran.status == 3
        assert 'permission denied for database "closed"' in ran.line


class TestReplica:
    @pytest.fixture
    def at_replica(self, probe: Command, primary: Cluster, replica: Cluster) -> Command:
        until(lambda: follows(primary), "the replica follows")
        probe.environ["PGPORT"] = str(replica.port)
        return probe

    def test_healthy(self, at_replica: Command, replica: Cluster) -> None:
        assert at_replica().line == Like(
            f"POSTGRES OK - 127.0.0.1:{replica.port} answers in #T, # of 9 connections, "
            f"postgres has #B, replica 0 s behind | {READINGS} replica_lag=#s;30;300;0"
        )

    def test_primary_knows_it(self, at_replica: Command, primary: Cluster) -> None:
        at_primary = ["--port", primary.port]
        one = at_replica(*at_primary, "--replicas-warning", "1:")
        assert (one.status, ", 1 replica |" in one.line) == (0, True)
        two = at_replica(*at_primary, "--replicas-critical", "2:")
        assert two.line.startswith("POSTGRES CRITICAL - 1 replica (under 2), ")

    def test_paused(self, at_replica: Command, primary: Cluster, replica: Cluster) -> None:
        with self.paused(primary, replica):
            ran = at_replica("--replica-lag-critical", "50ms")
        assert ran.line == Like(
            "POSTGRES CRITICAL - replica # s behind (over 50 ms), replay is paused; "
            f"SELECT pg_wal_replay_resume(), 127.0.0.1:{replica.port} answers in #T, "
            f"# of 9 connections, postgres has #B | {READINGS} replica_lag=#s;30;0.05;0"
        )

    def test_role_without_pg_monitor_sees_it_too(
        self, at_replica: Command, primary: Cluster, replica: Cluster
    ) -> None:
        off = ["--long-query-warning", "off", "--idle-in-transaction-warning", "off"]
        assert at_replica("--user", "plain", *off).status == 0
        with self.paused(primary, replica):
            ran = at_replica("--user", "plain", *off, "--replica-lag-warning", "50ms")
        assert ran.status == 1

    @contextmanager
    def paused(self, primary: Cluster, replica: Cluster) -> Iterator[None]:
        """A replica that has received more than it replays."""
        primary.ask("CREATE TABLE IF NOT EXISTS news (id int)")
        until(lambda: follows(primary), "the replica follows")
        replica.ask("SELECT pg_wal_replay_pause()")
        primary.ask("INSERT INTO news VALUES (1)")
        behind = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
        until(lambda: replica.ask(behind), "the replica is behind")
        time.sleep(0.1)
        try:
            yield
        finally:
            replica.ask("SELECT pg_wal_replay_resume()")

    def test_primary_gone(self, at_replica: Command, primary: Cluster, replica: Cluster) -> None:
        primary.stop("fast")
        receivers = "SELECT count(*) FROM pg_stat_wal_receiver"
        until(lambda: replica.ask(receivers) == 0, "the stream ends")
        try:
            ran = at_replica()
        finally:
            primary.start(SETTINGS)
        assert ran.line.startswith(
            "POSTGRES CRITICAL - the replica receives nothing from its primary; "
            "check its log and primary_conninfo, 127.0.0.1:"
        )


class TestNoService:
    def test_no_socket(self, probe: Command, tmp_path: Path) -> None:
        ran = probe("--host", tmp_path)
        assert ran.line == f"POSTGRES CRITICAL - {tmp_path}: No such file or directory"

    @pytest.mark.parametrize("sslmode", ["prefer", "require"])
    def test_nonsense(self, probe: Command, sslmode: str) -> None:
        with listening(speak_http) as port:
            ran = probe("--port", port, "--sslmode", sslmode)
        assert ran.line.startswith(f"POSTGRES CRITICAL - 127.0.0.1:{port}: ")

    def test_starting_up(self, probe: Command, scratch: Cluster) -> None:
        (scratch.data / "standby.signal").touch()
        scratch.start(SETTINGS | {"restore_command": "sleep 60"}, wait=False)
        until(lambda: "starting up" in _refusal(scratch), "it starts up")
        assert probe("--port", scratch.port).line == (
            f"POSTGRES CRITICAL - 127.0.0.1:{scratch.port}: "
            "FATAL: the database system is starting up"
        )

    def test_shutting_down(self, probe: Command, scratch: Cluster) -> None:
        scratch.start(SETTINGS)
        with scratch.connect():
            scratch.stop("smart", wait=False)
            until(lambda: _refusal(scratch), "it shuts down")
            ran = probe("--port", scratch.port)
        assert ran.line == (
            f"POSTGRES CRITICAL - 127.0.0.1:{scratch.port}: "
            "FATAL: the database system is shutting down"
        )


def _refusal(cluster: Cluster) -> str:
    try:
        cluster.connect().close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


class TestTls:
    def test_trust(self, at_primary: Command, template: Path, tmp_path: Path) -> None:
        own, _ = certificate(tmp_path, "another")
        ca = tmp_path / "ca.crt"
        ca.write_bytes((template / "server.crt").read_bytes())
        full = ["--sslmode", "verify-full"]
        assert at_primary("--sslmode", "require").status == 0
        trusted = at_primary(*full, "--sslrootcert", ca)
        assert trusted.status == 0, trusted.line
        untrusted = at_primary(*full, PGSSLROOTCERT=own)
        assert untrusted.status == 2
        assert "certificate verify failed" in untrusted.line
        missing = at_primary(*full, "--sslrootcert", "/nowhere.crt")
        assert missing.status == 3
        assert '"/nowhere.crt" does not exist' in missing.line

    def test_server_without_tls(self, probe: Command, scratch: Cluster) -> None:
        scratch.start(SETTINGS | {"ssl": "off"})
        required = ["--port", scratch.port, "--sslmode", "require"]
        ran = probe(*required, PGUSER="admin")
        assert ran.status == 2
        assert "server does not support SSL, but SSL was required" in ran.line


class TestSettings:
    def test_urls(self, at_primary: Command, primary: Cluster, tmp_path: Path) -> None:
        address = f"127.0.0.1:{primary.port}/postgres"
        right = f"looker:{PASSWORD}@{address}"
        elsewhere = {"PGPORT": "1", "PGUSER": "nobody", "PGPASSWORD": "wr0ng"}
        for url in (
            f"postgresql://{right}",
            f"postgres://{right}?sslmode=disable",
            f"postgresql+asyncpg://{right}",
            f"host=127.0.0.1 port={primary.port} user=looker password={PASSWORD} dbname=postgres",
        ):
            ran = at_primary(DATABASE_URL=url, **elsewhere)
            assert ran.status == 0, ran.line
        secret = tmp_path / "secret"
        secret.write_text(PASSWORD)
        without = {"DATABASE_URL": f"postgresql://looker@{address}", "PGPASSWORD": ""}
        assert at_primary(**without).status == 3
        assert at_primary(**without, PGPASSWORD_FILE=secret).status == 0
        pgpass = tmp_path / "pgpass"
        pgpass.write_text(f"*:*:*:*:{PASSWORD}")
        pgpass.chmod(0o600)
        assert at_primary(**without, PGPASSFILE=pgpass).status == 0

    def test_env_file(self, at_primary: Command, primary: Cluster, tmp_path: Path) -> None:
        env_file = tmp_path / "hcrun.env"
        env_file.write_text(
            f"PGHOST=127.0.0.1\nPGPORT={primary.port}\nPGUSER=looker\nPGDATABASE=postgres\n"
            f"PGPASSWORD={PASSWORD}\nPGAPPNAME=from-file\nPROBE_POSTGRES_SIZE_WARNING=1MB\n"
        )
        for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD"):
            del at_primary.environ[name]
        at_primary.environ["HCRUN_ENV_FILE"] = str(env_file)
        assert "postgres has" in at_primary().line.partition(" (over 1.0 MB)")[0]
        assert at_primary(PROBE_POSTGRES_SIZE_WARNING="off").status == 0
        assert "Connection refused" in at_primary(PGPORT="1").line

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--port", "x"], "'x' is not a port"),
            (["--sslmode", "maybe"], "'maybe' is not one of 'disable'"),
            (["--long-query-warning", "30%"], "'30%' is not a threshold; write it like 30s"),
            (["argument"], "Got unexpected extra argument (argument)"),
        ],
    )
    def test_wrong_usage(self, probe: Command, flags: list[str], message: str) -> None:
        assert message in probe.misused(*flags).line


LIMITS = default_ranges(PROBE)


def test_evaluate_sessions() -> None:
    server = Server("looker", "app", False, True, 10)
    sessions = [
        Session(1, "looker", "active", 999, 999),  # the probe's own
        Session(2, "app", "active", 31, 31),
        Session(3, "app", "active", 400, 400),
        Session(4, "app", "active", 1, 1),
        Session(5, "app", "idle", 9999, 9999),
        Session(6, "app", "idle in transaction", 9999, 299),
        Session(7, "app", "idle in transaction (aborted)", 9999, 301),
        Session(8, "app", None, None, None),
    ]
    readings = evaluate_sessions(server, sessions, 1, LIMITS)
    assert {reading.label: reading.message() for reading in readings} == {
        "connections": "8 of 10 connections",
        "long_query": "2 sessions running for 6 min 40 s (over 30 s); "
        "check pid 3 of app in pg_stat_activity",
        "idle_in_transaction": "1 session idle in transaction for 5 min 1 s (over 5 min); "
        "check pid 7 of app in pg_stat_activity",
    }


@pytest.mark.parametrize(
    ("share", "status"), [(0.1, Status.OK), (0.51, Status.WARNING), (0.76, Status.CRITICAL)]
)
def test_evaluate_wraparound(share: float, status: Status) -> None:
    reading = evaluate_wraparound("app", int(share * HORIZON), LIMITS)
    assert reading.status is status
    assert (f"app is at {share:.0%} of" in reading.message()) == (status is not Status.OK)


@pytest.mark.parametrize(
    ("replica", "statuses"),
    [
        (Replica(streams=True, receives=True, is_paused=False, lag=0), [0]),
        (Replica(streams=True, receives=True, is_paused=False, lag=31), [1]),
        (Replica(streams=True, receives=True, is_paused=False, lag=301), [2]),
        (Replica(streams=True, receives=True, is_paused=False, lag=None), [3]),
        (Replica(streams=True, receives=True, is_paused=True, lag=0), [1, 0]),
        (Replica(streams=True, receives=False, is_paused=False, lag=0), [2, 0]),
        (Replica(streams=False, receives=False, is_paused=False, lag=5), [0]),
    ],
)
def test_evaluate_replica(replica: Replica, statuses: list[int]) -> None:
    assert [reading.status for reading in evaluate_replica(replica, LIMITS)] == statuses
