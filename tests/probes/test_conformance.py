"""What every probe does alike: one suite, run for each row of PROBES.

A new probe joins with one row: the variables that lead it to its service. HOST, PORT, USER and
PASSWORD in them are replaced; a value with PASSWORD in it is a secret, which no output may repeat.
"""

import base64
import importlib
import json
import os
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from probes.check_all import KNOWN
from probes.framework.options import FILE
from probes.framework.probe import Probe
from probes.framework.verdict import Status
from scripts.docs.probe_pages import variables as documented
from tests.servers.healthchecks_api import Stub
from tests.servers.kafka import SASL_AUTHENTICATE, front, kafka_server
from tests.servers.kafka import Server as Kafka
from tests.servers.minio import KEYS, Minio, minio, seaweed
from tests.servers.postgres import PASSWORD, Cluster, primary, template
from tests.servers.process import Command, Ran, deaf, free_port, hang, listening, once, trickle
from tests.servers.redis import StartRedis, start_redis
from tests.servers.vault import bao
from tests.servers.web import WebServer

pytestmark = pytest.mark.slow

__all__ = ["kafka_server", "minio", "primary", "seaweed", "start_redis", "template"]

SECRET = "s3cr3t/pw"
MEMORY = 400_000_000  # bytes of data that a probe may have, whatever it is sent
TITLES = {status.value: status.name for status in Status}


class Row(NamedTuple):
    """A probe, how it finds its service, and what differs from EXPECTED; None: cannot happen."""

    name: str
    variables: Mapping[str, str]
    service: str = ""  # the fixture of a real server that refuses users
    expected: Mapping[str, int | None] = {}

    @property
    def probe(self) -> Probe:
        module = importlib.import_module(f"probes.check_{self.name.replace('-', '_')}")
        probe: Probe = module.PROBE
        return probe

    @property
    def is_remote(self) -> bool:
        return any("PORT" in value for value in self.variables.values())

    @property
    def secrets(self) -> list[str]:
        return [name for name, value in self.variables.items() if "PASSWORD" in value]

    def status(self, fault: str) -> int | None:
        return self.expected.get(fault, EXPECTED[fault])

    def at(
        self, port: int, host: str = "127.0.0.1", user: str = "me", password: str = SECRET
    ) -> dict[str, str]:
        """The variables for a service at this address."""
        values = {"HOST": host, "PORT": str(port), "USER": user}
        filled = {}
        for name, value in self.variables.items():
            values["PASSWORD"] = quote(password, safe="") if "://" in value else password
            filled[name] = re.sub("|".join(values), lambda found: values[found[0]], value)
        return filled


BROKER = {"CELERY_BROKER_URL": "redis://USER:PASSWORD@HOST:PORT/0"}
API = {"HEALTHCHECKS_API_URL": "http://HOST:PORT/api/v3", "HEALTHCHECKS_READ_KEY": "PASSWORD"}
KAFKA = {
    "KAFKA_BOOTSTRAP_SERVERS": "HOST:PORT",
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_USERNAME": "USER",
    "KAFKA_SASL_PASSWORD": "PASSWORD",
}
LIBPQ = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD"}
LIBPQ |= {"PGDATABASE": "postgres", "PGSSLMODE": "disable"}
FLEET = {"PROBE_FLEET_URL": "postgresql://USER:PASSWORD@HOST:PORT/postgres?sslmode=disable"}
FORBIDDEN = "SELECT rolname FROM pg_authid"
VAULT = {"VAULT_ADDR": "http://HOST:PORT", "VAULT_TOKEN": "PASSWORD"}
S3 = {"S3_ENDPOINT_URL": "http://HOST:PORT", "S3_BUCKET_NAME": "versions"}
S3 |= {"S3_ACCESS_KEY_ID": "USER", "S3_SECRET_ACCESS_KEY": "PASSWORD"}
NO_RIGHTS: dict[str, int | None] = {"no permission": None}  # who is let in may do everything
NO_PASSWORD: dict[str, int | None] = {"wrong password": None, "no permission": None}
# These read the secret only once the service has answered, which here it has not.
LATE: dict[str, int | None] = {"unreadable secret": 2}
AT_FAULT = ("refused", "unresolvable", "silent", "drip", "garbage", "reset", "flood")
BLIND: dict[str, int | None] = dict.fromkeys((*AT_FAULT, "wrong password"), 0)

