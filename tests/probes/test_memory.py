"""Servers that announce an answer of 2 GB, and send it."""

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.process import Command, listening

pytestmark = pytest.mark.slow

SIZE = 2_000_000_000
ANSWERS = {
    "redis": b"$%d\r\n" % SIZE,
    "amqp": struct.pack(">BHI", 1, 0, SIZE),  # a frame
    "http": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE,
    "kafka": struct.pack(">I", SIZE),
    # The log-in is accepted, and then comes a row.
    "postgres": struct.pack(">cIIcIccI", b"R", 8, 0, b"Z", 5, b"I", b"D", SIZE),
    "zookeeper": b"",
}

# The kernel counts the memory of a process from its parent's before the exec, and a worker of
# pytest may be large: a small process starts the probe and says what it took.
MEASURE = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
output = process.stdout.read()
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), output, usage.ru_maxrss]))
"""


def flood(answer: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)
        while True:
            connection.sendall(b"x" * 65536)

    return serve


UNFIT = " UNKNOWN - the answer does not fit into 200.0 MB; check the address: "
LIBPQ = {"PGHOST": "127.0.0.1", "PGPORT": "PORT", "PGUSER": "me", "PGSSLMODE": "disable"}
LIBPQ |= {"PGDATABASE": "app", "PGPASSWORD": "s3cr3t"}
KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:PORT"}
URL = "http://127.0.0.1:PORT"
FLOODED = [
    ("all", {"REDIS_URL": "redis://127.0.0.1:PORT"}, "redis", UNFIT),
    # What is not AMQP looks the same.
    ("celery", {"CELERY_BROKER_URL": "amqp://127.0.0.1:PORT//"}, "amqp", "the answer is not AMQP"),
    ("celery", {"CELERY_BROKER_URL": "redis://127.0.0.1:PORT/0"}, "redis", UNFIT),
    ("healthchecks", {"HEALTHCHECKS_API_URL": URL}, "http", "/status/ does not answer OK; "),
    ("http", {"API_URL": URL}, "http", "the answer has over 1.0 MB; "),
    ("kafka", KAFKA, "kafka", "KAFKA CRITICAL - "),
    ("minio", {"S3_ENDPOINT_URL": URL}, "http", " is not the answer of MinIO; "),
    ("postgres", LIBPQ, "postgres", " CRITICAL - 127.0.0.1:"),
    (
        "prometheus",
        {"PROMETHEUS_URL": URL, "PROBE_PROMETHEUS_QUERY": "up"},
        "http",
        " UNKNOWN - not an answer of Prometheus: has over 1.0 MB, ",
    ),
    ("redis", {"REDIS_URL": "redis://127.0.0.1:PORT"}, "redis", UNFIT),
    (
        "tenants",
        LIBPQ | {"PROBE_TENANTS_LIST": " ".join(map("t{}".format, range(20)))},
        "postgres",
        " CRITICAL - 20 of 20 tenants not reached: ",
    ),
    ("vault", {"VAULT_ADDR": URL}, "http", "sys/health is not the answer of Vault; "),
    (
        "zookeeper",
        {"ZOOKEEPER_HOSTS": ",".join(["127.0.0.1:PORT"] * 40)},
        "zookeeper",
        " answers ruok with 'xxxx",
    ),
]


@pytest.mark.parametrize(
    ("name", "variables", "protocol", "text"),
    FLOODED,
    ids=[f"{name}-{protocol}" for name, _, protocol, _ in FLOODED],
)
def test_endless_answer(
    name: str, variables: dict[str, str], protocol: str, text: str, tmp_path: Path
) -> None:
    command = Command(f"probe-{name}", tmp_path)
    with listening(flood(ANSWERS[protocol])) as port:
        filled = {name: value.replace("PORT", str(port)) for name, value in variables.items()}
        done = subprocess.run(
            [sys.executable, "-ISc", MEASURE, command.script],
            env=command.environ | {"HEALTHCHECKS_CHECK_TIMEOUT": "8"} | filled,
            stdout=subprocess.PIPE,
            check=True,
        )
    status, line, memory = json.loads(done.stdout)
    assert status in (2, 3)
    assert text in line
    assert memory < 300_000  # kB
