"""The certificate's age of every TLS service, through the command line of its probe."""

import os
import re
import shutil
import socket
import ssl
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from probes.check_http import PROBE
from probes.clients.certificate import evaluate, time_left
from tests.servers.kafka import Server, front, kafka_server
from tests.servers.minio import KEYS, Minio, seaweed, tls_minio
from tests.servers.postgres import PASSWORD, SETTINGS, Cluster, scratch, template
from tests.servers.process import Command, certificate
from tests.servers.ranges import default_ranges
from tests.servers.redis import StartRedis, start_redis
from tests.servers.vault import bao
from tests.servers.web import WebServer

pytestmark = pytest.mark.slow

__all__ = ["kafka_server", "scratch", "seaweed", "start_redis", "template", "tls_minio"]

Files = tuple[Path, Path]
Variables = Mapping[str, object]

RANGES = default_ranges(PROBE)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A certificate that is valid for two days, and its key."""
    return certificate(tmp_path, days=2)


@pytest.fixture
def tls_context(files: Files) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


def expect(name: str, directory: Path, variables: Variables, status: int = 0) -> None:
    """Only its certificate makes it CRITICAL; without that threshold it has `status`."""
    probe = Command(f"probe-{name}", directory)
    ran = probe(**variables)
    assert ran.status == 2, ran.line
    assert re.search(
        rf"{name.upper()} CRITICAL - certificate valid for (47 h 59 min|2 d) \(under 3 d\); "
        r"check its automatic renewal, .* certificate=1[\d.]+s;1209600:;259200:( |$)",
        ran.line,
    ), ran.line
    off = probe("--certificate-warning", "1h:", "--certificate-critical", "off", **variables)
    assert off.status == status, off.line
    assert ", certificate valid for " in off.line


def test_vault(files: Files, tmp_path: Path) -> None:
    cert, key = files
    with bao(tmp_path, cert=cert, key=key) as server:
        server.initialise()
        expect("vault", tmp_path, {"VAULT_ADDR": server.url, "VAULT_CACERT": cert})
        unchecked = Command("probe-vault", tmp_path)(VAULT_ADDR=server.url, VAULT_SKIP_VERIFY="1")
    assert unchecked.status == 0
    assert "certificate" not in unchecked.line


@pytest.mark.parametrize("plain_s3", ["", "1"])
def test_minio(tls_minio: Minio, files: Files, tmp_path: Path, plain_s3: str) -> None:
    variables = {
        "S3_ENDPOINT_URL": f"https://localhost:{tls_minio.port}",
        "S3_CA_BUNDLE": files[0],
        "S3_BUCKET_NAME": "pictures",
        "S3_ACCESS_KEY_ID": "admin",
        "S3_SECRET_ACCESS_KEY": KEYS["admin"][0],
        "PROBE_MINIO_PLAIN_S3": plain_s3,
    }
    expect("minio", tmp_path, variables)


def test_redis(start_redis: StartRedis, files: Files, tmp_path: Path) -> None:
    cert, key = files
    flags = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no"]
    client = {"ssl": True, "ssl_cert_reqs": "none"}
    port = start_redis("--port", "0", "--tls-port", "PORT", *flags, **client).port
    expect("redis", tmp_path, {"REDIS_URL": f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={cert}"})
    url = f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none"
    unchecked = Command("probe-redis", tmp_path)(REDIS_URL=url)
    assert unchecked.status == 0
    assert "certificate" not in unchecked.line


def test_postgres(scratch: Cluster, tmp_path: Path) -> None:
    owner = scratch.data.stat()
    for path in certificate(scratch.data, "short", days=2):
        os.chown(path, owner.st_uid, owner.st_gid)
    scratch.start(SETTINGS | {"ssl_cert_file": "short.crt", "ssl_key_file": "short.key"})
    ca = shutil.copy(scratch.data / "short.crt", tmp_path)
    server = {"PGHOST": "127.0.0.1", "PGPORT": scratch.port, "PGUSER": "admin"}
    server |= {"PGPASSWORD": PASSWORD, "PGDATABASE": "postgres"}
    expect("postgres", tmp_path, server | {"PGSSLMODE": "require"})
    expect("postgres", tmp_path, server | {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": ca})
    one = {"PGSSLMODE": "require", "PROBE_SQL_QUERY": "SELECT 1"}
    expect("sql", tmp_path, server | one)
    expect("tenants", tmp_path, server | one | {"PROBE_TENANTS_LIST": "postgres"})
    prefers = Command("probe-postgres", tmp_path)(**server)
    assert prefers.status == 0
    assert "certificate" not in prefers.line


def test_kafka(
    kafka_server: Server, tls_context: ssl.SSLContext, files: Files, tmp_path: Path
) -> None:
    with front(kafka_server, {}, tls_context) as port:
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": f"localhost:{port}",
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CAFILE": files[0],
        }
        expect("kafka", tmp_path, variables)
        expect("kafka-lag", tmp_path, variables, status=3)  # nobody consumes


def test_healthchecks(tls_context: ssl.SSLContext, files: Files, tmp_path: Path) -> None:
    """The server itself has no TLS; this stands for the proxy before it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, *_: object) -> None:
            pass

    with WebServer(Handler, tls_context) as server:
        url = f"https://localhost:{server.port}/api/v3"
        variables = {"HEALTHCHECKS_API_URL": url, "HEALTHCHECKS_TLS_CA": files[0]}
        expect("healthchecks", tmp_path, variables)


def test_prometheus(tls_context: ssl.SSLContext, files: Files, tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"data": {"resultType": "scalar", "result": [0, "1"]}}')

        def log_message(self, *_: object) -> None:
            pass

    with WebServer(Handler, tls_context) as server:
        variables = {"PROMETHEUS_URL": f"https://localhost:{server.port}"}
        variables |= {"PROMETHEUS_TLS_CA": str(files[0]), "PROBE_PROMETHEUS_QUERY": "1"}
        expect("prometheus", tmp_path, variables)


def test_the_first_of_several_servers_to_expire_is_named() -> None:
    (reading,) = evaluate(86400, RANGES, " of db-2")
    assert reading.message().startswith("certificate of db-2 valid for 1 d (under 3 d); ")


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (30 * 86400, "certificate valid for 30 d"),
        (13 * 86400, "certificate valid for 13 d (under 14 d); check its automatic renewal"),
        (-7200, "certificate expired 2 h ago (under 3 d); check its automatic renewal"),
    ],
)
def test_evaluate(left: float, text: str) -> None:
    (reading,) = evaluate(left, RANGES)
    assert reading.message() == text
    assert list(evaluate(None, RANGES)) == []


@pytest.mark.parametrize("days", [1, 10_000, 20_000, 30_000, 900_000])
def test_every_encoding_of_the_end(tmp_path: Path, days: int) -> None:
    """The year has two digits until 2049 and four from 2050 on."""
    cert, key = certificate(tmp_path, days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    client = ssl.create_default_context(cafile=str(cert))
    with WebServer(BaseHTTPRequestHandler, context) as server:
        plain = socket.create_connection(("127.0.0.1", server.port))
        with client.wrap_socket(plain, server_hostname="localhost") as secure:
            left = time_left(secure)
            assert left
            end = ssl.cert_time_to_seconds(str((secure.getpeercert() or {})["notAfter"]))
            assert abs(time.time() + left - end) < 5
