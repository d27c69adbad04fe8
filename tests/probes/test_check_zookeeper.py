"""probe-zookeeper, through its command line, on real servers, alone and as an ensemble."""

import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.check_zookeeper import PROBE, Server, evaluate, parse
from probes.framework.verdict import Status
from tests.servers import zookeeper
from tests.servers.process import Command, Like, free_port, listening, until
from tests.servers.ranges import default_ranges

pytestmark = pytest.mark.slow

LATENCY = "latency=#s;8;;0"
SHARED = f"down=0;0;0.49;0;1 {LATENCY} outstanding=0;10;100;0 connections=#;;;0"


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zookeeper.Server]:
    """A server that answers all four-letter words."""
    directory = tmp_path_factory.mktemp("open")
    with zookeeper.serving(directory, **{"4lw_commands_whitelist": "*"}) as server:
        yield server


@pytest.fixture(scope="module")
def default_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zookeeper.Server]:
    """A server with the default whitelist, which has only srvr, and room for two clients."""
    with zookeeper.serving(tmp_path_factory.mktemp("default"), maxClientCnxns=2) as server:
        yield server


def plural(line: str) -> str:
    """The line with many connections: a server may not have noticed the end of one."""
    return re.sub(r"\d+ connections?\b(?!=)", "9 connections", line)


def test_healthy(probe: Command, open_server: zookeeper.Server) -> None:
    ran = probe("--hosts", open_server.address)
    assert ran.status == 0
    assert plural(ran.line) == Like(
        f"ZOOKEEPER OK - {open_server.address} answers in #T, standalone, # connections, "
        f"# file descriptors | {SHARED} descriptors=#;#;#;0;#"
    )
    environ = {"ZOOKEEPER_HOSTS": f"{open_server.address}/app", "ZOOKEEPER_MODE": "standalone"}
    assert probe(**environ).status == 0


def test_default_whitelist(probe: Command, default_server: zookeeper.Server) -> None:
    assert "is not in the whitelist" in default_server.ask("mntr")
    ran = probe("--hosts", default_server.address)
    assert ran.status == 0
    assert plural(ran.line) == Like(
        f"ZOOKEEPER OK - {default_server.address} answers in #T, standalone, # connections, "
        "file descriptors are unknown: 4lw.commands.whitelist lacks mntr"
        f" | {SHARED}"
    )
    off = ["--descriptors-warning", "off", "--descriptors-critical", "off"]
    assert "unknown" not in probe("--hosts", default_server.address, *off).line


def test_no_connection_left(probe: Command, default_server: zookeeper.Server) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            address = ("127.0.0.1", default_server.port)
            stack.enter_context(socket.create_connection(address))
        until(lambda: not default_server.ask("srvr"), "the server has enough clients")
        ran = probe("--hosts", default_server.address)
    assert ran.line.startswith(f"ZOOKEEPER CRITICAL - {default_server.address}")
    until(lambda: default_server.ask("srvr"), "the clients have gone")


def test_everything_hidden(probe: Command) -> None:
    def serve(connection: socket.socket) -> None:  # Debian's server cannot be made to hide srvr
        word = connection.recv(4)
        connection.sendall(word + b" is not executed because it is not in the whitelist.\n")

    with listening(serve) as port:
        ran = probe("--hosts", f"127.0.0.1:{port}")
    assert ran.line == Like(
        f"ZOOKEEPER UNKNOWN - 127.0.0.1:{port} allows neither mntr nor srvr; add them "
        f"to 4lw.commands.whitelist, 127.0.0.1:{port} answers in #T | down=0;0;0.49;0;1 {LATENCY}"
    )


def test_over_a_threshold(probe: Command, open_server: zookeeper.Server) -> None:
    address, hint = open_server.address, "raise LimitNOFILE or ulimit -n"
    for flag, words in {
        "--latency-warning=0": f"WARNING - {address} answers in #T (over 0 s)",
        "--latency-critical=10s:": f"CRITICAL - {address} answers in #T (under 10 s)",
        "--descriptors-warning=1": f"WARNING - # file descriptors (over 1); {hint}",
        "--descriptors-critical=0.1%": f"CRITICAL - # file descriptors (over 0.1%); {hint}",
        "--connections-warning=99:": "WARNING - # connections (under 99)",
        "--outstanding-critical=@0": "CRITICAL - outstanding 0 (in @0); check its disk",
    }.items():
        assert plural(probe.worst("--hosts", address, flag)) == Like(words)
        assert probe("--hosts", address, f"{flag.partition('=')[0]}=off").status == 0


