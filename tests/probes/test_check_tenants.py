"""probe-tenants, through its command line, on real databases and a stub of Healthchecks."""

import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from probes.check_tenants import PROBE, as_tenant, evaluate
from probes.clients.tenant_checks import slug
from probes.clients.tenant_visits import Visit
from probes.framework.probe import UnknownError
from probes.framework.verdict import Status
from tests.servers.postgres import PASSWORD, Cluster
from tests.servers.process import Command, Like, free_port, hang, listening, speak_http
from tests.servers.ranges import default_ranges
from tests.stub.healthchecks import Check, Fault, HealthchecksStub, hangs

pytestmark = pytest.mark.slow

TENANTS = ("acme", "globex", "initech")
SQL = "SELECT name FROM tenants WHERE active ORDER BY name"
WITH_URL = "SELECT name, coalesce(url, name) FROM tenants WHERE active ORDER BY name"
PERFDATA = "tenants=3;;1:;0 failed=0;;0;0;3 slowest=#s;8;;0"


@pytest.fixture(scope="module")
def tenants(primary: Cluster) -> Cluster:
    """A database for each of the tenants, and a list of them, with one that is not active."""
    primary.ask("CREATE TABLE tenants (name text, url text, active bool DEFAULT true)")
    primary.ask("GRANT SELECT ON tenants TO plain")
    for name in TENANTS:
        primary.ask(f"CREATE DATABASE {name}")
    primary.ask("CREATE DATABASE closed")
    primary.ask("REVOKE CONNECT ON DATABASE closed FROM public")
    return primary


@pytest.fixture
def at(libpq_probe: Command, tenants: Cluster) -> Iterator[Command]:
    """The probe as `plain`, who finds the list in the database `postgres`."""
    rows = ", ".join(f"('{name}')" for name in TENANTS)
    tenants.ask(f"INSERT INTO tenants VALUES {rows}")  # noqa: S608 - ours
    tenants.ask("INSERT INTO tenants VALUES ('gone', NULL, false)")
    libpq_probe.environ |= {"PGPORT": str(tenants.port), "PROBE_TENANTS_SQL": SQL}
    libpq_probe.environ["PROBE_TENANTS_AT_ONCE"] = "5"
    yield libpq_probe
    tenants.ask("TRUNCATE tenants")


def set_url(tenants: Cluster, name: str, url: str) -> None:
    tenants.ask(f"UPDATE tenants SET url = '{url}' WHERE name = '{name}'")  # noqa: S608 - ours


