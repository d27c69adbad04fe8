"""Real ZooKeeper servers: the jars of Debian's package `zookeeper`, alone and as an ensemble."""

import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.process import free_port, running, until

JAR = Path("/usr/share/java/zookeeper.jar")
PATIENCE = 60  # seconds; a Java machine on a busy host takes its time


class Server(NamedTuple):
    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(self, word: str) -> str:
        """The answer to a four-letter word, "" when there is none."""
        answer = b""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as server:
            server.sendall(word.encode())
            while data := server.recv(65536):
                answer += data
        return answer.decode()

    def serves(self) -> bool:
        assert self.process.poll() is None, "ZooKeeper has ended"
        return "Mode: " in self.ask("srvr")


@contextmanager
def start(directory: Path, port: int, settings: Mapping[str, object]) -> Iterator[Server]:
    """One server; `settings` are lines of its zoo.cfg."""
    java = shutil.which("java")
    if java is None or not JAR.exists():
        pytest.skip("no Java, or no package zookeeper")
    directory.mkdir(exist_ok=True)
    config = {
        "tickTime": 500,
        "initLimit": 40,
        "syncLimit": 20,
        "dataDir": directory,
        "clientPort": port,
        "clientPortAddress": "127.0.0.1",
        "admin.enableServer": "false",
        **settings,
    }
    path = directory / "zoo.cfg"
    path.write_text("".join(f"{name}={value}\n" for name, value in config.items()))
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    argv = [java, "-Xmx64m", "-XX:TieredStopAtLevel=1", "-cp", str(JAR), main, str(path)]
    with running(argv, directory / "log") as process:
        yield Server(port, process)


@contextmanager
def serving(directory: Path, **settings: object) -> Iterator[Server]:
    """A server of its own, which serves. Its settings have _ for . in their names."""
    named = {name.replace("_", "."): value for name, value in settings.items()}
    with start(directory, free_port(), named) as server:
        until(server.serves, "ZooKeeper serves", PATIENCE)
        yield server
