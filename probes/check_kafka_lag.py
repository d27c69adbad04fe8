#!/usr/bin/env python3
"""Kafka consumers: how far behind are they, are they running, do they make progress?

The defaults, and why:
- lag 1000, 10000 messages per group and topic.
- unattended 0: messages wait, and the group has no consumer.
- stalled 5 min, 15 min: messages wait and the group has a consumer, but the committed offset of a
  partition does not change. The consumer cannot process a message, or takes very long for it. The
  state directory stores since when.
Without --groups the probe checks all groups, so an abandoned group is CRITICAL until it is deleted.
Groups named by --groups must exist and have a consumer. Deleted topics are ignored. A group that
only stores its offsets in Kafka and assigns partitions by itself has no consumer known to Kafka, so
it is never reported as unattended.
"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import quote

from hcrun.text import counted
from hcrun.units import span
from probes.clients.kafka import FORBIDDEN, OPTIONS, RIGHT, SECRETS, connected, forbidden
from probes.framework.options import Threshold, names, option
from probes.framework.probe import LATENCY, Context, Probe, Ranges
from probes.framework.state import exchange
from probes.framework.verdict import Reading, Status, state_reading

Groups = Mapping[str, bool]  # by name, whether it has no consumer, although Kafka would know of one


class Progress(NamedTuple):
    """The position of a group in a partition."""

    group: str
    topic: str
    partition: int
    committed: int  # offset of the next message to read
    end: int  # offset of the next message to be written

    @property
    def lag(self) -> int:
        return max(0, self.end - self.committed)

    @property
    def key(self) -> str:
        return f"{quote(self.group)} {self.topic} {self.partition}"


def check_kafka_lag(context: Context) -> None:
    wanted = context.options["groups"] or ()
    with connected(context) as (client, _):
        groups = _groups(client, wanted)
        absent = sorted(set(wanted) - set(groups))
        context.add(*evaluate_absent(client.describe_groups(absent) if absent else {}))
        if not groups and not wanted:
            hint = "start a consumer, or grant the user DESCRIBE"
            context.add(state_reading("groups", Status.UNKNOWN, "no group is visible", hint))
        progress = list(_progress(client, list(groups), context))
    context.add(*evaluate_lag(groups, progress, context.ranges))
    context.add(*evaluate_unattended(groups, progress, wanted, context.ranges))
    attended = [item for item in progress if not groups[item.group]]
    stalled: dict[str, float] = {}

    def update(before: Mapping[str, float]) -> dict[str, float]:
        state, ages = since_when(attended, before, time.time())
        stalled.update(ages)
        kept = {
            name: value
            for name, value in before.items()
            if wanted and name.partition(" ")[0] not in map(quote, wanted)
        }
        return kept | state

    problem = exchange(context.source.settings, "kafka-lag", context.verdict.target, update)
    context.add(*evaluate_stalled(attended, stalled, context.ranges))
    if problem:
        context.add(state_reading("state", Status.OK, f"cannot store offsets: {problem}"))


def _groups(client: Any, wanted: Sequence[str]) -> Groups:
    """The consumer groups, all or the wanted ones; groups of Kafka Connect have no offsets."""
    listed = {
        group["group_id"]: group
        for group in client.list_groups()
        if group["protocol_type"] in ("consumer", "")
        and (not wanted or group["group_id"] in wanted)
    }
    states = {name: group.get("group_state") for name, group in listed.items()}
    if not all(states.values()):  # the list has no states before Kafka 2.6
        described = client.describe_groups(sorted(states))
        states = {name: group["group_state"] for name, group in described.items()}
    return {
        name: states[name] in ("Empty", "Dead") and group["protocol_type"] != ""
        for name, group in sorted(listed.items())
    }


def _progress(client: Any, groups: list[str], context: Context) -> Iterator[Progress]:
    from kafka import errors

    if not groups:
        return
    offsets = client.list_group_offsets(groups)
    topics = sorted({partition.topic for group in offsets.values() for partition in group})
    if not topics:
        return
    try:
        ends = _ends(client, topics, context)
    except errors.UnknownTopicOrPartitionError:  # one was deleted just now, so all have failed
        ends = _ends(client, topics, context)
    for group in groups:
        for partition, item in sorted(offsets[group].items()):
            if partition in ends and item.offset >= 0:
                topic, number = partition.topic, partition.partition
                yield Progress(group, topic, number, item.offset, ends[partition])


def _ends(client: Any, topics: Sequence[str], context: Context) -> dict[Any, int]:
    """The end offset of each partition that exists and has a leader."""
    from kafka import OffsetSpec, TopicPartition

    partitions = []
    for topic in client.describe_topics(topics):
        if topic["error_code"] == FORBIDDEN:
            context.add(forbidden(topic["name"]))
        for item in topic["partitions"]:
            partition = TopicPartition(topic["name"], item["partition_index"])
            if item["leader_id"] >= 0:
                partitions.append(partition)
            else:
                name = f"{partition.topic}-{partition.partition}"
                text = f"lag on {name} is unknown: it has no leader"
                context.add(state_reading(name, Status.UNKNOWN, text, "run probe-kafka"))
    if not partitions:
        return {}
    latest = client.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
    return {partition: item.offset for partition, item in latest.items()}


def evaluate_absent(described: Mapping[str, Mapping[str, Any]]) -> Iterator[Reading]:
    """Returns a reading for each named group that is not in the list."""
    for name, group in described.items():
        if "AuthorizationFailed" in (group["error"] or ""):
            text = f"group {name} is forbidden"
            yield state_reading(f"{name}:group", Status.UNKNOWN, text, RIGHT)
        else:
            hint = "start its consumer"
            yield state_reading(f"{name}:group", Status.CRITICAL, f"there is no group {name}", hint)


def evaluate_lag(groups: Groups, progress: Sequence[Progress], ranges: Ranges) -> Iterator[Reading]:
    """Returns the lag of each group on each topic; only the highest has a text unless it alerts."""
    lags: dict[tuple[str, str], int] = defaultdict(int)
    for item in progress:
        lags[item.group, item.topic] += item.lag
    text = f"{counted(len(groups), 'group')} checked"
    if lags:
        (group, topic), maximum = max(lags.items(), key=lambda pair: pair[1])
        text += f", {group} is {maximum} behind on {topic}" if maximum else ", none behind"
    yield state_reading("groups", Status.OK, text if groups else "")
    for (group, topic), lag in lags.items():
        label, text = f"{group}/{topic}", f"{group} is {lag} behind on {topic}"
        reading = Reading(label, lag, "", text, *ranges["lag"], minimum=0)
        yield reading if reading.status else replace(reading, text="")


def evaluate_unattended(
    groups: Groups, progress: Sequence[Progress], wanted: Sequence[str], ranges: Ranges
) -> Iterator[Reading]:
    """Returns groups without a consumer: those with a lag, and named ones as a WARNING."""
    if not any(ranges["unattended"]):
        return
    for group in (name for name, is_empty in groups.items() if is_empty):
        lag = sum(item.lag for item in progress if item.group == group)
        label, hint = f"{group}:unattended", "start its consumer, or delete the group"
        text = f"{group} has no consumer"
        if lag:
            text += f" and {counted(lag, 'message')} waiting"
            yield Reading(label, lag, "", text, *ranges["unattended"], minimum=0, hint=hint)
        elif group in wanted:
            yield state_reading(label, Status.WARNING, text, hint)


def since_when(
    progress: Sequence[Progress], before: Mapping[str, float], now: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the state to store, and the seconds since each partition has moved, by its key.

    `before` is the stored state: for each partition with a lag, the committed offset and the time
    (in seconds since the epoch) at which this offset was found first.
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
    """Returns for each group the partition that has not moved for the longest time."""
    warning, critical = ranges["stalled"]
    limits = [limit for limit in (warning, critical) if limit]
    by_group = defaultdict(list)
    for item in progress:
        if item.key in ages:
            by_group[item.group].append(item)
    for group, items in by_group.items():
        worst = max(items, key=lambda item: ages[item.key])
        age = ages[worst.key]
        number = sum(any(limit.broken_by(ages[item.key]) for limit in limits) for item in items)
        others = f" and {counted(number - 1, 'other partition')}" if number > 1 else ""
        text = f"{group} has not moved on {worst.topic}-{worst.partition}{others} for {span(age)}"
        text = f"{text}, with {counted(worst.lag, 'message')} waiting there" if number else ""
        hint = f"check what its consumer does with offset {worst.committed}"
        yield Reading(f"{group}:stalled", age, "s", text, warning, critical, 0, hint=hint)


PROBE = Probe(
    "kafka-lag",
    f"""Check the lag of Kafka's consumers, and that they are running and make progress.

    KAFKA_BOOTSTRAP_SERVERS is the address. {SECRETS} The user needs DESCRIBE on the groups and
    their topics.
    """,
    check_kafka_lag,
    extra="kafka",
    options=[
        *OPTIONS,
        option(
            "--groups",
            "KAFKA_GROUPS",
            "Groups to check, separated by commas. Default: all.",
            type=names,
        ),
    ],
    thresholds=[
        LATENCY,
        Threshold("lag", "", "1000", "10000", "messages that a group is behind on a topic"),
        Threshold("unattended", "", "off", "0", "messages waiting for a group without consumer"),
        Threshold("stalled", "s", "5m", "15m", "time since a partition with a lag has moved"),
    ],
)

if __name__ == "__main__":
    PROBE.run()
