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


@pytest.mark.parametrize(
    ("name", "variable", "scheme"),
    [
        ("redis", "REDIS_URL", "redis"),
        ("celery", "CELERY_BROKER_URL", "redis"),
        ("celery", "CELERY_BROKER_URL", "amqp"),
        ("all", "REDIS_URL", "redis"),
    ],
)
def test_endless_answer(name: str, variable: str, scheme: str, tmp_path: Path) -> None:
    command = Command(f"probe-{name}", tmp_path)
    with listening(flood(ANSWERS[scheme])) as port:
        url = f"{scheme}://127.0.0.1:{port}/0"
        done = subprocess.run(
            [sys.executable, "-ISc", MEASURE, command.script],
            env=command.environ | {variable: url},
            stdout=subprocess.PIPE,
            check=True,
        )
    status, text, memory = json.loads(done.stdout)
    if scheme == "amqp":  # what is not AMQP looks the same
        assert status == 2
        assert f" CRITICAL - 127.0.0.1:{port}: the answer is not AMQP; check " in text
    else:
        assert status == 3
        assert " UNKNOWN - the answer does not fit into 200.0 MB; check the address: " in text
    assert memory < 300_000  # kB
