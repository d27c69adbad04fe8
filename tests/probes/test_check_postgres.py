"""probe-postgres, through its command line, on real servers and on what only looks like one."""

import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from probes.check_postgres import (
    HORIZON,
    PROBE,
    Replica,
    Slot,
    evaluate_replica,
    evaluate_slots,
    evaluate_wraparound,
)
from probes.clients.postgres_sessions import Session, evaluate_blocked, evaluate_busy
from probes.framework.verdict import Status
from tests.servers.postgres import PASSWORD, SETTINGS, Cluster, clone, cluster_of, follows
from tests.servers.process import (
    Command,
    Like,
    certificate,
    deaf,
    listening,
    once,
    speak_http,
    until,
)
from tests.servers.ranges import default_ranges

pytestmark = pytest.mark.slow

READINGS = (
    "latency=#s;8;;0 connections=#;7.2;8.1;0;9 long_query=#s;30;;0 "
    "idle_in_transaction=#s;300;;0 blocked=#s;30;;0 "
    "wraparound=#;1073741824;1610612736;0;2147483648 size=#B;;;0"
)
SLOTS = "slot_wal=#B;1000000000;;0"
OFF = [f"--{name}-warning=off" for name in ("long-query", "idle-in-transaction", "blocked")]


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


def test_the_first_host_of_a_list_is_silent(at_primary: Command, primary: Cluster) -> None:
    with deaf("127.0.0.2") as port:
        ran = at_primary(
            *("--timeout", "6s", "--latency-warning", "off"),
            PGHOST="127.0.0.2,127.0.0.1",
            PGPORT=f"{port},{primary.port}",
        )
    assert ran.status == 0, ran


