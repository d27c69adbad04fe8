"""probe-kafka, through its command line, on a server that speaks Kafka and on what does not."""

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kafka.protocol.metadata import MetadataResponse

from probes.check_kafka import PROBE, evaluate_brokers, evaluate_partitions, evaluate_topics
from probes.framework.verdict import Status
from tests.servers.kafka import METADATA, SASL_AUTHENTICATE, SASL_HANDSHAKE, Server, front
from tests.servers.process import Command, Like, certificate, free_port, hang, listening
from tests.servers.ranges import default_ranges

pytestmark = pytest.mark.slow

LATENCY = "latency=#s;8;;0"


def test_healthy(probe: Command, kafka_server: Server) -> None:
    kafka_server.create("orders", 3)
    assert probe("--bootstrap-servers", kafka_server.address, "--topics", "orders").line == Like(
        f"KAFKA OK - {kafka_server.address} answers in #T, 1 broker, # topics with # partitions"
        f" | {LATENCY} brokers=1;;1:;0 offline=0;;0;0;# under_replicated=0;0;;0;#"
    )
    environ = {"KAFKA_BOOTSTRAP_SERVERS": f"{kafka_server.address}, ", "KAFKA_TOPICS": "orders"}
    assert probe(**environ).status == 0


def test_missing_topic_is_not_created(probe: Command, kafka_server: Server) -> None:
    kafka_server.create("here")
    before = kafka_server.admin.list_topics()
    for _ in range(2):
        ran = probe("--bootstrap-servers", kafka_server.address, "--topics", "here,absent,b@d")
        assert ran.line.startswith(
            f"KAFKA CRITICAL - there is no topic absent, there is no topic b@d, "
            f"{kafka_server.address} answers in "
        )
    assert kafka_server.admin.list_topics() == before


def test_over_a_threshold(probe: Command, kafka_server: Server) -> None:
    target, hint = kafka_server.address, "check the brokers' logs"
    for flag, words in {
        "--latency-warning=0": f"WARNING - {target} answers in #T (over 0 s)",
        "--latency-critical=10s:": f"CRITICAL - {target} answers in #T (under 10 s)",
        "--brokers-warning=3:": "WARNING - 1 broker (under 3)",
        "--brokers-critical=3:": "CRITICAL - 1 broker (under 3)",
        "--offline-warning=@0": f"WARNING - offline 0 (in @0); {hint}",
        "--under-replicated-critical=@0": f"CRITICAL - under_replicated 0 (in @0); {hint}",
    }.items():
        assert probe.worst("--bootstrap-servers", target, flag) == Like(words)
        off = f"{flag.partition('=')[0]}=off"
        assert probe("--bootstrap-servers", target, off).status == 0


def test_one_bootstrap_server_of_two(probe: Command, kafka_server: Server) -> None:
    dead = f"127.0.0.1:{free_port()}"
    assert probe("--bootstrap-servers", f"{dead},{kafka_server.address}").line.startswith(
        f"KAFKA WARNING - bootstrap server {dead}: Connection refused, "
        f"{dead},{kafka_server.address} answers in "
    )


def test_one_bootstrap_server_of_two_hangs(probe: Command, kafka_server: Server) -> None:
    with listening(hang) as port:
        hung = f"127.0.0.1:{port}"
        ran = probe("--bootstrap-servers", f"{hung},{kafka_server.address}", "--timeout", "3s")
    assert ran.line.startswith(
        f"KAFKA WARNING - bootstrap server {hung}: no answer, {hung},{kafka_server.address} "
        "answers in "
    )


