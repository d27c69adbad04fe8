#!/usr/bin/env python3
"""Consumers of Kafka: how far are they behind, are they running, and do they move?

The defaults, and why:
- lag 1000, 10000 messages per group and topic: what the alert plan says.
- unattended 0: messages wait, and the group has no consumer.
- stalled 5 min, 15 min: messages wait, a consumer is there, and a partition's committed offset is
  what it was: a message that cannot be processed, or one that takes for ever. Between two runs
  the state directory remembers since when.
Without --groups all groups are looked at, so that an abandoned one is CRITICAL until somebody
deletes it. Named ones have to be there, and to have a consumer. Topics that were deleted after a
group had read them are left out. A group that only keeps its offsets in Kafka, and shares out
partitions by itself, never has a consumer that Kafka knows of: it is not called unattended.
"""

from __future__ import annotations

if __name__ == "__main__":  # run as a file or with -m: hcrun lies beside this directory
    import os
    import sys

    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

from hcrun.units import span
from probes.clients.kafka import OPTIONS, RIGHT, SECRETS, connected
from probes.framework.options import Threshold, option, words
from probes.framework.probe import LATENCY, Context, Probe, Ranges
from probes.framework.state import exchange
from probes.framework.verdict import Reading, Status, count, state_reading

FORBIDDEN = 29  # error code of the protocol: this topic must not be looked at


class Group(NamedTuple):
    name: str
    is_empty: bool  # it has no consumer, and ought to have


class Progress(NamedTuple):
    """How far a group is in a partition."""

    group: str
    topic: str
    partition: int
    committed: int  # the offset of the message to be read next
    end: int  # the offset of the next message to be written

    @property
    def lag(self) -> int:
        return max(0, self.end - self.committed)

    @property
    def key(self) -> str:
        return f"{quote(self.group)} {self.topic} {self.partition}"


def check_kafka_lag(context: Context) -> None:
    wanted = context.options["groups"] or ()
    with connected(context) as (client, _):
        groups = list(_groups(client, wanted))
        absent = sorted(set(wanted) - {group.name for group in groups})
        context.add(*evaluate_absent(client.describe_groups(absent) if absent else {}))
        if not groups and not wanted:
            hint = "there is none yet, or the user has no right to DESCRIBE them"
            context.add(state_reading("groups", Status.UNKNOWN, "no group is to be seen", hint))
        progress = list(_progress(client, [group.name for group in groups], context))
    context.add(*evaluate_lag(groups, progress, context.ranges))
    context.add(*evaluate_unattended(groups, progress, wanted, context.ranges))
    empty = {group.name for group in groups if group.is_empty}
    attended = [item for item in progress if item.group not in empty]
    resting: dict[str, float] = {}

    def update(before: Mapping[str, float]) -> dict[str, float]:
        state, ages = since_when(attended, before, time.time())
        resting.update(ages)
        kept = {
            name: value
            for name, value in before.items()
            if wanted and name.partition(" ")[0] not in map(quote, wanted)
        }
        return kept | state

    problem = exchange(context.source.settings, "kafka-lag", context.verdict.target, update)
    context.add(*evaluate_stalled(attended, resting, context.ranges))
    if problem:
        context.add(state_reading("state", Status.OK, f"offsets are not kept: {problem}"))


def _groups(client: Any, wanted: Sequence[str]) -> Iterator[Group]:
    """The groups of consumers, all or the wanted ones. Those of Kafka Connect have no offsets."""
    listed = {
        group["group_id"]: group
        for group in client.list_groups()
        if group["protocol_type"] in ("consumer", "")
        and (not wanted or group["group_id"] in wanted)
    }
    states = {name: group.get("group_state") for name, group in listed.items()}
    if not all(states.values()):  # brokers before 2.6 do not say it in the list
        described = client.describe_groups(sorted(states))
        states = {name: group["group_state"] for name, group in described.items()}
    for name, group in sorted(listed.items()):
        yield Group(name, states[name] in ("Empty", "Dead") and group["protocol_type"] != "")


def _progress(client: Any, groups: Sequence[str], context: Context) -> Iterator[Progress]:
    from kafka import errors

    if not groups:
        return
    offsets = client.list_group_offsets(list(groups))
    topics = sorted({partition.topic for group in offsets.values() for partition in group})
    if not topics:
        return
    try:
        ends = _ends(client, topics, context)
    except errors.UnknownTopicOrPartitionError:  # one was deleted just now, and fails them all
        ends = _ends(client, topics, context)
    for group in groups:
        for partition, item in sorted(offsets[group].items()):
            if partition in ends and item.offset >= 0:
                topic, number = partition.topic, partition.partition
                yield Progress(group, topic, number, item.offset, ends[partition])


def _ends(client: Any, topics: Sequence[str], context: Context) -> dict[Any, int]:
    """Where each partition ends that exists and has a leader."""
    from kafka import OffsetSpec, TopicPartition

    partitions = []
    for topic in client.describe_topics(topics):
        if topic["error_code"] == FORBIDDEN:
            text = f"topic {topic['name']} must not be looked at"
            context.add(state_reading(f"topic_{topic['name']}", Status.UNKNOWN, text, RIGHT))
        for item in topic["partitions"]:
            partition = TopicPartition(topic["name"], item["partition_index"])
            if item["leader_id"] >= 0:
                partitions.append(partition)
            else:
                name = f"{partition.topic}-{partition.partition}"
                text = f"lag on {name} is not known, as it has no leader"
                context.add(state_reading(name, Status.UNKNOWN, text, "see probe-kafka"))
    if not partitions:
        return {}
    latest = client.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
    return {partition: item.offset for partition, item in latest.items()}


