"""Addresses as they are in real life, through the command line of every probe that connects.

What is not understood is named, and a port with TLS where none is expected, or without, says so.
"""

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.probes.test_conformance import Conforming
from tests.servers.process import certificate, listening, speak_http

pytestmark = pytest.mark.slow

URL = "does not begin with http:// or https://"
PARAMETER = "has the parameter region, which the probe does not understand"
PROMQL = {"PROBE_PROMETHEUS_QUERY": "up"}
READ_KEY = {"HEALTHCHECKS_READ_KEY": "key"}
KEY = {"VAULT_TRANSIT_KEYS": "transit/jwt", "VAULT_TOKEN": "token"}
SQL = {"PROBE_SQL_QUERY": "SELECT 1"}
TENANTS = {"PROBE_TENANTS_LIST": "acme"}

WRONG = [
    ("escalation", {"HEALTHCHECKS_API_URL": "localhost/api/v3"} | READ_KEY, URL),
    ("healthchecks", {"HEALTHCHECKS_API_URL": "localhost/api/v3"}, URL),
    ("healthchecks", {"HEALTHCHECKS_API_URL": "http://localhost/api/v3?region=eu"}, PARAMETER),
    ("http", {"API_URL": "tcp://localhost:4999"}, URL),
    ("http", {"API_URL": "http://me:s3cr3t@localhost/?region=s3cr3t"}, PARAMETER),
    ("kafka", {"KAFKA_BOOTSTRAP_SERVERS": "SSL://a:9092"}, "'SSL://a:9092' is not HOST:PORT"),
    ("kafka", {"KAFKA_BOOTSTRAP_SERVERS": "a:1;b:2"}, "'a:1;b:2' is not HOST:PORT"),
    ("kafka", {"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL: 'TLS' is not one of "),
    ("kafka-lag", {"KAFKA_SASL_MECHANISM": "GSSAPI"}, "'GSSAPI' is not one of 'plain', "),
    ("minio", {"S3_ENDPOINT_URL": "localhost:9000"}, URL),
    ("minio", {"S3_ENDPOINT_URL": "s3://pictures"}, URL),
    ("minio", {"S3_ENDPOINT_URL": "http://localhost:9000?region=eu"}, PARAMETER),
    ("postgres", {"DATABASE_URL": "postgresql://a/b?region=eu"}, "the unknown parameter region"),
    ("prometheus", {"PROMETHEUS_URL": "localhost:9090"} | PROMQL, URL),
    ("prometheus", {"PROMETHEUS_URL": "http://localhost/p?region=eu"} | PROMQL, PARAMETER),
    ("redis", {"REDIS_URL": "redis://a?ssl_region=eu"}, "unknown parameter ssl_region"),
    ("sql", {"DATABASE_URL": "postgresql://a/b?region=eu"} | SQL, "the unknown parameter region"),
    ("tenants", {"DATABASE_URL": "mysql://a/b"} | TENANTS, "not a URL of PostgreSQL, but of mysql"),
    ("vault", {"VAULT_ADDR": "localhost:8200"}, URL),
    ("vault-key", {"VAULT_ADDR": "http://localhost:8200?region=eu"} | KEY, PARAMETER),
    ("zookeeper", {"ZOOKEEPER_HOSTS": "zk://a:2181"}, "'zk://a:2181' has a scheme; write it like "),
    ("zookeeper", {"ZOOKEEPER_HOSTS": "a:2181?region=eu"}, "'a:2181?region=eu' is not HOST:PORT"),
]


def names(rows: list[tuple[str, dict[str, str], str]]) -> list[str]:
    return [name for name, *_ in rows]


@pytest.mark.parametrize(("name", "variables", "text"), WRONG, ids=names(WRONG))
def test_what_is_not_understood_is_named(
    name: str, variables: Mapping[str, str], text: str, tmp_path: Path
) -> None:
    ran = Conforming(f"probe-{name}", tmp_path)(**variables)
    assert ran.status == 3
    assert text in ran.line


# By probe: the variables for HOST:PORT, the two values of SECURE, and the two hints.
SCHEME = ("http", "https"), ("write https:// in the URL", "write http:// in the URL")
LIBPQ = {"PGHOST": "localhost", "PGPORT": "PORT", "PGSSLMODE": "SECURE", "PGPASSWORD": "s3cr3t"}
MODES = ("disable", "require"), ("PGSSLNEGOTIATION=direct", "another service may listen there")
KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "localhost:PORT", "KAFKA_SECURITY_PROTOCOL": "SECURE"}
PROTOCOLS = ("PLAINTEXT", "SSL"), ("to SSL or SASL_SSL", "to PLAINTEXT or SASL_PLAINTEXT")
API = {"HEALTHCHECKS_API_URL": "SECURE://localhost:PORT/api/v3"}
MIXED = [
    ("healthchecks", API, *SCHEME),
    ("http", {"API_URL": "SECURE://localhost:PORT"}, *SCHEME),
    ("kafka", KAFKA, *PROTOCOLS),
    ("kafka-lag", KAFKA, *PROTOCOLS),
    ("minio", {"S3_ENDPOINT_URL": "SECURE://localhost:PORT"}, *SCHEME),
    ("postgres", LIBPQ, *MODES),
    ("prometheus", {"PROMETHEUS_URL": "SECURE://localhost:PORT"} | PROMQL, *SCHEME),
    (
        "redis",
        {"REDIS_URL": "SECURE://localhost:PORT"},
        ("redis", "rediss"),
        ("the port speaks TLS; use rediss://", "SSL"),
    ),
    ("sql", LIBPQ | SQL, *MODES),
    ("tenants", LIBPQ | TENANTS, *MODES),
    ("vault", {"VAULT_ADDR": "SECURE://localhost:PORT"}, *SCHEME),
    ("vault-key", {"VAULT_ADDR": "SECURE://localhost:PORT"} | KEY, *SCHEME),
    (
        "zookeeper",
        {"ZOOKEEPER_HOSTS": "localhost:PORT"},
        ("", ""),
        ("speaks TLS; use its port without TLS (clientPort)", "answers ruok with 'HTTP/1.1 400"),
    ),
]