class TestChangedAnswers:
    """What takes a cluster or a strict broker: the server's answers, changed on their way."""

    def test_partitions(self, probe: Command, kafka_server: Server) -> None:
        kafka_server.create("spread", 4)

        def change(message: Any) -> None:
            for topic in message.topics:
                for partition in topic.partitions if topic.name == "spread" else ():
                    partition.replica_nodes = [1, 2]
                    if partition.partition_index == 2:
                        partition.leader_id, partition.isr_nodes, partition.error_code = -1, [2], 5

        with front(kafka_server, {METADATA: change}) as port:
            ran = probe("--bootstrap-servers", f"127.0.0.1:{port}", "--topics", "spread")
        assert ran.line == Like(
            "KAFKA CRITICAL - 1 partition without a leader: spread-2 (over 0); start broker 2, "
            "4 partitions under-replicated: spread-0, spread-1, spread-2, spread-3 (over 0); "
            f"start broker 2, 127.0.0.1:{port} answers in #T, 1 broker, # topics with "
            f"# partitions | {LATENCY} brokers=1;;1:;0 offline=1;;0;0;# under_replicated=4;0;;0;#"
        )

    @pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
    def test_brokers_that_cannot_be_reached(
        self, probe: Command, kafka_server: Server, protocol: str
    ) -> None:
        dead = [free_port() for _ in range(3)]

        def change(message: Any) -> None:
            for node, port in enumerate(dead, 7):
                broker = MetadataResponse.MetadataResponseBroker(
                    node_id=node, host="127.0.0.1", port=port, rack=None
                )
                message.brokers.append(broker)

        with front(kafka_server, {METADATA: change}) as port:
            flags = ["--security-protocol", protocol, "--sasl-username", "me"]
            ran = probe("--bootstrap-servers", f"127.0.0.1:{port}", *flags)
        assert ran.line.startswith(
            f"KAFKA CRITICAL - broker 7 cannot be reached: 127.0.0.1:{dead[0]}: Connection "
            "refused; check advertised.listeners and the network, "
        )
        assert ", 4 brokers, " in ran.line

    def test_missing_rights(self, probe: Command, kafka_server: Server) -> None:
        kafka_server.create("secret")

        def hide(message: Any) -> None:  # as a broker does with the topics that one must not see
            asked = [topic for topic in message.topics if topic.name == "secret"]
            message.topics = asked if len(message.topics) == 1 else []
            for topic in message.topics:
                topic.error_code, topic.partitions = 29, []

        with front(kafka_server, {METADATA: hide}) as port:
            nothing = probe("--bootstrap-servers", f"127.0.0.1:{port}")
            hidden = probe("--bootstrap-servers", f"127.0.0.1:{port}", "--topics", "secret")
        assert nothing.status == hidden.status == 3
        assert nothing.line.startswith(
            "KAFKA UNKNOWN - no topic is visible; create one, or grant the user DESCRIBE, "
        )
        assert hidden.line.startswith(
            "KAFKA UNKNOWN - topic secret is forbidden; grant the user DESCRIBE on it, "
        )


class TestCredentials:
    def test_wrong_password(self, probe: Command, kafka_server: Server) -> None:
        def refuse(message: Any) -> None:
            message.error_code, message.error_message = 58, "Authentication failed for me"

        def hang_up(_: Any) -> None:  # kafka-python sees no more of a refusal by Apache Kafka
            raise OSError

        for change, reason in (
            (refuse, "SaslAuthenticationFailedError: Authentication failed for me"),
            (hang_up, "the broker ended the connection during the log-in"),
        ):
            attempts: list[Any] = []

            def counted(message: Any, change: Any = change, attempts: Any = attempts) -> None:
                attempts.append(message)
                change(message)

            with front(kafka_server, {SASL_AUTHENTICATE: counted}) as port:
                ran = probe(
                    *("--bootstrap-servers", f"127.0.0.1:{port}", "--sasl-username", "me"),
                    KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
                    KAFKA_SASL_PASSWORD="s3cr3t",
                )
            assert ran.status == 3
            assert reason in ran.line
            assert ran.line.endswith(
                "; check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
            )
            assert "s3cr3t" not in ran.line
            assert len(attempts) == 1  # more may lock the user out

    def test_password(self, probe: Command, kafka_server: Server, tmp_path: Path) -> None:
        seen: list[Any] = []
        (tmp_path / "password").write_text("s3cr3t\n")
        with front(kafka_server, {SASL_AUTHENTICATE: seen.append}) as port:
            ran = probe(
                *("--bootstrap-servers", f"127.0.0.1:{port}", "--sasl-username", "me"),
                KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
                KAFKA_SASL_PASSWORD_FILE=tmp_path / "password",
            )
        assert ran.status == 0, ran.line
        assert seen