PROBES = [
    Row("celery", BROKER, "redis_service"),
    Row("celery-beat", BROKER | {"CELERY_BEAT_HEARTBEAT_KEY": "beat"}, "redis_service"),
    # It pages when others are down, and not when it cannot look.
    Row("escalation", API, "healthchecks_service", NO_RIGHTS | BLIND),
    Row("fleet", FLEET, "postgres_service", NO_RIGHTS),
    Row("healthchecks", API, "healthchecks_service", LATE | NO_RIGHTS),
    Row("http", {"API_URL": "http://USER:PASSWORD@HOST:PORT"}, "http_service"),
    Row("integrity", {"PROBE_INTEGRITY_PATHS": "/nowhere"}),
    Row("kafka", KAFKA, "kafka_service", LATE | NO_RIGHTS),
    Row("kafka-lag", KAFKA, "kafka_service", LATE | NO_RIGHTS),
    Row("log-rate", {"PROBE_LOG_RATE_FILE": "/nowhere.log"}),
    Row("minio", S3, "minio_service", {"flood": 3}),  # no S3 server, says this one
    Row("postgres", LIBPQ, "postgres_service"),
    Row(
        "prometheus",
        {"PROMETHEUS_URL": "http://USER:PASSWORD@HOST:PORT", "PROBE_PROMETHEUS_QUERY": "up"},
        "http_service",
        {"flood": 3},  # not an answer of Prometheus, says this one
    ),
    Row("redis", {"REDIS_URL": "redis://USER:PASSWORD@HOST:PORT/0"}, "redis_service"),
    Row("sql", LIBPQ | {"PROBE_SQL_QUERY": FORBIDDEN}, "postgres_service"),
    Row("tenants", LIBPQ | {"PROBE_TENANTS_SQL": FORBIDDEN}, "postgres_service"),
    Row("trend", {"PROBE_TREND_CHECK": "disk", "PROBE_TREND_METRIC": "usage"}),
    # An invalid token is what its users have, too: they have lost their secrets.
    Row("vault", VAULT, "vault_service", LATE | {"wrong password": 2}),
    Row("vault-key", VAULT | {"VAULT_TRANSIT_KEYS": "transit/jwt"}, "vault_service"),
    Row("zookeeper", {"ZOOKEEPER_HOSTS": "HOST:PORT"}, "", NO_PASSWORD),
]
EXPECTED = {
    "refused": 2,
    "unresolvable": 2,
    "silent": 2,
    "drip": 2,
    "garbage": 2,
    "reset": 2,
    "flood": 2,
    "wrong password": 3,
    "no permission": 3,
    "unreadable secret": 3,
}


