#!/usr/bin/env python3
"""Kafka: do the brokers answer, do the topics exist, is every partition available?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hcrun.text import counted, listed
from probes.clients.kafka import FORBIDDEN, TYPES, connected, forbidden, unreachable
from probes.framework.probe import Context, Probe, Ranges
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, state_reading

MISSING, INVALID_NAME = 3, 17  # error codes of the protocol


def check_kafka(context: Context) -> None:
    wanted = context.options["topics"] or ()
    with connected(context) as (client, network):
        brokers = network.brokers()
        failed = unreachable(context, sorted(set(brokers.values())))
        context.add(*evaluate_brokers(brokers, failed, context.ranges))
        topics = _describe(client, None, len(failed))
        absent = sorted(set(wanted) - {topic["name"] for topic in topics})
        if absent:  # the list omits forbidden topics; by name, Kafka says missing or forbidden
            topics += _describe(client, absent, len(failed))
        context.add(*evaluate_topics(topics, wanted))
        context.add(*evaluate_partitions(topics, set(brokers), context.ranges))


def _describe(client: Any, names: Sequence[str] | None, failed: int) -> list[dict[str, Any]]:
    """The descriptions of topics. It asks once more for each of the brokers that have `failed`."""
    from kafka.errors import KafkaConnectionError

    for _ in range(failed):
        try:
            return list(client.describe_topics(names))
        except KafkaConnectionError:
            pass
    return list(client.describe_topics(names))


def evaluate_brokers(
    brokers: Mapping[int, str], failed: Mapping[str, str], ranges: Ranges
) -> Iterator[Reading]:
    """Returns readings on `brokers` (addresses by id); `failed` has reasons by address."""
    amount = len(brokers)
    yield Reading("brokers", amount, "", counted(amount, "broker"), *ranges["brokers"], minimum=0)
    for node, address in sorted(brokers.items()):
        if address in failed:
            hint = "check advertised.listeners and the network"
            text = f"broker {node} cannot be reached: {failed[address]}"
            yield state_reading(f"broker_{node}", Status.CRITICAL, text, hint)


def evaluate_topics(
    topics: Sequence[Mapping[str, Any]], wanted: Sequence[str]
) -> Iterator[Reading]:
    """Returns a reading for each wanted topic that is missing, and if no topic is visible."""
    codes = {topic["name"]: topic["error_code"] for topic in topics}
    for name in wanted:
        if codes.get(name, MISSING) in (MISSING, INVALID_NAME):
            yield state_reading(f"topic_{name}", Status.CRITICAL, f"there is no topic {name}")
        elif codes[name] == FORBIDDEN:
            yield forbidden(name)
    if not any(topic["partitions"] for topic in topics) and not wanted:
        text = "no topic is visible"
        hint = "create one, or grant the user DESCRIBE"
        yield state_reading("topics", Status.UNKNOWN, text, hint)


def evaluate_partitions(
    topics: Sequence[Mapping[str, Any]], brokers: set[int], ranges: Ranges
) -> Iterator[Reading]:
    """Returns how many partitions have no leader, and how many have replicas out of sync."""
    partitions = {
        f"{topic['name']}-{item['partition_index']}": item
        for topic in topics
        for item in topic["partitions"]
    }
    number = sum(1 for topic in topics if topic["partitions"])
    text = f"{counted(number, 'topic')} with {counted(len(partitions), 'partition')}"
    yield state_reading("partitions", Status.OK, text if partitions else "")
    gone = {node for item in partitions.values() for node in item["replica_nodes"]} - brokers
    hint = "check the brokers' logs"
    if gone:
        hint = f"start broker {', '.join(map(str, sorted(gone)))}"
    offline = [name for name, item in partitions.items() if item["leader_id"] < 0]
    behind = [
        name
        for name, item in partitions.items()
        if len(item["isr_nodes"]) < len(item["replica_nodes"])
    ]
    for label, state, affected in (
        ("offline", "without a leader", offline),
        ("under_replicated", "under-replicated", behind),
    ):
        number, limits = len(affected), ranges[label]
        text = f"{counted(number, 'partition')} {state}: {listed(affected)}" if affected else ""
        yield Reading(label, number, "", text, *limits, 0, maximum=len(partitions), hint=hint)


PROBE = Probe("kafka", table("kafka", types=TYPES), check_kafka)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