class TestAws:
    """AWS_MSK_IAM. The broker is a stand-in, because that of Amazon is not to be had."""

    ENVIRON: Mapping[str, str] = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "AWS_MSK_IAM",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
                "AWS_MSK_IAM needs TLS; set KAFKA_SECURITY_PROTOCOL=SASL_SSL",
            ),
            ({"AWS_DEFAULT_REGION": ""}, "the AWS region is not set; set AWS_DEFAULT_REGION"),
            (
                {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
                (
                    "there are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
                    " or give this host a role"
                ),
            ),
        ],
    )
    def test_missing(self, probe: Command, changes: dict[str, str], message: str) -> None:
        with listening(hang) as port:
            ran = probe("--bootstrap-servers", f"127.0.0.1:{port}", **{**self.ENVIRON, **changes})
        assert ran.line == f"KAFKA UNKNOWN - {message}"

    def test_login(self, probe: Command, kafka_server: Server, tmp_path: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert, key = certificate(tmp_path)
        context.load_cert_chain(cert, key)

        def offer(message: Any) -> None:
            message.error_code, message.mechanisms = 0, ["AWS_MSK_IAM"]

        def accept(message: Any) -> None:
            message.error_code, message.auth_bytes = 0, b"{}"

        def refuse(message: Any) -> None:
            message.error_code, message.error_message = 58, "Access denied"

        for answer, status, words in (
            (accept, 0, "1 broker"),
            (refuse, 3, "; check KAFKA_SASL_MECHANISM, and the rights of the AWS identity"),
        ):
            changes = {SASL_HANDSHAKE: offer, SASL_AUTHENTICATE: answer}
            with front(kafka_server, changes, context) as port:
                flags = ["--bootstrap-servers", f"127.0.0.1:{port}", "--ssl-cafile", cert]
                ran = probe(*flags, **self.ENVIRON)
            assert ran.status == status, ran.line
            assert words in ran.line
            assert "s3cr3t" not in ran.line


class TestNoService:
    def test_refused(self, probe: Command) -> None:
        port = free_port()
        ran = probe("--bootstrap-servers", f"127.0.0.1:{port}")
        assert ran.line == f"KAFKA CRITICAL - 127.0.0.1:{port}: Connection refused"
        assert ran.seconds < 8  # kafka-python alone would try for the whole time

    def test_hung_after_the_first_answers(self, probe: Command, kafka_server: Server) -> None:
        asked: list[Any] = []

        def change(message: Any) -> None:
            asked.append(message)
            if len(asked) > 1:
                raise OSError  # hangs up, and so again and again

        with front(kafka_server, {METADATA: change}) as port:
            ran = probe("--bootstrap-servers", f"127.0.0.1:{port}", "--timeout", "3s")
        assert ran.line.startswith("KAFKA CRITICAL - ")
        assert "answers in" in ran.line  # what could be seen is said
        assert ran.seconds < 8

    def test_tls_on_a_plain_port(self, probe: Command, kafka_server: Server) -> None:
        flags = ["--security-protocol", "SSL", "--timeout", "3s"]
        ran = probe("--bootstrap-servers", kafka_server.address, *flags)
        assert ran.status == 2
        assert ran.line.endswith(
            ": the port does not speak TLS; "
            "set KAFKA_SECURITY_PROTOCOL to PLAINTEXT or SASL_PLAINTEXT"
        )

    def test_certificate(self, probe: Command, tmp_path: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert, key = certificate(tmp_path)
        context.load_cert_chain(cert, key)

        def serve(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as trusted:
                hang(trusted)

        with listening(serve) as port:
            flags = ["--bootstrap-servers", f"127.0.0.1:{port}", "--security-protocol", "SSL"]
            untrusted = probe(*flags)
            trusted = probe(*flags, "--ssl-cafile", cert, "--timeout", "2s")
        assert untrusted.status == 2
        assert "certificate verify failed: self-signed certificate" in untrusted.line
        assert trusted.line == f"KAFKA CRITICAL - no answer from 127.0.0.1:{port} within 2 s"

    def test_files_that_are_no_certificates(self, probe: Command, tmp_path: Path) -> None:
        cert, key = certificate(tmp_path)
        for flags, words in (
            (["--ssl-cafile", key], f"{key}: has no certificates in PEM format"),
            (["--ssl-certfile", cert, "--ssl-keyfile", cert], f"{cert}: certificate and key are "),
        ):
            with listening(hang) as port:
                address = f"127.0.0.1:{port}"
                ran = probe("--bootstrap-servers", address, "--security-protocol", "SSL", *flags)
            assert ran.line.startswith(f"KAFKA UNKNOWN - {words}")


class TestUsage:
    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--security-protocol", "TLS"], "'TLS' is not one of "),
            (["--bootstrap-servers", ","], "no address; write it like"),
            (["--bootstrap-servers", "host:port"], "'host:port' is not HOST:PORT"),
        ],
    )
    def test_wrong(self, probe: Command, flags: list[str], message: str) -> None:
        assert message in probe.misused(*flags).line


LIMITS = default_ranges(PROBE)


def part(index: int, leader: int = 1, in_sync: tuple[int, ...] = (1, 2)) -> dict[str, Any]:
    replicas = {"replica_nodes": (1, 2), "isr_nodes": in_sync}
    return {"partition_index": index, "leader_id": leader, **replicas}


@pytest.mark.parametrize(
    ("partitions", "statuses", "words"),
    [
        ([], [0, 0, 0], ["", "", ""]),
        ([part(0)], [0, 0, 0], ["1 topic with 1 partition", "", ""]),
        (
            [part(0, -1, ()), part(1)],
            [0, 2, 1],
            [
                "1 topic with 2 partitions",
                "1 partition without a leader: t-0 (over 0)",
                "1 partition under-replicated: t-0 (over 0)",
            ],
        ),
        (
            [part(index, 1, (1,)) for index in range(7)],
            [0, 0, 1],
            [
                "1 topic with 7 partitions",
                "",
                "7 partitions under-replicated: t-0, t-1, t-2, t-3, t-4 and 2 more (over 0)",
            ],
        ),
    ],
)
def test_evaluate_partitions(
    partitions: list[dict[str, Any]], statuses: list[int], words: list[str]
) -> None:
    topics = [{"name": "t", "partitions": partitions}]
    readings = list(evaluate_partitions(topics, {1, 2}, LIMITS))
    assert [reading.status for reading in readings] == statuses
    assert [
        reading.message().removesuffix("; check the brokers' logs") for reading in readings
    ] == words


def test_evaluate_brokers() -> None:
    readings = list(evaluate_brokers({2: "b:1", 1: "a:1"}, {"b:1": "b:1: no answer"}, LIMITS))
    assert [reading.label for reading in readings] == ["brokers", "broker_2"]
    assert [reading.status for reading in readings] == [Status.OK, Status.CRITICAL]
    (none,) = evaluate_brokers({}, {}, LIMITS)
    assert none.status is Status.CRITICAL


def test_evaluate_topics() -> None:
    topics = [{"name": "a", "error_code": 0, "partitions": [1]}]
    assert list(evaluate_topics(topics, ["a"])) == []
    (missing,) = evaluate_topics(topics, ["b"])
    assert missing.status is Status.CRITICAL