class TestList:
    def test_from_sql(self, at: Command) -> None:
        ran = at()
        assert ran.status == 0
        line = ran.line
        for name in TENANTS:
            line = line.replace(f"slowest is {name} with", "slowest is NAME with")
        assert line == Like(f"TENANTS OK - 3 tenants, slowest is NAME with #T | {PERFDATA}")

    def test_from_options(self, at: Command) -> None:
        _, readings = at.json("--tenant", "acme", "--tenant", "big=globex", PROBE_TENANTS_SQL="")
        assert readings["tenants"]["value"] == 2
        _, readings = at.json(PROBE_TENANTS_LIST="acme initech", PROBE_TENANTS_SQL="")
        assert readings["tenants"]["value"] == 2
        _, readings = at.json("--tenant", "another=acme")
        assert readings["tenants"]["value"] == 4

    def test_where_they_are(self, at: Command, tenants: Cluster) -> None:
        address = f"127.0.0.1:{tenants.port}"
        set_url(tenants, "acme", f"postgresql+asyncpg://looker:{PASSWORD}@{address}/acme")
        set_url(tenants, "globex", f"host=localhost port={tenants.port} dbname=globex")
        set_url(tenants, "initech", "initech")
        ran = at("--tenant-sql", WITH_URL)
        assert ran.status == 0, ran.line

    def test_other_columns_than_text(self, at: Command) -> None:
        sql = "SELECT 7, 'acme' UNION SELECT 8, 'globex'"
        assert at("--tenant-sql", sql).status == 0

    @pytest.mark.parametrize(
        ("sql", "words"),
        [
            ("SELECT 1, 2, 3", "the list of tenants has 3 columns; select a name, and a database "),
            ("SELECT NULL", "a tenant in the list has no name; fix the query"),
            ("SELECT '', 'acme'", "a tenant in the list has no name; fix the query"),
            (
                "VALUES ('acme', 'acme'), ('acme', 'globex')",
                "the list has acme 2 times; use unique names, 2 tenants | tenants=2;;1:;0",
            ),
            ("DELETE FROM tenants RETURNING name", "TARGET: cannot execute DELETE in a read-only "),
            ("SELECT nonsense", 'TARGET: column "nonsense" does not exist; fix the query'),
        ],
    )
    def test_wrong(self, at: Command, tenants: Cluster, sql: str, words: str) -> None:
        ran = at("--tenant-sql", sql)
        target = f"127.0.0.1:{tenants.port}"
        assert ran.line.startswith(f"TENANTS UNKNOWN - {words.replace('TARGET', target)}")
        assert "s3cr3t" not in ran.line

    def test_one_bad_entry_hides_nobody(self, at: Command, tenants: Cluster) -> None:
        sql = (
            "VALUES ('acme', 'acme'), ('globex', 'nowhere'), ('hooli', NULL), "
            "('initech', 'postgresql://me:s3cr3t@host:port/db'), ('umbrella', '')"
        )
        ran = at("--tenant-sql", sql)
        assert ran.line.startswith(
            f"TENANTS CRITICAL - 1 of 5 tenants not reached: globex: 127.0.0.1:{tenants.port}: "
            'FATAL: database "nowhere" does not exist (over 0), 3 of 5 tenants cannot be '
            "checked: hooli, umbrella: no database or URL in the list; "
            "initech: invalid URL in the list, 5 tenants, slowest is acme with "
        )
        assert "s3cr3t" not in ran.line

    def test_how_many(self, at: Command) -> None:
        assert at("--tenant-sql", "SELECT name FROM tenants WHERE false").line == (
            "TENANTS CRITICAL - 0 tenants (under 1) | tenants=0;;1:;0 failed=0;;0;0;0"
        )
        assert at("--tenant-sql", f"{SQL} LIMIT 0", "--min-tenants", 0).status == 0
        few = at("--min-tenants", 4)
        assert few.line.startswith("TENANTS CRITICAL - 3 tenants (under 4), slowest is ")


