"""probe-kafka-lag, through its command line, on a server that speaks Kafka and has consumers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from probes.check_kafka_lag import (
    PROBE,
    evaluate_lag,
    evaluate_stalled,
    evaluate_unattended,
    since_when,
)
from probes.clients.kafka_groups import Group, Progress
from probes.framework.verdict import Status
from tests.servers.kafka import (
    DESCRIBE_GROUPS,
    FETCH,
    LIST_GROUPS,
    METADATA,
    OFFSET_FETCH,
    Server,
    front,
)
from tests.servers.process import Command, Like
from tests.servers.ranges import default_ranges

pytestmark = pytest.mark.slow

LATENCY = "latency=#s;8;;0"


@pytest.fixture
def probe(probe: Command, kafka_server: Server) -> Command:
    probe.environ["KAFKA_BOOTSTRAP_SERVERS"] = kafka_server.address
    return probe


@pytest.fixture(scope="module")
def behind(kafka_server: Server) -> Server:
    """The topic `busy` with 2 partitions of 10 messages; the group `gone` has read 3 of each."""
    kafka_server.create("busy", 2)
    for partition in range(2):
        kafka_server.send("busy", 10, partition)
    with kafka_server.consuming("busy", "gone", 3):
        pass
    return kafka_server


def test_healthy(probe: Command, kafka_server: Server) -> None:
    kafka_server.create("calm")
    kafka_server.send("calm", 5)
    with kafka_server.consuming("calm", "reader", 5):
        ran = probe("--groups", "reader")
    assert ran.line == Like(
        f"KAFKA-LAG OK - {kafka_server.address} answers in #T, 1 group checked, "
        f"none behind | {LATENCY} reader/calm=0;1000;10000;0"
    )


def test_unattended(probe: Command, behind: Server) -> None:
    assert probe(KAFKA_GROUPS="gone").line == Like(
        "KAFKA-LAG CRITICAL - gone has no consumer and 14 messages waiting (over 0); start its "
        f"consumer, {behind.address} answers in #T, 1 group checked, "
        f"gone is 14 behind on busy | {LATENCY} gone/busy=14;1000;10000;0 gone:unattended=14;;0;0"
    )
    assert probe("--groups", "gone", "--unattended-critical", "off").status == 0
    assert probe("--groups", "gone", "--unattended-critical", "20").status == 0
    assert (  # without names, all are looked at
        "gone has no consumer and 14 messages waiting (over 0); start its consumer, or name the "
        "groups to check in KAFKA_GROUPS, "
    ) in probe().line


def test_no_consumer_and_nothing_to_do(probe: Command, behind: Server) -> None:
    with behind.consuming("busy", "done", 10):
        pass
    assert probe("--groups", "done").line.startswith(
        "KAFKA-LAG WARNING - done has no consumer; start its consumer, "
    )
    assert probe("--groups", "done", "--unattended-critical", "off").status == 0


def test_missing_group(probe: Command, kafka_server: Server) -> None:
    assert probe("--groups", "nobody").line == Like(
        "KAFKA-LAG CRITICAL - there is no group nobody; start its consumer, "
        f"{kafka_server.address} answers in #T | {LATENCY}"
    )


def test_over_a_threshold(probe: Command, behind: Server) -> None:
    with behind.consuming("busy", "slow", 3):
        for flag, words in {
            "--latency-warning=0": f"WARNING - {behind.address} answers in #T (over 0 s)",
            "--lag-warning=13": "WARNING - slow is 14 behind on busy (over 13)",
            "--lag-critical=13": "CRITICAL - slow is 14 behind on busy (over 13)",
            "--lag-critical=100:": "CRITICAL - slow is 14 behind on busy (under 100)",
        }.items():
            assert probe.worst("--groups", "slow", flag) == Like(words)
            off = f"{flag.partition('=')[0]}=off"
            assert probe("--groups", "slow", off).status == 0


@pytest.mark.slow
def test_stalled_across_runs(probe: Command, behind: Server, tmp_path: Path) -> None:
    soon = ["--groups", "stuck", "--stalled-warning", "10ms"]
    with behind.consuming("busy", "stuck", 1):
        first = probe(*soon)
        second = probe(*soon)
        assert first.status == 0, first.line
        assert second.status == 1
        assert re.sub(r"for [\d.]+ m?s", "for SOME TIME", second.line) == Like(
            "KAFKA-LAG WARNING - stuck has not moved on busy-0 and 1 other partition for SOME TIME,"
            " with 9 messages waiting there (over 10 ms); check what its consumer does with "
            f"offset 1, {behind.address} answers in #T, 1 group checked, stuck is 18 behind on busy"
            f" | {LATENCY} stuck/busy=18;1000;10000;0 stuck:stalled=#s;0.01;900;0"
        )
        assert probe(*soon, "--stalled-critical", "10ms").status == 2
        assert probe("--groups", "stuck").status == 0
        assert probe(*soon, "--stalled-warning", "off").status == 0
        (state,) = (tmp_path / "state/probes").iterdir()
        assert state.stat().st_mode & 0o777 == 0o600
        probe("--groups", "gone")  # others do not make it forget
        assert probe(*soon).status == 1
    with behind.consuming("busy", "stuck", 2):
        assert probe(*soon).status == 0  # it has moved


@pytest.mark.usefixtures("behind")
def test_state_that_cannot_be_kept(probe: Command, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, where a directory should be")
    flags = ["--groups", "gone", "--unattended-critical", "off"]
    ran = probe(*flags)
    assert ran.status == 3
    assert f"cannot keep offsets: {tmp_path}/state/probes" in ran.line
    assert probe(*flags, "--stalled-warning", "off", "--stalled-critical", "off").status == 0


def test_state_that_makes_no_sense(probe: Command, behind: Server, tmp_path: Path) -> None:
    with behind.consuming("busy", "odd", 1):
        probe("--groups", "odd")
        (state,) = (tmp_path / "state/probes").iterdir()
        state.write_text("{nonsense")
        assert probe("--groups", "odd", "--stalled-warning", "0").status == 0
        assert json.loads(state.read_text())["counters"]["odd busy 0 offset"] == 1


def test_deleted_topic_is_left_out(probe: Command, kafka_server: Server) -> None:
    for topic in ("kept", "deleted"):
        kafka_server.create(topic)
        kafka_server.send(topic, 4)
        with kafka_server.consuming(topic, "both", 4):
            pass
    kafka_server.admin.delete_topics(["deleted"])
    before = kafka_server.admin.list_topics()
    assert "deleted" not in before
    result, readings = probe.json("--groups", "both", "--unattended-critical", "off")
    assert result["status"] == "OK"
    assert [label for label in readings if "/" in label] == ["both/kept"]
    assert kafka_server.admin.list_topics() == before  # nothing was created by asking


class TestChangedAnswers:
    """What takes a cluster or a strict broker: the server's answers, changed on their way."""

    def test_partition_without_a_leader(self, probe: Command, behind: Server) -> None:
        def change(message: Any) -> None:
            for topic in message.topics:
                if topic.name == "busy":
                    topic.partitions[1].leader_id, topic.partitions[1].error_code = -1, 5

        with front(behind, {METADATA: change}) as port:
            ran = probe("--bootstrap-servers", f"127.0.0.1:{port}", "--groups", "gone")
        assert ran.status == 2  # 7 still wait
        assert re.search(
            r", lag on busy-[01] is unknown: it has no leader; run probe-kafka, ", ran.line
        )
        assert "gone/busy=7;" in ran.line

    def test_forbidden_topic(self, probe: Command, behind: Server) -> None:
        def change(message: Any) -> None:
            for topic in message.topics:
                if topic.name == "busy":
                    topic.error_code, topic.partitions = 29, []

        with front(behind, {METADATA: change}) as port:
            ran = probe("--bootstrap-servers", f"127.0.0.1:{port}", "--groups", "gone")
        assert ran.line.startswith(
            "KAFKA-LAG UNKNOWN - topic busy is forbidden; grant the user DESCRIBE on it, "
        )

    def test_forbidden_group(self, probe: Command, behind: Server) -> None:
        def hide(message: Any) -> None:
            message.groups = []

        def forbid(message: Any) -> None:
            for group in message.groups:
                group.error_code, group.group_state = 30, ""

        with front(behind, {LIST_GROUPS: hide, DESCRIBE_GROUPS: forbid}) as port:
            named = probe("--bootstrap-servers", f"127.0.0.1:{port}", "--groups", "gone")
            every = probe("--bootstrap-servers", f"127.0.0.1:{port}")
        assert named.status == every.status == 3
        assert named.line.startswith(
            "KAFKA-LAG UNKNOWN - group gone is forbidden; grant the user DESCRIBE on it, "
        )
        assert every.line.startswith(
            "KAFKA-LAG UNKNOWN - no group is visible; start a consumer, or grant the user "
            "DESCRIBE, "
        )

    def test_forbidden_offsets(self, probe: Command, behind: Server) -> None:
        def forbid(message: Any) -> None:
            for answer in (message, *(message.groups or ())):  # one version or another
                answer.error_code, answer.topics = 30, []

        with front(behind, {OFFSET_FETCH: forbid}) as port:
            ran = probe("--bootstrap-servers", f"127.0.0.1:{port}", "--groups", "gone")
        assert ran.status == 3
        assert "GroupAuthorizationFailedError" in ran.line
        assert "; grant the user DESCRIBE on it" in ran.line

    def test_old_broker_without_states(self, probe: Command, behind: Server) -> None:
        def change(message: Any) -> None:
            for group in message.groups:
                group.group_state = ""

        with front(behind, {LIST_GROUPS: change}) as port:
            ran = probe("--bootstrap-servers", f"127.0.0.1:{port}", "--groups", "gone")
        assert ran.status == 2
        assert "gone has no consumer and 14 messages wait" in ran.line

    def test_group_that_cannot_be_described(self, probe: Command, behind: Server) -> None:
        """As that of consumers with group.protocol=consumer."""

        def refuse(message: Any) -> None:
            for group in message.groups:
                group.error_code, group.members = 69, []

        with (
            behind.consuming("busy", "modern", None),
            front(behind, {DESCRIBE_GROUPS: refuse}) as port,
        ):
            flags = ["--bootstrap-servers", f"127.0.0.1:{port}", "--groups"]
            unknown = probe(*flags, "modern")
            known = probe(*flags, "gone")
        assert unknown.line.startswith(
            "KAFKA-LAG UNKNOWN - modern has never committed an offset, and its topics are unknown: "
            "[Error 69] GroupIdNotFoundError"
        )
        assert known.status == 2
        assert "gone has no consumer and 14 messages waiting" in known.line

    @pytest.mark.parametrize(
        ("changes", "lag"),
        [
            ({"last_stable_offset": 10}, 0),  # compaction has removed all that follows
            ({"last_stable_offset": 5}, 14),  # a transaction is in progress
            ({"last_stable_offset": 3}, 14),
            ({"error_code": 6, "last_stable_offset": 10}, 14),  # another broker is the leader now
        ],
    )
    def test_nothing_to_fetch(
        self, probe: Command, behind: Server, changes: dict[str, int], lag: int
    ) -> None:
        def change(message: Any) -> None:
            for topic in message.responses:
                for partition in topic.partitions:
                    partition.records = b""
                    for name, value in changes.items():
                        setattr(partition, name, value)

        with front(behind, {FETCH: change}) as port:
            flags = ["--bootstrap-servers", f"127.0.0.1:{port}", "--groups", "gone"]
            _, readings = probe.json(*flags)
        assert readings["gone/busy"]["value"] == lag
        assert probe.seconds < 8

    def test_partitions_are_being_assigned(self, probe: Command, behind: Server) -> None:
        """In the meantime, no partition has a consumer."""

        def change(message: Any) -> None:
            for group in message.groups:
                group.group_state = "PreparingRebalance"
                for member in getattr(group, "members", ()):
                    member.member_metadata = member.member_assignment = b""

        changes = {LIST_GROUPS: change, DESCRIBE_GROUPS: change}
        with behind.consuming("busy", "moving", 3), front(behind, changes) as port:
            ran = probe("--bootstrap-servers", f"127.0.0.1:{port}", "--groups", "moving")
        assert ran.status == 0, ran.line
        assert "moving is 14 behind on busy" in ran.line

    def test_other_kinds_of_groups(self, probe: Command, behind: Server) -> None:
        kinds = {"connect": "no group is visible", "": "1 group checked, gone is 14 behind"}
        for kind, words in kinds.items():

            def change(message: Any, kind: str = kind) -> None:
                message.groups = [group for group in message.groups if group.group_id == "gone"]
                message.groups[0].protocol_type = kind

            with front(behind, {LIST_GROUPS: change}) as port:
                ran = probe("--bootstrap-servers", f"127.0.0.1:{port}")
            assert words in ran.line
            assert "no consumer" not in ran.line

    def test_hung_after_the_first_answers(self, probe: Command, behind: Server) -> None:
        def stop(_: Any) -> None:
            raise OSError

        with front(behind, {OFFSET_FETCH: stop}) as port:
            ran = probe("--bootstrap-servers", f"127.0.0.1:{port}", "--timeout", "3s")
        assert ran.status == 2
        assert " answers in " in ran.line
        assert ran.seconds < 8