def reset(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def flood(connection: socket.socket) -> None:
    """An answer that begins like one of HTTP and never ends."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


SERVERS: Mapping[str, Callable[[socket.socket], None]] = {
    "silent": hang,
    "drip": trickle,
    "garbage": once(b"\x7f\xfe\x80no protocol at all\r\n\r\n"),
    "reset": reset,
    "flood": flood,
}


@contextmanager
def faulty(fault: str, row: Row) -> Iterator[dict[str, str]]:
    """The variables for a service that has the fault."""
    if fault == "refused":
        yield row.at(free_port())
    elif fault == "unresolvable":
        yield row.at(free_port(), host="nowhere.invalid")
    else:
        with listening(SERVERS[fault]) as port:
            yield row.at(port)


class Service(NamedTuple):
    """A real server. `powerless` is a user who is let in and may not look, with the password."""

    port: int
    user: str = "me"
    powerless: tuple[str, str] | None = None


@pytest.fixture
def redis_service(start_redis: StartRedis) -> Service:
    server = start_redis()
    server.client.execute_command("ACL", "SETUSER", "me", "on", ">right", "~*", "&*", "+@all")
    server.client.execute_command("ACL", "SETUSER", "powerless", "on", ">pw", "+ping")
    return Service(server.port, powerless=("powerless", "pw"))


@pytest.fixture
def postgres_service(primary: Cluster) -> Service:
    return Service(primary.port, "looker", ("plain", PASSWORD))


@pytest.fixture
def minio_service(minio: Minio) -> Service:
    return Service(minio.port, "admin", ("reader", KEYS["reader"][0]))


@pytest.fixture
def healthchecks_service() -> Iterator[Service]:
    with Stub() as stub:
        yield Service(int(stub.url.rpartition(":")[2].partition("/")[0]))


@pytest.fixture(scope="module")
def vault_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with bao(tmp_path_factory.mktemp("bao")) as server:
        powerless = server.initialise().new_token("nothing")
        yield Service(int(server.url.rpartition(":")[2]), powerless=("", powerless))


@pytest.fixture
def kafka_service(kafka_server: Kafka) -> Iterator[Service]:
    def refuse(message: Any) -> None:
        message.error_code, message.error_message = 58, "Authentication failed"

    with front(kafka_server, {SASL_AUTHENTICATE: refuse}) as port:
        yield Service(port)


@pytest.fixture
def http_service() -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, _, credentials = self.headers.get("Authorization", "").partition(" ")
            user = base64.b64decode(credentials).partition(b":")[0]
            self.send_response(403 if user == b"powerless" else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with WebServer(Handler) as server:
        yield Service(server.port, powerless=("powerless", "pw"))


class Conforming(Command):
    """The probe of a row; each run is checked for what must always hold."""

    def __call__(self, *arguments: object, **environ: object) -> Ran:
        ran = super().__call__(*arguments, **environ)  # one line, and nothing on stderr
        assert ran.line.isprintable()
        assert "s3cr3t" not in ran.line
        if "--json" not in arguments:
            text, _, perfdata = ran.line.partition(" | ")
            assert len(text) < 1000
            assert "|" not in perfdata
        return ran


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    row: Row = request.param
    return row


@pytest.fixture
def probe(row: Row, tmp_path: Path) -> Conforming:
    return Conforming(f"probe-{row.name}", tmp_path)


def each(rows: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, indirect=True, ids=lambda row: row.name)


REMOTE = [row for row in PROBES if row.is_remote]
every_probe = each(PROBES)


def pairs(*faults: str) -> pytest.MarkDecorator:
    """Each remote probe with each fault that it can meet, and the exit status expected."""
    found = [
        pytest.param(row, fault, status, id=f"{row.name}-{fault.replace(' ', '-')}")
        for row in REMOTE
        for fault in faults
        if (status := row.status(fault)) is not None
    ]
    return pytest.mark.parametrize(("row", "fault", "status"), found, indirect=["row"])


def test_every_probe_has_a_row() -> None:
    assert [row.name for row in PROBES] == sorted(KNOWN)


@pairs("refused", "unresolvable", "silent", "drip", "garbage", "reset", "flood")
def test_service_at_fault(row: Row, fault: str, status: int, probe: Conforming) -> None:
    probe.memory = MEMORY
    kept = fault in ("silent", "drip") or row.name.startswith("kafka")  # it tries for all its time
    timeout = "1s" if kept else "9s"
    with faulty(fault, row) as variables:
        ran = probe("--timeout", timeout, **variables)
    assert ran.status == status, ran
    assert ran.seconds < float(timeout[:-1]) + 8  # a busy host takes seconds to start it


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may replace /etc/hosts")
@each(REMOTE)
@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "refusing"])
def test_first_of_two_addresses_is_dead(
    row: Row, is_silent: bool, probe: Conforming, tmp_path: Path
) -> None:
    """The second one is asked while there is time for it."""
    asked = threading.Event()

    def serve(connection: socket.socket) -> None:
        if connection.recv(4096):
            asked.set()

    probe.hosts = tmp_path / "hosts"
    probe.hosts.write_text("127.0.0.2 twice\n127.0.0.3 twice\n")
    first = deaf("127.0.0.2") if is_silent else nullcontext(0)
    with first as same, listening(serve, "127.0.0.3", same) as port:
        fork = probe.fork(tmp_path, "--timeout", "30s", **row.at(port, host="twice"))
        try:
            assert asked.wait(9), "the first one takes all of the time"
        finally:
            fork.terminate()
            fork.join()


@pairs("wrong password", "no permission")
def test_not_let_in(
    row: Row, fault: str, status: int, probe: Conforming, request: pytest.FixtureRequest
) -> None:
    service: Service = request.getfixturevalue(row.service)
    user, password = service.user, SECRET
    if fault == "no permission":
        assert service.powerless
        user, password = service.powerless
    ran = probe(**row.at(service.port, user=user, password=password))
    assert ran.status == status, ran
    assert password not in ran.line or fault == "no permission"
    assert ran.seconds < 9  # and has not waited for its time-out


@each(REMOTE)
def test_time_is_up(row: Row, probe: Conforming) -> None:
    with listening(hang) as port:
        ran = probe("--timeout", "1ms", **row.at(port))
    expected = (Status.CRITICAL, Status.UNKNOWN) if row.status("silent") else (Status.OK,)
    assert ran.status in expected
    assert ran.seconds < 9  # and has not waited for its time-out


@each(REMOTE)
def test_json_and_traceback(row: Row, probe: Conforming) -> None:
    variables = row.at(free_port())
    line = probe(**variables).line
    ran = probe("--json", **variables)
    result = json.loads(ran.line)
    assert line.startswith(f"{probe.title} {result['status']} - {result['message']}")
    assert (result["probe"], result["status"]) == (row.name, TITLES[ran.status])
    assert result["status"] in {reading["status"] for reading in result["readings"]}
    verbose = probe.run("--verbose", **variables)
    assert verbose.stdout == f"{line}\n"
    assert "s3cr3t" not in verbose.stderr


BAD_URLS = {
    "celery": [
        "redis://me:s3/cr3t@HOST:1/0",
        "amqp://me:s3cr3t@HOST:1//",
        "nonsense://me:s3cr3t@HOST",
    ],
    "postgres": [
        "postgresql://me:s3/cr3t@HOST:1/db",
        "postgresql://me:s3cr3t@HOST:port/db",
        "postgresql://me:s3cr3t@HOST:1/db?nonsense=1",
        "nonsense s3cr3t",
    ],
    "redis": [
        "redis://me:s3/cr3t@HOST:1/0",
        "redis://me:s3cr3t@HOST:port/0",
        "nonsense://:s3cr3t@HOST",
    ],
}


@each([row for row in PROBES if row.name in BAD_URLS])
def test_password_in_a_bad_url(row: Row, probe: Conforming) -> None:
    assert row.probe.url
    for url in BAD_URLS[row.name]:
        variables = {row.probe.url.variable: url.replace("HOST", "127.0.0.1")}
        ran = probe.run("--verbose", **variables)
        assert ran.returncode in (Status.CRITICAL, Status.UNKNOWN)
        assert "cr3t" not in ran.stdout + ran.stderr


@every_probe
def test_without_variables(probe: Conforming) -> None:
    """Its defaults lead it to a service that may be here, or it says what to set."""
    ran = probe("--timeout", "2s")
    assert "Traceback" not in ran.line
    assert "unexpected" not in ran.line


@every_probe
def test_help(row: Row, probe: Conforming) -> None:
    ran = probe.run("--help", COLUMNS="200")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [line for line in ran.stdout.splitlines() if len(line) > 80] == []
    words = [f"hcrun {row.name} -- probe-{row.name}", "0  OK", "3  UNKNOWN"]
    words += ["HEALTHCHECKS_CHECK_TIMEOUT", *documented(row.probe)]
    words += [name for name in row.variables if name not in HIDDEN]
    words += [flag for threshold in row.probe.table.thresholds
              for option in threshold.options(row.name) for flag in option.opts]  # fmt: skip
    assert [word for word in words if word not in ran.stdout] == []


HIDDEN = {"PGPASSWORD"}


@every_probe
def test_bad_option(row: Row, probe: Conforming) -> None:
    for arguments in (["--nonsense"], ["--timeout", "0"], ["--timeout", "soon"]):
        assert "No such option" in probe.misused(*arguments).line or len(arguments) == 2
    for threshold in row.probe.table.thresholds[:1]:
        flag = f"--{threshold.name.replace('_', '-')}-warning"
        assert flag in probe.misused(flag, "x").line


@every_probe
def test_unreadable_file(row: Row, probe: Conforming, tmp_path: Path) -> None:
    forbidden = tmp_path / "forbidden"
    forbidden.touch(0)
    if os.geteuid() == 0:  # who reads everything, but for these two capabilities
        os.chown(forbidden, 65534, 65534)
        probe.prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    variables = row.at(free_port())
    for name in row.secrets:
        ran = probe(**variables | {name: "", f"{name}_FILE": str(forbidden)})
        assert ran.status == row.status("unreadable secret"), ran
        assert ran.status == Status.CRITICAL or f"{name}_FILE: {forbidden}: " in ran.line
    flags = [
        [option.opts[0], forbidden] for option in row.probe.table.options if option.type is FILE
    ]
    for arguments, environ in [([], {"HCRUN_ENV_FILE": str(forbidden)}), *((f, {}) for f in flags)]:
        ran = probe(*arguments, **variables | environ)
        assert ran.status == Status.UNKNOWN, ran
        assert str(forbidden) in ran.line


@each([row for row in PROBES if row.secrets])
def test_secret_by_reference(row: Row, probe: Conforming, tmp_path: Path) -> None:
    """A file and systemd's credentials do as well as the variable, and are no better told."""
    variables = row.at(free_port())
    expected = probe(**variables)
    directory = tmp_path / "credentials"
    directory.mkdir()
    by_file = dict(variables)
    without = dict(variables)
    for name in row.secrets:
        path = directory / name.lower()
        path.write_text(variables[name] + "\n")
        by_file[f"{name}_FILE"] = str(path)
        del by_file[name], without[name]
    assert probe(**by_file)[:2] == expected[:2]
    assert probe(**without, CREDENTIALS_DIRECTORY=directory)[:2] == expected[:2]


@each([row for row in PROBES if KNOWN[row.name].libraries])
def test_missing_library(row: Row, probe: Conforming, tmp_path: Path) -> None:
    library = KNOWN[row.name].libraries[0].partition(".")[0]
    text = f"No module named '{library}'"
    (tmp_path / f"{library}.py").write_text(f'raise ModuleNotFoundError("{text}")')
    ran = probe(PYTHONPATH=tmp_path, **row.at(free_port()))
    extra = row.probe.extra or row.name
    assert ran[:2] == (3, f"{probe.title} UNKNOWN - {text}; pip install 'hcrun[{extra}]'")