class TestNotReached:
    def test_no_database(self, at: Command, tenants: Cluster) -> None:
        set_url(tenants, "globex", "nowhere")
        ran = at("--tenant-sql", WITH_URL)
        assert ran.line.startswith(
            f"TENANTS CRITICAL - 1 of 3 tenants not reached: globex: 127.0.0.1:{tenants.port}: "
            'FATAL: database "nowhere" does not exist (over 0), 3 tenants, slowest is '
        )
        assert " failed=1;;0;0;3 " in ran.line
        assert at("--tenant-sql", WITH_URL, "--failed-critical", "off").status == 0
        some = at("--tenant-sql", WITH_URL, "--failed-critical", "50%", "--failed-warning", "30%")
        assert some.status == 1

    def test_slowest(self, at: Command) -> None:
        ran = at("--slowest-warning", "0")
        assert ran.line.startswith("TENANTS WARNING - slowest is ")
        assert "s (over 0 s), 3 tenants | tenants=" in ran.line

    def test_elsewhere(self, at: Command, tenants: Cluster) -> None:
        """One server refuses, one hangs, one talks nonsense, and one has a pooler before it."""
        port = free_port()
        with listening(hang) as hung, listening(speak_http) as http, listening(pooler) as pooled:
            set_url(tenants, "acme", f"postgresql://127.0.0.1:{port}/acme")
            set_url(tenants, "globex", f"postgresql://127.0.0.1:{hung}/globex")
            set_url(tenants, "initech", f"postgresql://127.0.0.1:{http}/initech")
            for name, where in (("hooli", pooled), ("umbrella", port)):
                url = f"postgresql://127.0.0.1:{where}/{name}?sslmode=disable"
                tenants.ask(f"INSERT INTO tenants VALUES ('{name}', '{url}')")  # noqa: S608
            tenants.ask("INSERT INTO tenants VALUES ('fine', 'acme')")
            ran = at("--tenant-sql", WITH_URL, "--tenant-timeout", "1s")
        assert ran.status == 2
        start, _, rest = ran.line.partition(" not reached: ")
        assert start == "TENANTS CRITICAL - 5 of 6 tenants"
        reasons = rest.partition(" (over 0), 6 tenants, slowest is fine with ")[0].split("; ")
        assert reasons[:3] == [
            f"acme, umbrella: 127.0.0.1:{port}: Connection refused",
            f"globex: no answer from 127.0.0.1:{hung} within 1 s",
            f"hooli: no answer from 127.0.0.1:{pooled} within 1 s",
        ]
        assert reasons[3].startswith(f"initech: 127.0.0.1:{http}: received invalid response")
        assert ran.seconds < 8

    def test_query_refused(self, at: Command, tenants: Cluster) -> None:
        with listening(broken_pooler) as port:
            set_url(tenants, "acme", f"postgresql://127.0.0.1:{port}/acme?sslmode=disable")
            ran = at("--tenant-sql", WITH_URL)
        assert ran.status == 2
        assert f"not reached: acme: 127.0.0.1:{port}: server is gone (over" in ran.line

    def test_not_let_in(self, at: Command, tenants: Cluster) -> None:
        set_url(tenants, "acme", f"postgresql://plain:wr0ng@127.0.0.1:{tenants.port}/acme")
        set_url(tenants, "globex", "closed")
        ran = at("--tenant-sql", WITH_URL)
        where = f"127.0.0.1:{tenants.port}: FATAL:"
        assert ran.line.startswith(
            "TENANTS UNKNOWN - 2 of 3 tenants cannot be checked: "
            f'acme: {where} password authentication failed for user "plain"; check user and '
            f'password; globex: {where} permission denied for database "closed", 3 tenants, slow'
        )
        assert "wr0ng" not in ran.line

    def test_no_room(self, at: Command) -> None:
        """Nine connections are left to such roles."""
        sql = "SELECT 'tenant' || i, 'acme' FROM generate_series(1, 60) i"
        ran = at("--tenant-sql", sql, "--at-once", 40)
        assert ran.status == 2
        assert "slots" in ran.line or "too many clients" in ran.line
        assert "; raise max_connections, or put a pooler before it" in ran.line


class TestEach:
    def test_readings(self, at: Command, tenants: Cluster) -> None:
        set_url(tenants, "globex", "nowhere")
        tenants.ask("INSERT INTO tenants VALUES ('hidden', 'closed')")
        flags = ["--tenant-sql", WITH_URL, "--per-tenant"]
        assert at(*flags).line.partition(" slowest=")[2].partition(" ")[2] == Like(
            "tenant_up/acme=1;;;0;1 tenant_time/acme=#s;;;0 tenant_up/globex=0;;;0;1 "
            "tenant_up/initech=1;;;0;1 tenant_time/initech=#s;;;0"
        )
        assert "tenant_up" not in at().line


class TestMany:
    @pytest.mark.slow
    def test_five_hundred(self, at: Command) -> None:
        """The same database under as many names: to the server they are connections."""
        sql = "SELECT 'tenant' || i, 'acme' FROM generate_series(1, 500) i"
        ran = at("--tenant-sql", sql, "--timeout", "25s", "--slowest-warning", "off")
        assert ran.line.startswith("TENANTS OK - 500 tenants, slowest is tenant")

    def test_no_time_for_all(self, at: Command) -> None:
        sql = "SELECT 'tenant' || i, 'acme' FROM generate_series(1, 20000) i"
        ran = at("--tenant-sql", sql, "--timeout", "4s", "--slowest-warning", "off")
        assert ran.status == 3
        assert ran.line.partition(", slowest is ")[0] == Like(
            "TENANTS UNKNOWN - # of 20,000 tenants checked in time; "
            "raise --timeout or --at-once, 20,000 tenants"
        )
        assert ran.seconds < 8

    def test_hundreds_hang(self, at: Command) -> None:
        with listening(hang) as port:
            url = f"'postgresql://127.0.0.1:{port}/x'"
            sql = f"SELECT 'tenant' || i, {url} FROM generate_series(1, 500) i"  # noqa: S608
            ran = at("--tenant-sql", sql, "--timeout", "4s", "--tenant-timeout", "400ms")
        assert ran.status == 2
        assert " of 500 tenants not reached: tenant1, tenant10, " in ran.line
        assert f" more: no answer from 127.0.0.1:{port} within 0.4 s (over 0), " in ran.line
        assert " of 500 tenants checked in time; raise --timeout or" in ran.line
        assert ran.seconds < 8

    def test_all_hang_in_a_short_time(self, at: Command) -> None:
        """A tenant's time is cut to what the probe has, but is never said to be longer."""
        with listening(hang) as port:
            tenant = f"acme=postgresql://127.0.0.1:{port}/x"
            ran = at("--tenant", tenant, "--timeout", "2s", PROBE_TENANTS_SQL="")
        assert ran.status == 2
        assert f"not reached: acme: no answer from 127.0.0.1:{port} within 0." in ran.line