def evaluate_absent(described: Mapping[str, Mapping[str, Any]]) -> Iterator[Reading]:
    """Groups that were named and are not in the list."""
    for name, group in described.items():
        if "AuthorizationFailed" in (group["error"] or ""):
            text = f"group {name} must not be looked at"
            yield state_reading(f"{name}:group", Status.UNKNOWN, text, RIGHT)
        else:
            hint = "its consumer never ran, or has been away for too long"
            yield state_reading(f"{name}:group", Status.CRITICAL, f"there is no group {name}", hint)


def evaluate_lag(
    groups: Sequence[Group], progress: Sequence[Progress], ranges: Ranges
) -> Iterator[Reading]:
    """How far each group is behind on each topic; for people only the worst, unless an alert."""
    lags: dict[tuple[str, str], int] = defaultdict(int)
    for item in progress:
        lags[item.group, item.topic] += item.lag
    text = f"{count(len(groups), 'group')} looked at"
    if lags:
        (group, topic), maximum = max(lags.items(), key=lambda pair: pair[1])
        text += f", {group} is {maximum} behind on {topic}" if maximum else ", none is behind"
    yield state_reading("groups", Status.OK, text if groups else "")
    for (group, topic), lag in lags.items():
        label, text = f"{group}/{topic}", f"{group} is {lag} behind on {topic}"
        reading = Reading(label, lag, "", text, *ranges["lag"], minimum=0)
        yield reading if reading.status else replace(reading, text="")


def evaluate_unattended(
    groups: Sequence[Group],
    progress: Sequence[Progress],
    wanted: Sequence[str],
    ranges: Ranges,
) -> Iterator[Reading]:
    """Groups without a consumer: CRITICAL when messages wait, else a WARNING if it was named."""
    if not any(ranges["unattended"]):
        return
    for group in groups:
        if not group.is_empty:
            continue
        lag = sum(item.lag for item in progress if item.group == group.name)
        label, hint = f"{group.name}:unattended", "start its consumer, or delete the group"
        text = f"{group.name} has no consumer" + (
            f" and {count(lag, 'message')} wait" if lag else ""
        )
        if lag:
            yield Reading(label, lag, "", text, *ranges["unattended"], minimum=0, hint=hint)
        elif group.name in wanted:
            yield state_reading(label, Status.WARNING, text, hint)


def since_when(
    progress: Sequence[Progress], before: Mapping[str, float], now: float
) -> tuple[dict[str, float], dict[str, float]]:
    """What to remember, and for how many seconds each partition has not moved, by its key.

    `before` is what was remembered: per partition with a lag the committed offset, and the time
    (in seconds since the epoch) when it was seen first.
    """
    state: dict[str, float] = {}
    ages: dict[str, float] = {}
    for item in progress:
        if item.lag:
            since = now
            if before.get(f"{item.key} offset") == item.committed:
                since = min(now, before.get(f"{item.key} since", now))
            state |= {f"{item.key} offset": float(item.committed), f"{item.key} since": since}
            ages[item.key] = now - since
    return state, ages


def evaluate_stalled(
    progress: Sequence[Progress], ages: Mapping[str, float], ranges: Ranges
) -> Iterator[Reading]:
    """The partition of each group that has not moved for the longest, and how many have not."""
    warning, critical = ranges["stalled"]
    given = [limit for limit in (warning, critical) if limit]
    by_group = defaultdict(list)
    for item in progress:
        if item.key in ages:
            by_group[item.group].append(item)
    for group, items in by_group.items():
        worst = max(items, key=lambda item: ages[item.key])
        age = ages[worst.key]
        many = sum(any(limit.broken_by(ages[item.key]) for limit in given) for item in items)
        others = f" and {count(many - 1, 'other partition')}" if many > 1 else ""
        text = f"{group} has not moved on {worst.topic}-{worst.partition}{others} for {span(age)}"
        text += f", {count(worst.lag, 'message')} wait there"
        hint = f"see what its consumer does with offset {worst.committed}"
        yield Reading(
            f"{group}:stalled", age, "s", text if many else "", warning, critical, 0, hint=hint
        )


PROBE = Probe(
    "kafka-lag",
    f"""Look how far consumers of Kafka are behind, whether they are running, and if they move.

    KAFKA_BOOTSTRAP_SERVERS says where it is. {SECRETS} The user needs the right to DESCRIBE the
    groups and their topics.
    """,
    check_kafka_lag,
    extra="kafka",
    options=[
        *OPTIONS,
        option(
            "--groups",
            "KAFKA_GROUPS",
            "Groups to look at, with commas between. Without it: all.",
            type=words,
            metavar="NAME,...",
        ),
    ],
    thresholds=[
        LATENCY,
        Threshold("lag", "", "1000", "10000", "messages that a group is behind on a topic"),
        Threshold("unattended", "", "off", "0", "messages that wait for a group with no consumer"),
        Threshold("stalled", "s", "5m", "15m", "time that a partition with a lag does not move"),
    ],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
