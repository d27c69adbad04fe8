#!/usr/bin/env python3
"""Kafka consumers: how far behind are they, are they running, do they make progress?"""

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
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from hcrun.text import counted, listed
from hcrun.units import span
from probes.clients.kafka import RIGHT, TYPES, connected
from probes.clients.kafka_groups import NEVER, Groups, Progress, consumer_groups, progress_of
from probes.framework.probe import Context, Probe, Ranges
from probes.framework.state import exchange, unkept
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, state_reading


def check_kafka_lag(context: Context) -> None:
    wanted = context.options["groups"] or ()
    with connected(context) as (client, network):
        groups = consumer_groups(client, wanted)
        absent = sorted(set(wanted) - set(groups))
        context.add(*evaluate_absent(client.describe_groups(absent) if absent else {}))
        if not groups and not wanted:
            hint = "start a consumer, or grant the user DESCRIBE"
            context.add(state_reading("groups", Status.UNKNOWN, "no group is visible", hint))
        found, unreadable = progress_of(client, network, groups, context)
    progress = [item for item in found if item.committed != NEVER]
    context.add(*evaluate_lag(groups, progress, context.ranges))
    context.add(*evaluate_unknown(groups, {item.group for item in found}))
    context.add(*evaluate_uncommitted(found, context.ranges))
    context.add(*evaluate_unattended(groups, progress, wanted, context.ranges))
    attended = [item for item in progress if item.attended]
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
    if problem and any(context.ranges["stalled"]):
        context.add(unkept(problem, "offsets"))
    if unreadable and context.verdict.status:
        text = f"markers of transactions count as messages on {listed(sorted(unreadable))}"
        context.add(state_reading("markers", Status.OK, f"{text}: the user has no right to READ"))


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
        yield Reading(label, lag, "", text, *ranges["lag"], minimum=0).brief()


def evaluate_unknown(groups: Groups, known: Collection[str]) -> Iterator[Reading]:
    """Returns the groups with consumers of which nothing is known: no offset, and no topic.

    kafka-python cannot describe the groups of consumers with group.protocol=consumer.
    """
    for name, group in groups.items():
        if group.problem and group.has_consumer and name not in known:
            text = f"{name} has never committed an offset, and its topics are unknown"
            yield state_reading(f"{name}:group", Status.UNKNOWN, f"{text}: {group.problem}")


def evaluate_uncommitted(progress: Sequence[Progress], ranges: Ranges) -> Iterator[Reading]:
    """Returns how many messages are where a group has never committed, for each of its topics."""
    by_topic: dict[tuple[str, str], list[Progress]] = defaultdict(list)
    for item in progress:
        if item.committed == NEVER and item.lag:
            by_topic[item.group, item.topic].append(item)
    for (group, topic), items in by_topic.items():
        number = sum(item.lag for item in items)
        where = listed([f"{topic}-{item.partition}" for item in items])
        text = f"{group} has never committed an offset on {where}, with {number} messages there"
        hint = "check its consumer, and raise the threshold if it starts at the end on purpose"
        label = f"{group}/{topic}:uncommitted"
        limits = ranges["uncommitted"]
        yield Reading(label, number, "", text, *limits, minimum=0, hint=hint).brief()


def evaluate_unattended(
    groups: Groups, progress: Sequence[Progress], wanted: Sequence[str], ranges: Ranges
) -> Iterator[Reading]:
    """Returns groups without a consumer for their messages, and named ones as a WARNING.

    A group may have consumers, none of which is for a certain partition.
    """
    if not any(ranges["unattended"]):
        return
    for group, state in groups.items():
        waiting = [
            item for item in progress if item.group == group and item.lag and not item.attended
        ]
        lag = sum(item.lag for item in waiting)
        label, hint = f"{group}:unattended", "start its consumer"
        text = f"{group} has no consumer"
        if state.has_consumer:
            where = listed([f"{item.topic}-{item.partition}" for item in waiting])
            text, hint = f"{text} for {where}", "check to which topics its consumers subscribe"
        elif not wanted:
            hint = f"{hint}, or name the groups to check in KAFKA_GROUPS"
        if lag:
            text += f" and {counted(lag, 'message')} waiting"
            yield Reading(label, lag, "", text, *ranges["unattended"], minimum=0, hint=hint)
        elif group in wanted and not state.has_consumer:
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
        hint = f"check what its consumer does with offset {worst.position}"
        yield Reading(f"{group}:stalled", age, "s", text, warning, critical, 0, hint=hint)


PROBE = Probe("kafka-lag", table("kafka-lag", types=TYPES), check_kafka_lag, extra="kafka")

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