class TestPings:
    @pytest.fixture
    def at(self, at: Command, stub: HealthchecksStub) -> Command:
        at.environ |= {
            "HEALTHCHECKS_PING_URL": stub.ping_url,
            "HEALTHCHECKS_PING_KEY": stub.ping_key,
            "HEALTHCHECKS_API_URL": stub.api_url,
            "HEALTHCHECKS_API_KEY": stub.api_key,
            "HCRUN_CHECK": "active-tenants",
            "PROBE_TENANTS_PING": "true",
        }
        return at

    def test_one_each(self, at: Command, tenants: Cluster, stub: HealthchecksStub) -> None:
        checks = {name: stub.add_check(f"tenant-{name}") for name in TENANTS}
        set_url(tenants, "globex", "nowhere")
        set_url(tenants, "initech", f"postgresql://plain:wr0ng@127.0.0.1:{tenants.port}/initech")
        ran = at("--tenant-sql", WITH_URL)
        assert ran.status == 2
        pings = {name: stub.wait_for(check, 1) for name, check in checks.items()}
        assert [(p.kind, p.rid) for found in pings.values() for p in found] == [
            ("success", None),
            ("fail", None),
            ("log", None),
        ]
        where = f"127.0.0.1:{tenants.port}: FATAL: "
        assert pings["acme"][0].body.decode() == Like("answers in #T")
        assert pings["globex"][0].body.decode() == f'{where}database "nowhere" does not exist'
        assert pings["initech"][0].body.decode().startswith(f"{where}password authentication fai")

    def test_not_asked_for(self, at: Command, stub: HealthchecksStub) -> None:
        assert at("--no-ping").status == 0
        assert at(HEALTHCHECKS_ENABLED="false").status == 0
        assert stub.requests == []

    def test_made_when_missing(self, at: Command, stub: HealthchecksStub) -> None:
        """Like the check that runs the probe: its period, tier and channels."""
        mail, _phone = stub.add_channel("email"), stub.add_channel("phone", "call")
        model = model_of(stub)
        model.channels = {mail.id}
        missing = at()
        assert missing.line.startswith(
            "TENANTS WARNING - 3 of 3 pings not accepted: no check has the slug tenant-"
        )
        assert "; add --create to " in missing.line
        assert stub.ping_key not in missing.line
        ran = at("--create")
        assert ran.status == 0, ran.line
        made = sorted((check for check in stub.checks if check != model), key=lambda c: c.slug)
        assert [check.slug for check in made] == [f"tenant-{name}" for name in TENANTS]
        for check in made:
            assert (check.timeout, check.grace) == (1800, 3600)
            assert check.tags == "tier:4 tenants"
            assert check.channels == {mail.id}
            assert [ping.kind for ping in check.pings] == ["success"]
        assert at().status == 0

    def test_made_like_another(self, at: Command, stub: HealthchecksStub) -> None:
        stub.add_check(slug="nightly", schedule="0 3 * * *", tz="Europe/Paris", grace=600)
        assert at("--create", "--like", "nightly").status == 0
        made = stub.by_slug("tenant-acme")
        assert (made.schedule, made.tz, made.grace) == ("0 3 * * *", "Europe/Paris", 600)

    def test_not_made(self, at: Command, stub: HealthchecksStub) -> None:
        """Rather than with a period of a day, and with the phone."""
        absent = at("--create")
        assert absent.line.startswith(
            "TENANTS WARNING - cannot create 3 checks: hcctl: the server has no check named "
            "active-tenants; "
        )
        model_of(stub)
        keyless = at("--create", HEALTHCHECKS_API_KEY="")
        assert "cannot create 3 checks: hcctl: HEALTHCHECKS_API_KEY: no API key" in keyless.line
        assert [check.slug for check in stub.checks] == ["active-tenants"]
        alone = at("--create", HCRUN_CHECK="0f0e0d0c-0000-4000-8000-000000000000")
        assert alone.status == 3
        assert alone.line.startswith("TENANTS UNKNOWN - --create needs --like; give --like CHECK")

    def test_by_uuid(self, at: Command, stub: HealthchecksStub) -> None:
        check = stub.add_check()
        del at.environ["HEALTHCHECKS_PING_KEY"]
        ran = at("--tenant", "acme", PROBE_TENANTS_SQL="", HC_CHECK_TENANT_ACME=check.uuid)
        assert ran.status == 0
        assert [ping.kind for ping in stub.wait_for(check, 1)] == ["success"]
        assert at("--tenant", "acme", PROBE_TENANTS_SQL="").line.startswith(
            "TENANTS WARNING - 1 of 1 ping not accepted: tenant-acme is not pinged: set HC_"
        )

    def test_names_that_make_one_check(self, at: Command, stub: HealthchecksStub) -> None:
        model_of(stub)
        sql = "VALUES ('Acme Ltd.', 'acme'), ('acme-ltd', 'acme'), ('globex', 'globex')"
        assert at("--tenant-sql", sql, "--create").line.startswith(
            "TENANTS WARNING - Acme Ltd., acme-ltd are not pinged: they would share a check; "
            "use names that differ in a-z, 0-9, - and _, 3 tenants, "
        )
        assert [check.slug for check in stub.checks] == ["active-tenants", "tenant-globex"]

    def test_server_down(self, at: Command, stub: HealthchecksStub) -> None:
        stub.go_down()
        ran = at("--timeout", "4s")
        assert ran.line.startswith(
            "TENANTS WARNING - 3 of 3 pings not accepted: cannot reach the server: 127.0.0.1:"
        )
        assert stub.ping_key not in ran.line
        assert ran.seconds < 8

    def test_server_hangs(self, at: Command, stub: HealthchecksStub) -> None:
        stub.fault = Fault(hangs)
        ran = at("--timeout", "2s")
        assert ran.line.startswith("TENANTS WARNING - 3 of 3 pings not accepted: ")
        assert ran.seconds < 8

    @pytest.mark.slow
    def test_hundreds(self, at: Command, stub: HealthchecksStub) -> None:
        model = model_of(stub)
        sql = "SELECT 'tenant' || i, 'acme' FROM generate_series(1, 200) i"
        ran = at("--tenant-sql", sql, "--create", "--timeout", "25s", "--slowest-warning", "off")
        assert ran.status == 0
        made = [check for check in stub.checks if check != model]
        assert len(made) == 200
        assert {len(check.pings) for check in made} == {1}


