"""A small server that speaks Kafka's protocol, and a front that changes what it says.

The server is the PyPI package noida-db: one broker, no TLS, and any SASL user is let in. What
takes a cluster (a partition without a leader) or a strict broker (no rights, a wrong password)
is done by the front: it passes requests on, and changes the answers as the test says.
"""

import importlib.util
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import kafka
import pytest
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import CommitFailedError, RebalanceInProgressError
from kafka.protocol.api_header import RequestHeader, ResponseClassRegistry

from tests.servers.process import free_port, listening, running, until

FETCH, METADATA, OFFSET_FETCH, DESCRIBE_GROUPS, LIST_GROUPS = 1, 3, 9, 15, 16
SASL_HANDSHAKE, SASL_AUTHENTICATE = 17, 36

Change = Callable[[Any], object]  # changes an answer in place


class Server(NamedTuple):
    port: int
    admin: Any  # a KafkaAdminClient, which has no types

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def create(self, topic: str, partitions: int = 1) -> None:
        self.admin.create_topics([NewTopic(topic, partitions, 1)])

    def send(self, topic: str, messages: int, partition: int = 0) -> None:
        producer = kafka.KafkaProducer(bootstrap_servers=self.address)
        for _ in range(messages):
            producer.send(topic, b"x", partition=partition)
        producer.flush()
        producer.close()

    @contextmanager
    def consuming(self, topic: str, group: str, offset: int | None) -> Iterator[None]:
        """A consumer in `group` that has committed `offset` in each partition, or nothing."""
        with kafka.KafkaConsumer(
            bootstrap_servers=self.address, group_id=group, enable_auto_commit=False
        ) as consumer:
            # If it joins its group before it knows the topic, it may get no partition for ever.
            until(lambda: consumer.partitions_for_topic(topic), "the consumer knows the topic")
            consumer.subscribe([topic])

            def assigned() -> bool:
                consumer.poll(100, max_records=1)
                return bool(consumer.assignment())

            def committed() -> bool:
                with suppress(CommitFailedError, RebalanceInProgressError):  # it joins once more
                    if assigned():
                        commit = kafka.OffsetAndMetadata(offset, "", -1)
                        consumer.commit(dict.fromkeys(consumer.assignment(), commit))
                        return True
                return False

            until(assigned, "the consumer is in its group")
            if offset is not None:
                until(committed, "the consumer has committed")
            yield


@pytest.fixture(scope="module")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One broker for the module: its tests take topics and groups of their own."""
    if importlib.util.find_spec("noida_db") is None:
        pytest.skip("no package noida-db")
    with serving(tmp_path_factory.mktemp("kafka")) as server:
        yield server


def accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextmanager
def serving(directory: Path) -> Iterator[Server]:
    """A broker, which is ready."""
    package = importlib.util.find_spec("noida_db")
    assert package
    assert package.origin
    port = free_port()
    # The package's console script does not pass SIGTERM on to this.
    argv = [str(Path(package.origin).parent / "noida-db"), "start", "--only", "kafka"]
    argv += ["--host", "127.0.0.1", "--kafka-port", str(port), "--data-dir", str(directory)]
    with running(argv, directory / "log"):
        until(lambda: accepts(port), "the Kafka server is ready")
        with KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}") as admin:
            yield Server(port, admin)


@contextmanager
def front(
    server: Server, changes: Mapping[int, Change], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A port that passes requests on to the server, and changes answers by the request's key."""

    def serve(plain: socket.socket) -> None:
        with (
            tls.wrap_socket(plain, server_side=True) if tls else plain as client,
            socket.create_connection(("127.0.0.1", server.port)) as upstream,
        ):
            own_port = client.getsockname()[1]
            requests, answers = client.makefile("rb"), upstream.makefile("rb")
            while frame := _frame(requests):
                key, version = struct.unpack_from(">hh", frame, 4)
                upstream.sendall(frame)
                answer = _frame(answers)
                if key == METADATA or key in changes:
                    header = RequestHeader(key, version, 0, "")
                    kind: Any = ResponseClassRegistry.get_response_class(header)
                    start = 9 if kind.flexible_version_q(version) else 8  # where the header ends
                    message = kind.decode(answer[start:])
                    if key == METADATA:  # it says where to connect to next: here again
                        for broker in message.brokers:
                            broker.port = own_port
                    changes.get(key, _as_it_is)(message)
                    message._header = None  # else it cannot be encoded
                    body = answer[4:start] + message.encode(version)
                    answer = struct.pack(">i", len(body)) + body
                client.sendall(answer)

    with listening(serve) as port:
        yield port


def _as_it_is(_: Any) -> None:
    pass


def _frame(connection: IO[bytes]) -> bytes:
    """A message with its length; b"" when the other side has hung up."""
    head = connection.read(4)
    if len(head) < 4:
        return b""
    (length,) = struct.unpack(">i", head)
    return head + connection.read(length)