def test_another_mode(probe: Command, open_server: zookeeper.Server) -> None:
    assert probe("--hosts", open_server.address, "--mode", "leader,follower").line.startswith(
        f"ZOOKEEPER CRITICAL - {open_server.address} is standalone, not leader or follower, "
    )


@pytest.mark.slow
def test_ensemble_that_loses_its_servers(probe: Command, tmp_path: Path) -> None:
    ports = [free_port() for _ in range(9)]
    settings: dict[str, object] = {
        f"server.{n}": f"127.0.0.1:{ports[n + 2]}:{ports[n + 5]}" for n in (1, 2, 3)
    }
    settings |= {"4lw.commands.whitelist": "*", "electionAlg": 3}
    with ExitStack() as stack:
        servers = []
        for n in (1, 2, 3):
            directory = tmp_path / f"zookeeper-{n}"
            directory.mkdir()
            (directory / "myid").write_text(str(n))
            servers.append(stack.enter_context(zookeeper.start(directory, ports[n - 1], settings)))
        for server in servers:
            until(server.serves, "the ensemble serves", zookeeper.PATIENCE)
        leader = next(server for server in servers if "Mode: leader" in server.ask("srvr"))
        others = [server for server in servers if server is not leader]
        probe.environ["ZOOKEEPER_HOSTS"] = ",".join(server.address for server in servers)
        healthy = probe("--mode", "leader,follower")
        assert healthy.status == 0, healthy.line
        assert f"{leader.address} is leader" in healthy.line
        assert healthy.line.count(" is follower") == 2

        others[0].process.kill()
        others[0].process.wait()
        assert probe().line.startswith(
            f"ZOOKEEPER WARNING - {others[0].address}: Connection refused, "
            "1 of 3 servers down (over 0), "
        )
        assert probe("--down-warning", "off").status == 0

        others[1].process.kill()
        others[1].process.wait()
        until(lambda: not leader.serves(), "the last one notices", zookeeper.PATIENCE)
        alone = probe()
        assert alone.status == 2
        assert (
            f"{leader.address} runs but does not serve; check that a majority runs, and its log"
        ) in alone.line
        assert "3 of 3 servers down" in alone.line
        assert leader.ask("ruok") == "imok"