def model_of(stub: HealthchecksStub) -> Check:
    """A check as sync has made it."""
    tags = "tier:4 tenants managed:hcrun"
    return stub.add_check(slug="active-tenants", timeout=1800, grace=3600, tags=tags)


class TestUsage:
    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--tenant", "=acme"], "'=acme' is not NAME or NAME=DATABASE"),
            (["--tenant", "acme="], "'acme=' is not NAME or NAME=DATABASE"),
            (["--tenant", "a=postgresql://me:s3cr3t@db/a"], "the URL of a contains a password"),
            (["--tenant", "a=dbname=a password=s3cr3t"], "the URL of a contains a password"),
            (["--min-tenants", "-1"], "-1 is not in the range x>=0"),
            (["--at-once", "0"], "0 is not in the range 1<=x<=100"),
        ],
    )
    def test_wrong(self, probe: Command, flags: list[str], message: str) -> None:
        line = probe.misused(*flags).line
        assert message in line
        assert "s3cr3t" not in line

    def test_no_list(self, probe: Command) -> None:
        assert probe().line == (
            "TENANTS UNKNOWN - no list of tenants; give one with --tenant-sql or --tenant"
        )


AUTHENTICATED = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"


def pooler(connection: socket.socket) -> None:
    """Let everybody in, for a server that is gone."""
    connection.recv(4096)
    connection.sendall(AUTHENTICATED)
    hang(connection)