class TestPrimary:
    def test_healthy(self, at_primary: Command, primary: Cluster) -> None:
        assert at_primary().line == Like(
            f"POSTGRES OK - 127.0.0.1:{primary.port} answers in #T, # of 9 connections, "
            f"postgres has #B | {READINGS} {SLOTS} replicas=#;;;0"
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
        assert f"(over 50 ms); see pid {pid} of admin in pg_stat_activity, " in ran.line
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
        assert f"; see pid {pid} of admin in pg_stat_activity, " in ran.line

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
        assert ran.seconds < 8
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        until(lambda: primary.ask(asleep) == 0, "the query ends with the probe's time")


def _state(cluster: Cluster, pid: int) -> str:
    return str(cluster.ask(f"SELECT state FROM pg_stat_activity WHERE pid = {pid}"))  # noqa: S608 - a number


class TestWrites:
    """Whether the server takes writes."""

    def test_database_that_is_read_only(self, at_primary: Command, primary: Cluster) -> None:
        primary.ask("CREATE DATABASE frozen")
        primary.ask("ALTER DATABASE frozen SET default_transaction_read_only = on")
        at_frozen = ["--dbname", "frozen"]
        ran, whoever = at_primary(*at_frozen), at_primary(*at_frozen, "--expect", "any")
        assert ran.status == 2
        assert ran.line.startswith(
            "POSTGRES CRITICAL - takes no writes: default_transaction_read_only is on (database); "
            "find out why, such as a full disk, before you reset it, 127.0.0.1:"
        )
        assert whoever.status == 0

    def test_role_that_is_read_only(self, at_primary: Command, primary: Cluster) -> None:
        """That is what a role for monitoring often is."""
        primary.ask("ALTER ROLE looker SET default_transaction_read_only = on")
        try:
            ran = at_primary()
        finally:
            primary.ask("ALTER ROLE looker RESET default_transaction_read_only")
        assert ran.status == 0
        assert at_primary(PGOPTIONS="-c default_transaction_read_only=on").status == 0

    def test_server_that_is_read_only(self, probe: Command, scratch: Cluster) -> None:
        scratch.start(SETTINGS | {"default_transaction_read_only": "on"})
        ran = probe("--port", scratch.port, "--user", "admin")
        assert ran.status == 2
        assert "default_transaction_read_only is on (command line); find out" in ran.line

    def test_primary_where_a_standby_is_expected(self, at_primary: Command) -> None:
        ran = at_primary("--expect", "standby")
        assert ran.line.startswith(
            "POSTGRES CRITICAL - a primary, not a standby; check whether there was a failover, "
        )

    def test_no_synchronous_standby(self, at_primary: Command, primary: Cluster) -> None:
        with synchronous(primary):
            ran = at_primary()
            local = at_primary(PGOPTIONS="-c synchronous_commit=local")
        assert ran.line.startswith(
            "POSTGRES CRITICAL - commits wait for a synchronous standby, and none is connected; "
            "start the standby, or change synchronous_standby_names, 127.0.0.1:"
        )
        assert local.status == 0

    def test_slot_without_a_reader(self, at_primary: Command, primary: Cluster) -> None:
        primary.ask("SELECT pg_create_physical_replication_slot('old_replica', true)")
        try:
            primary.ask("SELECT pg_switch_wal() FROM txid_current()")
            ran = at_primary("--slot-wal-warning", "1MB")
            usual = at_primary()
        finally:
            primary.ask("SELECT pg_drop_replication_slot('old_replica')")
        assert ran.line.startswith(
            "POSTGRES WARNING - replication slot old_replica (inactive) holds "
        )
        assert (
            "(over 1.0 MB); start or mend what reads it; if you drop the slot, that must be built"
        ) in ran.line
        assert (usual.status, "old_replica" in usual.line) == (0, False)

    def test_service_without_a_function(self, at_primary: Command, primary: Cluster) -> None:
        """As on Aurora, which refuses functions of replication."""
        primary.ask("CREATE SCHEMA aurora; GRANT USAGE ON SCHEMA aurora TO looker")
        primary.ask(
            "CREATE FUNCTION aurora.pg_wal_lsn_diff(pg_lsn, pg_lsn) RETURNS numeric LANGUAGE "
            "plpgsql AS $$BEGIN RAISE feature_not_supported USING MESSAGE = 'no WAL here'; END$$"
        )
        primary.ask("SELECT pg_create_physical_replication_slot('any', true)")
        try:
            options = "-c search_path=aurora,pg_catalog"
            quiet, said = at_primary(PGOPTIONS=options), at_primary("--verbose", PGOPTIONS=options)
        finally:
            primary.ask("SELECT pg_drop_replication_slot('any')")
        assert (quiet.status, "slot" in quiet.line) == (0, False)
        assert "replication slots left out: no WAL here" in said.line


@contextmanager
def synchronous(primary: Cluster) -> Iterator[None]:
    """A primary whose commits wait for a standby that is not there."""

    def change(names: str) -> None:
        with primary.connect() as connection:
            connection.execute("SET synchronous_commit = local")
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'".encode())
            connection.execute("SELECT pg_reload_conf()")
        until(lambda: primary.ask("SHOW synchronous_standby_names") == names, "it is in effect")

    change("missing")
    try:
        yield
    finally:
        change("")


class TestBlocked:
    def test_who_blocks_whom(self, at_primary: Command, primary: Cluster) -> None:
        primary.ask("CREATE TABLE IF NOT EXISTS busy (id int)")
        with primary.connect() as holder, closing(primary.connect()) as waiter:
            holder.execute("SET application_name = 'billing'; BEGIN; LOCK TABLE busy")
            waiter.execute("SET application_name = 'web'")
            waiter.pgconn.send_query(b"SELECT count(*) FROM busy")
            waits = f"SELECT cardinality(pg_blocking_pids({waiter.info.backend_pid}))"
            until(lambda: primary.ask(waits) == 1, "the query waits")
            ran = at_primary("--blocked-critical", "0")
            usual = at_primary()
            pids = holder.info.backend_pid, waiter.info.backend_pid
            holder.execute("ROLLBACK")
        assert ran.status == 2
        assert ran.line.startswith(
            f"POSTGRES CRITICAL - 1 session blocked, pid {pids[1]} of admin (web) for "
        )
        assert f" by pid {pids[0]} of admin (billing), idle in transaction for " in ran.line
        assert " (over 0 s); ending what blocks them rolls its transaction back, " in ran.line
        assert (usual.status, "blocked," in usual.line) == (0, False)

    def test_dump(self, at_primary: Command, primary: Cluster) -> None:
        """A real pg_dump that waits for a lock runs for long, and idles in its transaction."""
        primary.ask("CREATE TABLE IF NOT EXISTS busy (id int)")
        with primary.connect() as holder:
            holder.execute("BEGIN; LOCK TABLE busy")
            dump = subprocess.Popen(
                ["pg_dump", "-h", "127.0.0.1", "-p", str(primary.port), "-U", "admin", "postgres"],
                env={"PATH": os.environ["PATH"], "PGPASSWORD": PASSWORD},
                stdout=subprocess.DEVNULL,
            )
            waits = (
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"
            )
            until(lambda: primary.ask(waits) == 1, "the dump waits")
            flags = ["--long-query-critical", "0", "--idle-in-transaction-warning", "off"]
            usual, role = at_primary(*flags), at_primary(*flags, "--ignore", "admin")
            shown = at_primary(*flags, "--ignore", "nobody")
            holder.execute("ROLLBACK")
        assert dump.wait(30) == 0
        assert (usual.status, role.status, shown.status) == (0, 0, 2)
        assert "(pg_dump) in pg_stat_activity" in shown.line


class TestRights:
    def test_role_without_pg_monitor(self, at_primary: Command) -> None:
        assert at_primary("--user", "plain").line == Like(
            "POSTGRES UNKNOWN - plain cannot see the queries of other roles; "
            'GRANT pg_monitor TO "plain", '
            "127.0.0.1:# answers in #T, # of 9 connections, postgres has #B | "
            "latency=#s;8;;0 connections=#;7.2;8.1;0;9 "
            f"wraparound=#;1073741824;1610612736;0;2147483648 size=#B;;;0 {SLOTS} replicas=#;;;0"
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
        assert at_primary("--user", "plain", *OFF).status == 0

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
        probe.environ |= {"PGPORT": str(replica.port), "PROBE_POSTGRES_EXPECT": "standby"}
        return probe

    def test_healthy(self, at_replica: Command, replica: Cluster) -> None:
        assert at_replica().line == Like(
            f"POSTGRES OK - 127.0.0.1:{replica.port} answers in #T, # of 9 connections, "
            f"postgres has #B, replica 0 s behind | {READINGS} {SLOTS} replica_lag=#s;30;300;0"
        )

    def test_primary_knows_it(self, at_replica: Command, primary: Cluster) -> None:
        at_primary = ["--port", primary.port, "--expect", "primary"]
        one = at_replica(*at_primary, "--replicas-warning", "1:")
        assert (one.status, ", 1 replica |" in one.line) == (0, True)
        two = at_replica(*at_primary, "--replicas-critical", "2:")
        assert two.line.startswith("POSTGRES CRITICAL - 1 replica (under 2), ")

    def test_where_a_primary_is_expected(self, at_replica: Command) -> None:
        ran = at_replica("--expect", "primary")
        assert ran.line.startswith(
            "POSTGRES CRITICAL - a standby, which takes no writes; connect to the primary, or give "
            "--expect standby if it is a replica by design, 127.0.0.1:"
        )
        assert at_replica("--expect", "any").status == 0

    def test_failover(self, probe: Command, primary: Cluster) -> None:
        """The standby of before is the primary."""
        with cluster_of(None) as standby:
            clone(primary, standby)
            before = probe("--port", standby.port).status
            standby.call("pg_ctl", "promote", "-w", "-D", standby.data)
            assert (before, probe("--port", standby.port).status) == (2, 0)
            assert probe("--port", standby.port, "--expect", "standby").status == 2

    def test_paused(self, at_replica: Command, primary: Cluster, replica: Cluster) -> None:
        with self.paused(primary, replica):
            ran = at_replica("--replica-lag-critical", "50ms")
        assert ran.line == Like(
            "POSTGRES CRITICAL - replica # s behind (over 50 ms), replay is paused; "
            f"SELECT pg_wal_replay_resume(), 127.0.0.1:{replica.port} answers in #T, "
            f"# of 9 connections, postgres has #B | {READINGS} {SLOTS} replica_lag=#s;30;0.05;0"
        )

    def test_role_without_pg_monitor_sees_it_too(
        self, at_replica: Command, primary: Cluster, replica: Cluster
    ) -> None:
        assert at_replica("--user", "plain", *OFF).status == 0
        with self.paused(primary, replica):
            ran = at_replica("--user", "plain", *OFF, "--replica-lag-warning", "50ms")
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


def _refusal(cluster: Cluster, **more: str) -> str:
    try:
        cluster.connect(**more).close()
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
        start = f"POSTGRES CRITICAL - 127.0.0.1:{scratch.port}: "
        assert probe(*required).line == (
            f"{start}server does not support SSL, but SSL was required; "
            "this port has no TLS: set ssl = on in the server, or --sslmode prefer"
        )
        at_once = probe(*required, PGSSLNEGOTIATION="direct").line
        assert at_once.startswith(f"{start}SSL error: ")
        assert at_once.endswith("; does this port take TLS at once? if not, unset PGSSLNEGOTIATION")

    def test_server_that_wants_tls(self, probe: Command, scratch: Cluster) -> None:
        rules = scratch.data / "pg_hba.conf"
        rules.write_text("hostssl all all all scram-sha-256\n")
        scratch.start(SETTINGS, wait=False)
        until(lambda: "no encryption" in _refusal(scratch, sslmode="disable"), "it is up")
        ran = probe("--port", scratch.port, "--sslmode", "disable")
        assert ran.status == 3
        assert ran.line.endswith(", no encryption; the server may want TLS: give --sslmode require")

    @pytest.mark.parametrize("sslmode", ["disable", "prefer", "require"])
    def test_port_that_takes_tls_at_once(
        self, probe: Command, tmp_path: Path, sslmode: str
    ) -> None:
        """OpenSSL hangs up, others answer with an alert."""
        chain = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chain.load_cert_chain(*certificate(tmp_path))

        def serve(connection: socket.socket) -> None:
            with suppress(OSError), chain.wrap_socket(connection, server_side=True):
                pass

        hint = "wants TLS at once{} set PGSSLNEGOTIATION=direct and PGSSLMODE=require"
        for server, sign in ((serve, ","), (once(b"\x15\x03\x01\0\x02\x02\x46"), ":")):
            with listening(server) as port:
                ran = probe("--port", port, "--sslmode", sslmode)
            assert ran.status == 2
            assert ran.line.endswith(hint.format(sign))


class TestSettings:
    def test_urls(self, at_primary: Command, primary: Cluster, tmp_path: Path) -> None:
        address = f"127.0.0.1:{primary.port}/postgres"
        right = f"looker:{PASSWORD}@{address}"
        elsewhere = {"PGPORT": "1", "PGUSER": "nobody", "PGPASSWORD": "wr0ng"}
        for url in (
            f"postgresql://{right}",
            f"postgres://{right}?sslmode=disable",
            f"postgresql+asyncpg://{right}?ssl=require&prepared_statement_cache_size=0",
            f"postgresql+psycopg://{right}?sslmode=no-verify&connect_timeout=5",
            f"postgis://{right}?schema=public&connection_limit=5&pool_timeout=2&pgbouncer=true",
            f"jdbc:postgresql://{address}?user=looker&password={PASSWORD}&currentSchema=app&ssl=true",
            f"pgsql://{right}?pool_max_conns=4&pool=5&statement_cache_capacity=0&connectTimeout=3",
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

    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            (
                "postgres://me:s3cr3t@db/app?schema=a&sslmod=require",
                "has the unknown parameter sslmod",
            ),
            ("postgres://me:s3cr3t@db/app?ssl=s3cr3t", "has the unknown parameter ssl"),
            ("mysql://me:s3cr3t@db/app", "is not a URL of PostgreSQL, but of mysql"),
            ("postgres://me:s3cr3t@db/app?sslmode", "is not a valid URL"),
            ("postgres://me:p?s3cr3t=1@db/app", "is not a valid URL"),
        ],
    )
    def test_url_that_is_not_understood(self, probe: Command, url: str, problem: str) -> None:
        ran = probe(DATABASE_URL=url)
        assert ran.line.startswith(f"POSTGRES UNKNOWN - DATABASE_URL: {problem}; ")
        assert (ran.status, "s3cr3t" in ran.line) == (3, False)

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


def session(pid: int, state: str | None, seconds: float = 0, **more: Any) -> Session:
    given = {"application": "", "waiting": None, "blockers": None} | more
    return Session(pid, "app", state=state, running=seconds, resting=seconds, **given)


def test_evaluate_busy() -> None:
    sessions = [
        session(2, "active", 31),
        session(3, "active", 400, application="web"),
        session(4, "active", 1),
        session(5, "idle", 9999),
        session(6, "idle in transaction", 299),
        session(7, "idle in transaction (aborted)", 301),
        session(8, None),
        session(9, "active", 9999, application="pg_dump"),
        session(10, "idle in transaction", 9999, application="pg_dump"),
    ]
    readings = evaluate_busy(sessions, ["pg_dump"], LIMITS)
    assert {reading.label: reading.message() for reading in readings} == {
        "long_query": "2 sessions running for 6 min 40 s (over 30 s); "
        "see pid 3 of app (web) in pg_stat_activity",
        "idle_in_transaction": "1 session idle in transaction for 5 min 1 s (over 5 min); "
        "see pid 7 of app in pg_stat_activity",
    }


@pytest.mark.parametrize(
    ("blockers", "words"),
    [
        ({1: [2], 2: [3]}, "by pid 3 of app, active for 40 s"),
        ({1: [0]}, "by a prepared transaction (pg_prepared_xacts)"),
        ({1: [77]}, "by pid 77"),
        ({1: [2], 2: [1]}, "by pid 2"),
        ({1: []}, ""),
    ],
)
def test_evaluate_blocked(blockers: dict[int, list[int]], words: str) -> None:
    sessions = [
        session(pid, "active", 40, waiting=(41 - pid if pid in blockers else None),
                blockers=blockers.get(pid))
        for pid in (1, 2, 3)
    ]  # fmt: skip
    text = evaluate_blocked(sessions, LIMITS).message()
    assert text.partition("pid 1 of app for 40 s")[2].partition(" (over 30 s); ")[0] == (
        f" {words}" if words else ""
    )


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


@pytest.mark.parametrize(
    ("slots", "words"),
    [
        ([], [""]),
        ([Slot("a", True, 5, "reserved"), Slot("b", False, None, None)], [""]),
        (
            [Slot("a", True, 2 * 10**9, "extended"), Slot("b", False, 5, "reserved")],
            ["replication slot a (active) holds 2.0 GB of WAL (over 1.0 GB); "],
        ),
        ([Slot("a", False, None, "lost")], ["replication slot a has lost WAL; ", ""]),
    ],
)
def test_evaluate_slots(slots: list[Slot], words: list[str]) -> None:
    found = [reading.message() for reading in evaluate_slots(slots, LIMITS)]
    assert len(found) == len(words)
    assert all(text.startswith(start) for text, start in zip(found, words, strict=True))