LIMITS = default_ranges(PROBE)


@pytest.mark.parametrize(
    ("lags", "statuses", "words"),
    [
        ({}, [0], "1 group checked"),
        ({("t", 0): 0}, [0, 0], "1 group checked, none behind"),
        ({("t", 0): 500, ("t", 1): 500}, [0, 0], "1 group checked, g is 1000 behind on t"),
        ({("t", 0): 500, ("t", 1): 501}, [0, 1], "1 group checked, g is 1001 behind on t"),
        ({("t", 0): 1, ("u", 0): 10_001}, [0, 0, 2], "1 group checked, g is 10001 behind on u"),
        ({("t", 0): -2}, [0, 0], "1 group checked, g is 3 behind on t"),  # beyond the end
    ],
)
def test_evaluate_lag(lags: dict[tuple[str, int], int], statuses: list[int], words: str) -> None:
    progress = [Progress("g", topic, part, 5, 0, 5 + lag) for (topic, part), lag in lags.items()]
    readings = list(evaluate_lag({"g": Group(True)}, progress, LIMITS))
    assert [reading.status for reading in readings] == statuses
    assert readings[0].message() == words
    assert all(bool(reading.message()) == bool(reading.status) for reading in readings[1:])


@pytest.mark.parametrize(
    ("before", "age"),
    [
        ({}, 0),
        ({"g t 0 offset": 5, "g t 0 since": 40}, 60),
        ({"g t 0 offset": 4, "g t 0 since": 40}, 0),  # it has moved
        ({"g t 0 offset": 6, "g t 0 since": 40}, 0),  # it was reset
        ({"g t 0 offset": 5, "g t 0 since": 140}, 0),  # the clock was set back
        ({"g t 0 offset": 5}, 0),
        ({"other t 0 offset": 5, "other t 0 since": 40}, 0),
    ],
)
def test_since_when(before: dict[str, float], age: float) -> None:
    state, ages = since_when([Progress("g", "t", 0, 5, 0, 9)], before, 100)
    assert ages == {"g t 0": age}
    assert state == {"g t 0 offset": 5, "g t 0 since": 100 - age}
    assert since_when([Progress("g", "t", 0, 9, 0, 9)], before, 100) == ({}, {})


