"""Apache Kafka itself: one broker in KRaft mode, with transactions, SASL and rights.

Maven copies it once into a cache. Where there is no Maven, no Java or no network, noida-db is its
stand-in, which has no users and no rights.
"""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import kafka
import pytest
from kafka.admin import KafkaAdminClient
from kafka.admin._acls import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from kafka.errors import CoordinatorNotAvailableError

from tests.servers.kafka import Server, accepts, serving
from tests.servers.process import free_port, running, until

VERSION = "4.0.0"
CLUSTER = "aaaaaaaaaaaaaaaaaaaaaA"
PASSWORD = "s3cr3t"
POM = f"""<project>
<modelVersion>4.0.0</modelVersion>
<groupId>tests</groupId><artifactId>tests</artifactId><version>1</version>
<dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
</dependency></dependencies>
</project>
"""
# The JVM that starts fastest.
JAVA = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
SETTINGS = """process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{quorum},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{quorum}
log.dirs={directory}/data
log.retention.check.interval.ms=100
log.initial.task.delay.ms=100
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,OAUTHBEARER
listener.name.sasl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_me="{password}";
listener.name.sasl.oauthbearer.sasl.jaas.config=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
unsecuredLoginStringClaim_sub="broker";
"""


class Apache(NamedTuple):
    """The listener that lets everyone do everything, and the port of the one with users."""

    server: Server
    sasl: int | None  # None for the stand-in

    def allow(self, user: str, operation: ACLOperation, kind: ResourceType, name: str) -> None:
        allow, pattern = ACLPermissionType.ALLOW, ResourcePattern(kind, name)
        self.server.admin.create_acls([ACL(f"User:{user}", "*", operation, allow, pattern)])

    def transact(
        self, topic: str, messages: int, *, commit: bool = True, value: bytes = b"x"
    ) -> None:
        """Send messages to partition 0 in a transaction."""
        with self.transaction(topic, messages, value) as producer:
            end = producer.commit_transaction if commit else producer.abort_transaction
            end()

    @contextmanager
    def transaction(
        self, topic: str, messages: int, value: bytes = b"x"
    ) -> Iterator[kafka.KafkaProducer]:
        """A producer that has sent messages to partition 0 in a transaction, which is open."""
        producer = kafka.KafkaProducer(
            bootstrap_servers=self.server.address, transactional_id=f"{topic}-{time.time()}"
        )
        producer.init_transactions()
        producer.begin_transaction()
        for _ in range(messages):
            producer.send(topic, value, partition=0)
        producer.flush()
        try:
            yield producer
        finally:
            producer.close()

    def commit(self, group: str, offsets: dict[tuple[str, int], int]) -> None:
        """Let a group without consumers have these offsets."""
        wanted = {
            kafka.TopicPartition(*partition): kafka.OffsetAndMetadata(offset, "", -1)
            for partition, offset in offsets.items()
        }

        def accepted() -> bool:
            with suppress(CoordinatorNotAvailableError):  # the first group creates its topic
                self.server.admin.alter_group_offsets(group, wanted)
                return True
            return False

        until(accepted, f"{group} has offsets")


def token(user: str, seconds: float) -> str:
    """A token without a signature, which is valid for that time."""
    claims = {"sub": user, "iat": time.time() - 60, "exp": time.time() + seconds}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


@pytest.fixture(scope="module")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apache]:
    """One broker for the module: its tests take topics and groups of their own."""
    directory = tmp_path_factory.mktemp("apache-kafka")
    if classes := _classes():
        with _started(classes, directory) as apache:
            yield apache
    else:
        with serving(directory) as server:
            yield Apache(server, None)


def _classes() -> Path | None:
    """The directory of Kafka's jars, filled on first use; None if they are not to be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    jars = cache / "hcrun-tests" / f"kafka-{VERSION}"
    if not shutil.which("java"):
        return None
    if jars.is_dir():
        return jars
    if not shutil.which("mvn"):
        return None
    draft = jars.with_name(f"{jars.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    (draft / "pom.xml").write_text(POM)
    argv = ["mvn", "-q", "-B", "-f", str(draft), "dependency:copy-dependencies"]
    copied = subprocess.run([*argv, f"-DoutputDirectory={draft}"], check=False, timeout=300)
    if copied.returncode:
        shutil.rmtree(draft)
        return None
    try:
        draft.rename(jars)
    except OSError:  # another process was faster
        shutil.rmtree(draft)
    return jars


@contextmanager
def _started(jars: Path, directory: Path) -> Iterator[Apache]:
    ports = {"plain": free_port(), "quorum": free_port(), "sasl": free_port()}
    settings, log = directory / "server.properties", directory / "log"
    settings.write_text(SETTINGS.format(directory=directory, password=PASSWORD, **ports))
    java = [*JAVA, "-cp", f"{jars}/*"]
    _run([*java, "kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER], settings)
    with running([*java, "kafka.Kafka", str(settings)], log):
        until(lambda: accepts(ports["plain"]), "Kafka is ready", 90)
        with KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{ports['plain']}") as admin:
            yield Apache(Server(ports["plain"], admin), ports["sasl"])


def _run(argv: Sequence[str], settings: Path) -> None:
    subprocess.run([*argv, "-c", str(settings)], check=True, capture_output=True)
