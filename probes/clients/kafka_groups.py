"""Consumer groups of Kafka: who consumes, what they have committed, what they can still read."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from probes.clients.kafka import FORBIDDEN, Network, forbidden
from probes.framework.probe import Context
from probes.framework.verdict import Status, state_reading

NEVER = -1  # the committed offset of a partition without one
NO_CONSUMER = ("Empty", "Dead")
BATCH, ANSWER = 32 << 10, 1 << 20  # bytes to fetch of a partition, and of all of a broker
READ_COMMITTED = 1

Partition = tuple[str, int]  # the topic and the number


class Group(NamedTuple):
    """A consumer group, as its coordinator describes it."""

    has_consumer: bool  # True if Kafka would not know of one
    topics: frozenset[str] = frozenset()  # to which its consumers subscribe, if it is known
    assigned: frozenset[Partition] | None = None  # None: not known, or being changed
    problem: str = ""  # why neither is known

    def attends(self, partition: Partition) -> bool:
        return self.has_consumer and (self.assigned is None or partition in self.assigned)


Groups = Mapping[str, Group]


class Log(NamedTuple):
    """A partition: its messages have the offsets from `start` to before `end`."""

    start: int
    end: int
    leader: int  # the id of the broker


class Progress(NamedTuple):
    """The position of a group in a partition."""

    group: str
    topic: str
    partition: int
    committed: int  # offset of the next message to read, or NEVER
    start: int
    end: int  # offset of the next message to be written
    attended: bool = True  # the group has a consumer for it

    @property
    def position(self) -> int:
        """Where a consumer continues. It cannot continue at an offset that is not in the log.

        The messages there have expired, or the topic was created again.
        """
        return self.committed if self.start <= self.committed <= self.end else self.start

    @property
    def lag(self) -> int:
        return self.end - self.position

    @property
    def key(self) -> str:
        return f"{quote(self.group)} {self.topic} {self.partition}"


def consumer_groups(client: Any, wanted: Sequence[str]) -> Groups:
    """The consumer groups, all or the wanted ones; groups of Kafka Connect have no offsets."""
    found = {
        group["group_id"]: group
        for group in client.list_groups()
        if group["protocol_type"] in ("consumer", "")
        and (not wanted or group["group_id"] in wanted)
    }
    described = client.describe_groups(sorted(found)) if found else {}
    groups = {}
    for name, listed in sorted(found.items()):
        group = described[name]
        # The list has no states before Kafka 2.6; the description has none of newer protocols.
        state = listed.get("group_state") or group["group_state"]
        members = [] if group["error"] else group["members"]
        topics = {
            topic for member in members for topic in _field(member, "member_metadata", "topics")
        }
        assigned = {
            (item["topic"], number)
            for member in members
            for item in _field(member, "member_assignment", "assigned_partitions")
            for number in item["partitions"]
        }
        groups[name] = Group(
            state not in NO_CONSUMER or listed["protocol_type"] == "",
            frozenset(topics | {topic for topic, _ in assigned}),
            frozenset(assigned) if state == "Stable" and assigned else None,
            (group["error"] or "").rstrip("."),
        )
    return groups


def _field(member: Mapping[str, Any], part: str, name: str) -> Sequence[Any]:
    """A list in what a consumer told its group; [] if it speaks a language of its own."""
    content = member[part]
    return content.get(name) or [] if isinstance(content, dict) else []


def progress_of(
    client: Any, network: Network, groups: Groups, context: Context
) -> tuple[list[Progress], set[str]]:
    """The positions of the groups in the partitions that they have committed or subscribe to.

    Returns also the topics that the user may not read, so that every offset counts as a message.
    """
    from kafka import errors

    if not groups:
        return [], set()
    offsets = client.list_group_offsets(list(groups))
    topics = {
        name: {key.topic for key in offsets[name]} | group.topics for name, group in groups.items()
    }
    named = sorted(set().union(*topics.values()))
    if not named:
        return [], set()
    try:
        logs = _logs(client, named, context)
    except errors.UnknownTopicOrPartitionError:  # one was deleted just now, so all have failed
        logs = _logs(client, named, context)
    by_topic = defaultdict(list)
    for key in sorted(logs):
        by_topic[key.topic].append(key)
    progress = []
    for name, group in groups.items():
        for key in (key for topic in sorted(topics[name]) for key in by_topic[topic]):
            offset = offsets[name][key].offset if key in offsets[name] else NEVER
            if offset != NEVER or not group.topics or key.topic in group.topics:
                item = Progress(name, key.topic, key.partition, offset, *logs[key][:2])
                progress.append(item._replace(attended=group.attends(key)))
    positions: dict[Partition, set[int]] = defaultdict(set)
    for item in sorted(progress, key=lambda item: item.lag):  # what may be markers comes first
        if item.lag:
            positions[item.topic, item.partition].add(item.position)
    until = time.monotonic() + context.deadline.left() / 2
    quiet, refused = _quiet_ends(network, logs, positions, until)
    return [
        item._replace(committed=item.end)
        if item.position >= quiet.get((item.topic, item.partition), item.end)
        else item
        for item in progress
    ], refused


def _logs(client: Any, topics: Sequence[str], context: Context) -> dict[Any, Log]:
    """Each partition (a TopicPartition) that exists and has a leader."""
    from kafka import OffsetSpec, TopicPartition

    leaders = {}
    for topic in client.describe_topics(topics):
        if topic["error_code"] == FORBIDDEN:
            context.add(forbidden(topic["name"]))
        for item in topic["partitions"]:
            partition = TopicPartition(topic["name"], item["partition_index"])
            if item["leader_id"] >= 0:
                leaders[partition] = item["leader_id"]
            else:
                name = f"{partition.topic}-{partition.partition}"
                text = f"lag on {name} is unknown: it has no leader"
                context.add(state_reading(name, Status.UNKNOWN, text, "run probe-kafka"))
    if not leaders:
        return {}
    starts, ends = (
        client.list_partition_offsets(dict.fromkeys(leaders, spec))
        for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
    )
    return {
        key: Log(starts[key].offset, ends[key].offset, leader) for key, leader in leaders.items()
    }


def _quiet_ends(
    network: Network,
    logs: Mapping[Partition, Log],
    positions: Mapping[Partition, set[int]],
    until: float,
) -> tuple[dict[Partition, int], set[str]]:
    """The position from which no message follows, of each partition that has such a position.

    Offsets are also used by the markers at the end of transactions, and by messages that were
    aborted or that compaction has removed. Returns also the topics that the user may not read.
    The highest position comes first: what follows it also follows the others.
    """
    quiet: dict[Partition, int] = {}
    refused: set[str] = set()
    waiting = {partition: sorted(offsets) for partition, offsets in positions.items()}
    following = {partition: offsets[-1] for partition, offsets in waiting.items()}
    before: Mapping[Partition, int] = {}
    while following != before and time.monotonic() < until:
        before = dict(following)
        for partition, data, is_first in _fetch(network, logs, following):
            if data.error_code == FORBIDDEN:
                refused.add(partition[0])
            after = _without_message(data, following.pop(partition), is_first)
            if after is None:
                continue
            if after >= quiet.get(partition, logs[partition].end):
                quiet[partition] = waiting[partition].pop()
                if not waiting[partition]:
                    continue
                after = waiting[partition][-1]
            following[partition] = after
    return quiet, refused


def _fetch(
    network: Network, logs: Mapping[Partition, Log], offsets: Mapping[Partition, int]
) -> Iterator[tuple[Partition, Any, bool]]:
    """What follows the offsets, and whether it comes first: there is always room for it."""
    from kafka.protocol.consumer import FetchRequest

    def wanted(topic: str, partition: int) -> Any:
        place = {"partition": partition, "fetch_offset": offsets[topic, partition]}
        kind = FetchRequest.FetchTopic
        partitions = [kind.FetchPartition(**place, partition_max_bytes=BATCH)]
        return kind(topic=topic, partitions=partitions)

    leaders: dict[int, list[Partition]] = defaultdict(list)
    for partition in offsets:
        leaders[logs[partition].leader].append(partition)
    for leader, partitions in leaders.items():
        request = FetchRequest(
            max_wait_ms=0,
            min_bytes=0,
            max_bytes=ANSWER,
            isolation_level=READ_COMMITTED,
            topics=[wanted(*partition) for partition in partitions],
            max_version=12,  # later ones have no names of topics
        )
        for topic in network.ask(request, leader).responses:
            for data in topic.partitions:
                partition = (topic.topic, data.partition_index)
                yield partition, data, partition == partitions[0]


def _without_message(data: Any, offset: int, is_first: bool) -> int | None:
    """The offset until which `data` has no message, from `offset` on; None if it has one."""
    from kafka.record import MemoryRecords

    if data.error_code:
        return None
    aborted = sorted(
        ((item.first_offset, item.producer_id) for item in data.aborted_transactions or ()),
        reverse=True,
    )
    aborting = set()  # ids of producers
    after = offset
    for batch in MemoryRecords(data.records or b""):
        if batch.magic < 2:  # there were no transactions yet
            return None
        while aborted and aborted[-1][0] <= batch.last_offset:
            aborting.add(aborted.pop()[1])
        if batch.is_control_batch:  # the end of its producer's transaction
            aborting.discard(batch.producer_id)
        elif batch.records_count and batch.producer_id not in aborting:
            return None
        after = batch.next_offset
    if after > offset or not is_first:  # else there was no room left in the answer
        return after
    # Nothing is left until the first transaction in progress, or until the end.
    return data.last_stable_offset if data.last_stable_offset > offset else None