@pytest.mark.parametrize(
    ("age", "status", "words"),
    [
        (299, Status.OK, ""),
        (
            301,
            Status.WARNING,
            "g has not moved on t-0 for 5 min 1 s, with 4 messages waiting there (over 5 min)",
        ),
        (901, Status.CRITICAL, None),
    ],
)
def test_evaluate_stalled(age: float, status: Status, words: str | None) -> None:
    (reading,) = evaluate_stalled([Progress("g", "t", 0, 5, 0, 9)], {"g t 0": age}, LIMITS)
    assert reading.status is status
    assert words in (None, reading.message().partition(";")[0])


def test_evaluate_unattended() -> None:
    groups = {"a": Group(False), "b": Group(False), "c": Group(True)}
    progress = [
        Progress("a", "t", 0, 5, 0, 9, attended=False),
        Progress("c", "t", 0, 5, 0, 9),
        Progress("c", "u", 0, 9, 0, 9, attended=False),
    ]
    readings = list(evaluate_unattended(groups, progress, [], LIMITS))
    assert [(reading.label, reading.value) for reading in readings] == [("a:unattended", 4)]
    named = list(evaluate_unattended(groups, progress, ["a", "b"], LIMITS))
    assert [reading.status for reading in named] == [Status.CRITICAL, Status.WARNING]
    off = LIMITS | {"unattended": (None, None)}
    assert list(evaluate_unattended(groups, progress, ["b"], off)) == []