def broken_pooler(connection: socket.socket) -> None:
    """The same, but it says so."""
    connection.recv(4096)
    connection.sendall(AUTHENTICATED)
    connection.recv(4096)
    fields = b"SERROR\0C08006\0Mserver is gone\0\0"
    connection.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields + b"Z\0\0\0\x05I")
    connection.recv(4096)


LIMITS = default_ranges(PROBE)
GOOD = Visit(Status.OK, "", seconds=0.02)
REFUSED = Visit(Status.CRITICAL, "db: Connection refused")
LOCKED = Visit(Status.UNKNOWN, "db: no entry", "check user and password")


def numbered(visits: int, visit: Visit) -> dict[str, Visit]:
    return {f"t{number:03}": visit for number in range(visits)}


@pytest.mark.parametrize(
    ("found", "total", "said"),
    [
        (numbered(2, GOOD), 2, ["", "slowest is t001 with 20 ms"]),
        (
            numbered(120, GOOD),
            500,
            [
                "",
                ("UNKNOWN: 120 of 500 tenants checked in time; raise --timeout or --at-once"),
                "slowest is t119 with 20 ms",
            ],
        ),
        (
            numbered(12, REFUSED) | {"a": Visit(Status.CRITICAL, "nowhere")},
            13,
            [
                (
                    "CRITICAL: 13 of 13 tenants not reached: "
                    "t000, t001, t002, t003, t004, t005, t006, t007, t008, t009 and 2 more: "
                    "db: Connection refused; a: nowhere (over 0)"
                )
            ],
        ),
        (
            {"a": LOCKED, "b": LOCKED},
            2,
            [
                "",
                (
                    "UNKNOWN: 2 of 2 tenants cannot be checked: "
                    "a, b: db: no entry; check user and password"
                ),
            ],
        ),
        (
            {f"t{number}": Visit(Status.CRITICAL, f"no {number}") for number in range(7)},
            7,
            [
                (
                    "CRITICAL: 7 of 7 tenants not reached: "
                    "t0: no 0; t1: no 1; t2: no 2; t3: no 3; t4: no 4; and 2 more (over 0)"
                )
            ],
        ),
    ],
)
def test_evaluate(found: dict[str, Visit], total: int, said: list[str]) -> None:
    words = []
    for reading in evaluate(found, total, LIMITS):
        status = f"{reading.status.name}: " if reading.status else ""
        words.append(status + reading.message())
    assert words == said


COMMON = {"host": "db1", "port": "5433", "user": "me", "password": "pw", "service": "x"}


@pytest.mark.parametrize(
    ("row", "parameters"),
    [
        (("acme",), COMMON | {"dbname": "acme"}),
        (("acme", "prod"), COMMON | {"dbname": "prod"}),
        (("acme", "user=she dbname=prod"), COMMON | {"dbname": "prod", "user": "she"}),
        (
            ("acme", "postgresql://db2/prod"),
            {"host": "db2", "user": "me", "password": "pw", "dbname": "prod"},
        ),
        (
            ("acme", "postgres://db2/prod?schema=acme&ssl=require"),
            {"host": "db2", "user": "me", "password": "pw", "dbname": "prod", "sslmode": "require"},
        ),
        (("a=b",), COMMON | {"dbname": "a=b"}),
    ],
)
def test_as_tenant(row: tuple[Any, ...], parameters: Mapping[str, str]) -> None:
    tenant = as_tenant(row, COMMON)
    assert (tenant.name, tenant.parameters) == (row[0], parameters)


def test_as_no_tenant() -> None:
    unknown = as_tenant(("acme", "postgresql://me:s3cr3t@db2/prod?nonsense=s3cr3t"), COMMON)
    assert unknown.problem == "its URL has the unknown parameter nonsense"
    assert as_tenant(("acme", "nonsense://x"), COMMON).problem
    with pytest.raises(UnknownError, match="has no name"):
        as_tenant((None,), COMMON)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("acme", "tenant-acme"),
        ("Acme Ltd.", "tenant-acme-ltd"),
        ("größe_1", "tenant-gr-e_1"),
        ("x" * 200, "tenant-" + "x" * 93),
    ],
)
def test_slug(name: str, check: str) -> None:
    assert slug(name) == check
    assert len(check) <= 100
