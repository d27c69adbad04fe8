"""probe-kafka-lag and probe-kafka on Apache Kafka itself: transactions, users, rights.

Without Maven and Java, the stand-in noida-db serves the tests that need neither.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import kafka
import pytest
from kafka.admin import ACLOperation, ResourceType

from tests.servers.apache_kafka import PASSWORD, Apache, apache_kafka, token
from tests.servers.process import Command, Ran

__all__ = ["apache_kafka"]

pytestmark = pytest.mark.slow


@pytest.fixture
def lag(apache_kafka: Apache, tmp_path: Path) -> Command:
    command = Command("probe-kafka-lag", tmp_path)
    command.environ["KAFKA_BOOTSTRAP_SERVERS"] = apache_kafka.server.address
    return command


@pytest.fixture
def apache(apache_kafka: Apache) -> Apache:
    if apache_kafka.sasl is None:
        pytest.skip("no Apache Kafka: its stand-in has no transactions and no users")
    return apache_kafka


def committed(kafka: Apache) -> None:
    kafka.transact("committed", 5)


def aborted(kafka: Apache) -> None:
    kafka.server.send("aborted", 5)
    for _ in range(3):
        kafka.transact("aborted", 2, commit=False)


def aborted_at_length(kafka: Apache) -> None:
    """More than the broker sends at once."""
    kafka.server.send("aborted_at_length", 5)
    kafka.transact("aborted_at_length", 3, commit=False, value=b"x" * 700_000)


def aborted_before_a_message(kafka: Apache) -> None:
    kafka.server.send("aborted_before_a_message", 5)
    kafka.transact("aborted_before_a_message", 2, commit=False)
    kafka.server.send("aborted_before_a_message", 1)


def committed_after_an_abortion(kafka: Apache) -> None:
    kafka.server.send("committed_after_an_abortion", 5)
    with kafka.transaction("committed_after_an_abortion", 2) as producer:
        producer.abort_transaction()
        producer.begin_transaction()
        producer.send("committed_after_an_abortion", b"x", partition=0)
        producer.commit_transaction()


@pytest.mark.parametrize(
    ("fill", "waiting"),
    [
        (committed, 0),
        (aborted, 0),
        (aborted_at_length, 0),
        (aborted_before_a_message, 4),
        (committed_after_an_abortion, 5),
    ],
)
def test_what_is_no_message(
    lag: Command, apache: Apache, fill: Callable[[Apache], None], waiting: int
) -> None:
    """A group has read the 5 messages; more offsets follow."""
    topic = fill.__name__
    apache.server.create(topic)
    fill(apache)
    flags = ["--groups", topic, "--stalled-critical", "0"]
    with apache.server.consuming(topic, topic, 5):
        lag(*flags)
        assert lag(*flags).status == (2 if waiting else 0)
    result, readings = lag.json("--groups", topic)
    assert readings[f"{topic}/{topic}"]["value"] == waiting
    assert result["status"] == ("CRITICAL" if waiting else "WARNING")  # it has no consumer


def test_groups_at_several_positions(lag: Command, apache: Apache) -> None:
    apache.server.create("shared")
    apache.server.send("shared", 5)
    for _ in range(3):
        apache.transact("shared", 1, commit=False)
    positions = {"four": 4, "five": 5, "seven": 7, "eleven": 11}
    for group, offset in positions.items():
        apache.commit(group, {("shared", 0): offset})
    _, readings = lag.json("--groups", ",".join(positions))
    values = {group: readings[f"{group}/shared"]["value"] for group in positions}
    assert values == {"four": 7, "five": 0, "seven": 0, "eleven": 0}


def test_many_partitions(lag: Command, apache: Apache) -> None:
    """The broker has no room for all in one answer."""
    apache.server.create("many", 4)
    producer = kafka.KafkaProducer(
        bootstrap_servers=apache.server.address, transactional_id="many", linger_ms=0
    )
    producer.init_transactions()
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        for partition in range(4):
            producer.send("many", b"x" * 500_000, partition=partition)
        producer.flush()
        end()
    producer.close()
    apache.commit("many", {("many", number): 1 for number in range(4)})
    _, readings = lag.json("--groups", "many")
    assert readings["many/many"]["value"] == 0
    apache.commit("many", {("many", number): number % 2 for number in range(4)})
    _, readings = lag.json("--groups", "many")
    assert readings["many/many"]["value"] == 8


def test_transaction_in_progress(lag: Command, apache: Apache) -> None:
    apache.server.create("open")
    with apache.transaction("open", 3) as producer:
        with apache.server.consuming("open", "open", 0):
            _, readings = lag.json("--groups", "open")
        assert readings["open/open"]["value"] == 3
        producer.abort_transaction()


def test_expired_messages(lag: Command, apache_kafka: Apache) -> None:
    server = apache_kafka.server
    server.create("expired", 2)
    for partition in range(2):
        server.send("expired", 10, partition)
    with server.consuming("expired", "expired", 3):
        pass
    server.admin.delete_records(
        {kafka.TopicPartition("expired", 0): 8, kafka.TopicPartition("expired", 1): 10}
    )
    assert "expired has no consumer and 2 messages waiting" in lag("--groups", "expired").line


def test_offset_beyond_the_end(lag: Command, apache_kafka: Apache) -> None:
    server = apache_kafka.server
    server.create("recreated")
    server.send("recreated", 4)
    with server.consuming("recreated", "recreated", 50):
        pass
    assert "recreated has no consumer and 4 messages waiting" in lag("--groups", "recreated").line
    apache_kafka.commit("recreated", {("recreated", 0): 4})
    assert lag("--groups", "recreated").status == 1  # it has no consumer


def test_never_committed(lag: Command, apache_kafka: Apache) -> None:
    server = apache_kafka.server
    server.create("fresh", 2)
    for partition in range(2):
        server.send("fresh", 10, partition)
    with server.consuming("fresh", "fresh", None):
        for flags, status in (
            ([], 0),
            (["--uncommitted-warning=20"], 0),
            (["--uncommitted-warning=19"], 1),
            (["--uncommitted-critical=19"], 2),
            (["--lag-critical=0", "--stalled-critical=0"], 0),
        ):
            ran = lag("--groups", "fresh", *flags)
            assert ran.status == status, ran.line
        assert lag("--groups", "fresh", "--uncommitted-warning=19").line.startswith(
            "KAFKA-LAG WARNING - fresh has never committed an offset on fresh-0, fresh-1, with 20 "
            "messages there (over 19); check its consumer, and raise the threshold if it starts at "
            "the end on purpose, "
        )


def test_some_partitions_never_committed(lag: Command, apache_kafka: Apache) -> None:
    server = apache_kafka.server
    server.create("half", 2)
    for partition in range(2):
        server.send("half", 10, partition)
    apache_kafka.commit("half", {("half", 0): 10})
    _, readings = lag.json("--groups", "half")
    assert readings["half/half"]["value"] == 0
    assert readings["half/half:uncommitted"]["value"] == 10


def test_partition_without_a_consumer(lag: Command, apache_kafka: Apache) -> None:
    server = apache_kafka.server
    for topic in ("dropped", "kept"):
        server.create(topic)
        server.send(topic, 10)
    with server.consuming("dropped", "partly", 3):
        pass
    with server.consuming("kept", "partly", 10):
        assert lag.worst("--groups", "partly") == (
            "CRITICAL - partly has no consumer for dropped-0 and 7 messages waiting (over 0); "
            "check to which topics its consumers subscribe"
        )


def test_group_that_was_deleted(lag: Command, apache_kafka: Apache) -> None:
    server = apache_kafka.server
    server.create("left")
    server.send("left", 10)
    with server.consuming("left", "deleted", 3):
        pass
    server.admin.delete_groups(["deleted"])
    assert lag.worst("--groups", "deleted") == (
        "CRITICAL - there is no group deleted; start its consumer"
    )


class TestUsers:
    @pytest.fixture
    def login(self, apache: Apache) -> Mapping[str, str]:
        apache.allow("me", ACLOperation.DESCRIBE, ResourceType.TOPIC, "*")
        apache.allow("me", ACLOperation.DESCRIBE, ResourceType.GROUP, "*")
        return {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{apache.sasl}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_USERNAME": "me",
            "KAFKA_SASL_PASSWORD": PASSWORD,
        }

    def test_right_to_read(self, lag: Command, apache: Apache, login: Mapping[str, str]) -> None:
        apache.server.create("secret")
        apache.transact("secret", 5)
        with apache.server.consuming("secret", "secret", 5):
            pass
        refused = lag("--groups", "secret", **login)
        assert refused.line.startswith(
            "KAFKA-LAG CRITICAL - secret has no consumer and 1 message waiting (over 0); "
        )
        text = "markers of transactions count as messages on secret: the user has no right to READ"
        assert text in refused.line
        apache.allow("me", ACLOperation.READ, ResourceType.TOPIC, "secret")
        assert lag("--groups", "secret", **login).status == 1  # it has no consumer

    @pytest.mark.parametrize(
        ("changes", "status", "words"),
        [
            ({}, 0, ""),
            ({"KAFKA_SASL_PASSWORD": "wrong"}, 3, "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
            ({"KAFKA_SASL_MECHANISM": "OAUTHBEARER"}, 3, "set KAFKA_SASL_OAUTH_TOKEN_FILE"),
            ({"KAFKA_SASL_MECHANISM": "OAUTHBEARER", "KAFKA_SASL_OAUTH_TOKEN": 600}, 0, ""),
            (
                {"KAFKA_SASL_MECHANISM": "OAUTHBEARER", "KAFKA_SASL_OAUTH_TOKEN": -30},
                3,
                "; check KAFKA_SASL_MECHANISM, and KAFKA_SASL_OAUTH_TOKEN, which may have expired",
            ),
        ],
    )
    def test_login(
        self,
        tmp_path: Path,
        login: Mapping[str, str],
        changes: Mapping[str, str | int],
        status: int,
        words: str,
    ) -> None:
        texts = {
            name: token("me", value) if isinstance(value, int) else value
            for name, value in changes.items()
        }
        ran: Ran = Command("probe-kafka", tmp_path)(**{**login, **texts})
        assert ran.status == status, ran.line
        assert words in ran.line
        assert not any(value in ran.line for name, value in texts.items() if "TOKEN" in name)