@pytest.fixture(scope="module")
def tls_context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path_factory.mktemp("tls")))
    return context


@pytest.mark.parametrize(
    ("name", "variables", "values", "texts"), MIXED, ids=[name for name, *_ in MIXED]
)
@pytest.mark.parametrize("is_tls", [True, False], ids=["to-tls", "tls-to-plain"])
def test_only_one_side_speaks_tls(
    name: str,
    variables: Mapping[str, str],
    values: tuple[str, str],
    texts: tuple[str, str],
    is_tls: bool,
    tls_context: ssl.SSLContext,
    tmp_path: Path,
) -> None:
    def secure(connection: socket.socket) -> None:
        with tls_context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(4096)

    value, text = (values[0], texts[0]) if is_tls else (values[1], texts[1])
    with listening(secure if is_tls else speak_http) as port:
        filled = {
            name: template.replace("PORT", str(port)).replace("SECURE", value)
            for name, template in variables.items()
        }
        ran = Conforming(f"probe-{name}", tmp_path)("--timeout", "2s", **filled)
    assert ran.status == 2, ran
    assert text in ran.line


@pytest.mark.parametrize(
    "text",
    [
        "The plain HTTP request was sent to HTTPS port",
        "Client sent an HTTP request to an HTTPS server.",
        "You're speaking plain HTTP to an SSL-enabled server port.",
    ],
)
def test_a_tls_server_answers_in_plain_http(text: str, tmp_path: Path) -> None:
    """As nginx, Go and Apache do."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Length: {len(text)}\r\n\r\n"
        connection.sendall((head + text).encode())

    with listening(serve) as port:
        ran = Conforming("probe-vault", tmp_path)(VAULT_ADDR=f"http://127.0.0.1:{port}")
    assert ran.status == 2
    assert ran.line.endswith(": the port speaks TLS; write https:// in the URL")