def alive(answer: bytes) -> Callable[[socket.socket], None]:
    """A server that is alive, and answers all else with `answer`."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"imok" if connection.recv(4) == b"ruok" else answer)

    return serve


class TestNoService:
    def test_refused(self, probe: Command) -> None:
        port = free_port()
        assert probe("--hosts", f"127.0.0.1:{port}").line == (
            f"ZOOKEEPER CRITICAL - 127.0.0.1:{port}: Connection refused, 1 of 1 server down"
            " | down=1;0;0.49;0;1"
        )
        never = ["--down-warning", "off", "--down-critical", "off"]
        assert probe("--hosts", f"127.0.0.1:{port}", *never).status == 2

    def test_stopped_server(self, probe: Command, open_server: zookeeper.Server) -> None:
        refusing = f"127.0.0.1:{free_port()}"
        hosts = ["--hosts", f"{open_server.address},{refusing}"]
        open_server.process.send_signal(signal.SIGSTOP)
        ran = probe(*hosts, HEALTHCHECKS_CHECK_TIMEOUT="1")
        open_server.process.send_signal(signal.SIGCONT)
        assert ran.line == (
            f"ZOOKEEPER CRITICAL - no answer from {open_server.address} within 1 s, "
            f"{refusing}: Connection refused, 2 of 2 servers down | down=2;0;0.98;0;2"
        )
        assert ran.seconds < 8

    def test_one_that_hangs_up(self, probe: Command) -> None:
        with listening(lambda connection: connection.recv(4)) as port:
            ran = probe("--hosts", f"127.0.0.1:{port}")
        assert ran.line.startswith(
            f"ZOOKEEPER CRITICAL - 127.0.0.1:{port} closes the connection; check maxClientCnxns, "
        )

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
    def test_numbers_that_are_none(self, probe: Command, number: str) -> None:
        lines = MNTR.replace("requests\t0", f"requests\t{number}").replace(
            "count\t100", f"count\t{number}"
        )
        with listening(alive(lines.encode())) as port:
            result, readings = probe.json("--hosts", f"127.0.0.1:{port}")
        assert result["status"] == "UNKNOWN"
        assert readings["outstanding"]["value"] is None
        assert readings["descriptors"]["max"] is None

    def test_one_that_only_is_ok(self, probe: Command) -> None:
        with listening(alive(b"and more")) as port:
            ran = probe("--hosts", f"127.0.0.1:{port}")
        assert ran.line.startswith(
            f"ZOOKEEPER UNKNOWN - 127.0.0.1:{port} does not report its mode; is it ZooKeeper?, "
            "outstanding could not be read; "
        )


class TestUsage:
    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--hosts", "host:port"], "'host:port' is not HOST:PORT"),
            (["--hosts", "host:65536"], "'host:65536' is not HOST:PORT"),
            (["--hosts", "/app"], "no address; write it like"),
            (["--mode", "master"], "invalid mode 'master': choose leader, follower, observer"),
        ],
    )
    def test_wrong(self, probe: Command, flags: list[str], message: str) -> None:
        assert message in probe.misused(*flags).line


LIMITS = default_ranges(PROBE)
MNTR = """\
zk_version	3.8.0
zk_server_state	follower
zk_outstanding_requests	0
zk_num_alive_connections	3
zk_open_file_descriptor_count	50
zk_max_file_descriptor_count	100
"""


def server(address: str = "a:1", **changes: str) -> Server:
    return Server(address, values=parse(MNTR) | changes)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("zk_outstanding_requests", "10", []),
        ("zk_outstanding_requests", "11", ["11 outstanding requests (over 10)"]),
        ("zk_outstanding_requests", "101", ["101 outstanding requests (over 100)"]),
        ("zk_open_file_descriptor_count", "81", ["81 file descriptors (over 80%)"]),
        ("zk_open_file_descriptor_count", "x", ["descriptors could not be read"]),
        ("zk_server_state", "read-only", ["a:1 is read-only"]),
        ("zk_server_state", "observer", []),
    ],
)
def test_evaluate(name: str, value: str, words: list[str]) -> None:
    readings = evaluate([server(**{name: value})], (), LIMITS)
    bad = [reading.message() for reading in readings if reading.status]
    assert [message.partition(";")[0] for message in bad] == words


@pytest.mark.parametrize(
    ("down", "of", "status"),
    [
        (0, 3, Status.OK),
        (1, 3, Status.WARNING),
        (2, 3, Status.CRITICAL),
        (1, 2, Status.CRITICAL),
        (2, 4, Status.CRITICAL),
        (2, 5, Status.WARNING),
        (3, 5, Status.CRITICAL),
        (1, 1, Status.CRITICAL),
    ],
)
def test_evaluate_majority(down: int, of: int, status: Status) -> None:
    servers = [Server(f"{n}:1", "is down") if n < down else server(f"{n}:1") for n in range(of)]
    readings = list(evaluate(servers, (), LIMITS))
    assert max(reading.status.severity for reading in readings) == status.severity
    assert sum(reading.message() == "is down" for reading in readings) == down


def test_two_leaders() -> None:
    leader = {"zk_server_state": "leader"}
    readings = evaluate([server("a:1", **leader), server("b:1", **leader)], (), LIMITS)
    (bad,) = (reading for reading in readings if reading.status)
    assert bad.message() == "there are 2 leaders: a:1, b:1; are these of one ensemble?"


def test_read_only_may_be_right() -> None:
    readings = evaluate([server(zk_server_state="read-only")], ("read-only",), LIMITS)
    assert not any(reading.status for reading in readings)


def test_parse_srvr() -> None:
    answer = "Zookeeper version: 3.8\nConnections: 2\nOutstanding: 1\nZxid: 0x0\nMode: leader\n"
    assert parse(answer) == {
        "zk_num_alive_connections": "2",
        "zk_outstanding_requests": "1",
        "zk_server_state": "leader",
    }
