#!/usr/bin/env python3
"""Kafka: do the brokers answer, are the topics there, and is every partition safe?

The defaults, and why:
- latency 500 ms, 1 s: to find the cluster takes some 20 ms.
- brokers: at least 1; set it to how many there ought to be.
- offline 0: a partition without a leader takes no message and gives none.
- under_replicated 0: one more broker lost may mean messages lost.
A broker that is in the cluster and cannot be reached from here is CRITICAL: clients have to reach
each. So is a topic that is missing. No topic is ever created: Kafka does that for some questions
about a topic that is not there, and these are not asked.
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

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from probes.clients.kafka import OPTIONS, RIGHT, SECRETS, connected, unreachable
from probes.framework.options import Threshold, option, words
from probes.framework.probe import LATENCY, Context, Probe, Ranges
from probes.framework.verdict import Reading, Status, count, state_reading

MISSING, IMPOSSIBLE, FORBIDDEN = 3, 17, 29  # error codes of the protocol
SHOWN = 5  # names in a message, before "and 7 more"


class Partition(NamedTuple):
    topic: str
    number: int
    leader: int  # the id of a broker; -1 for none
    replicas: Sequence[int]
    in_sync: Sequence[int]

    def __str__(self) -> str:
        return f"{self.topic}-{self.number}"


def check_kafka(context: Context) -> None:
    wanted = context.options["topics"] or ()
    with connected(context) as (client, network):
        brokers = network.brokers()
        failed = unreachable(context, sorted(set(brokers.values())))
        context.add(*evaluate_brokers(brokers, failed, context.ranges))
        topics = _describe(client, None, len(failed))
        absent = sorted(set(wanted) - {topic["name"] for topic in topics})
        if absent:  # Kafka leaves out what one must not see; asked by name, it says which it is
            topics += _describe(client, absent, len(failed))
        context.add(*evaluate_topics(topics, wanted))
        context.add(*evaluate_partitions(list(_partitions(topics)), set(brokers), context.ranges))


def _describe(client: Any, names: Sequence[str] | None, failed: int) -> list[dict[str, Any]]:
    """Ask any broker about topics; one that has `failed` is not asked twice."""
    from kafka.errors import KafkaConnectionError

    for _ in range(failed):
        try:
            return list(client.describe_topics(names))
        except KafkaConnectionError:
            pass
    return list(client.describe_topics(names))


def _partitions(topics: Sequence[Mapping[str, Any]]) -> Iterator[Partition]:
    for topic in topics:
        for item in topic["partitions"]:
            yield Partition(
                topic["name"],
                item["partition_index"],
                item["leader_id"],
                item["replica_nodes"],
                item["isr_nodes"],
            )


def evaluate_brokers(
    brokers: Mapping[int, str], failed: Mapping[str, str], ranges: Ranges
) -> Iterator[Reading]:
    """`brokers` are addresses by id, `failed` are reasons by address."""
    amount = len(brokers)
    yield Reading("brokers", amount, "", count(amount, "broker"), *ranges["brokers"], minimum=0)
    for node, address in sorted(brokers.items()):
        if address in failed:
            hint = "see advertised.listeners, and what is between"
            text = f"broker {node} cannot be reached: {failed[address]}"
            yield state_reading(f"broker_{node}", Status.CRITICAL, text, hint)


def evaluate_topics(
    topics: Sequence[Mapping[str, Any]], wanted: Sequence[str]
) -> Iterator[Reading]:
    """Are the topics there that ought to be, and is anything to be seen at all?"""
    codes = {topic["name"]: topic["error_code"] for topic in topics}
    for name in wanted:
        if codes.get(name, MISSING) in (MISSING, IMPOSSIBLE):
            yield state_reading(f"topic_{name}", Status.CRITICAL, f"there is no topic {name}")
        elif codes[name] == FORBIDDEN:
            text = f"topic {name} must not be looked at"
            yield state_reading(f"topic_{name}", Status.UNKNOWN, text, RIGHT)
    if not any(topic["partitions"] for topic in topics) and not wanted:
        text = "no topic is to be seen"
        hint = "there is none yet, or the user has no right to DESCRIBE them"
        yield state_reading("topics", Status.UNKNOWN, text, hint)


def evaluate_partitions(
    partitions: Sequence[Partition], brokers: set[int], ranges: Ranges
) -> Iterator[Reading]:
    """Partitions without a leader, and with fewer replicas in sync than there ought to be."""
    names = {partition.topic for partition in partitions}
    text = f"{count(len(names), 'topic')} with {count(len(partitions), 'partition')}"
    yield state_reading("partitions", Status.OK, text if partitions else "")
    offline = [str(partition) for partition in partitions if partition.leader < 0]
    behind = [str(item) for item in partitions if len(item.in_sync) < len(item.replicas)]
    gone = {replica for item in partitions for replica in item.replicas} - brokers
    hint = f"start broker {', '.join(map(str, sorted(gone)))}" if gone else "see the brokers' logs"
    for label, what, found in (
        ("offline", "without a leader", offline),
        ("under_replicated", "under-replicated", behind),
    ):
        text = f"{count(len(found), 'partition')} {what}: {_listed(found)}" if found else ""
        limit, maximum = ranges[label], len(partitions)
        yield Reading(label, len(found), "", text, *limit, minimum=0, maximum=maximum, hint=hint)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


PROBE = Probe(
    "kafka",
    f"""Look whether Kafka's brokers answer, topics are there, and partitions have their leaders.

    KAFKA_BOOTSTRAP_SERVERS says where it is. {SECRETS} The user needs the right to DESCRIBE the
    topics. No topic is ever created.
    """,
    check_kafka,
    options=[
        *OPTIONS,
        option(
            "--topics",
            "KAFKA_TOPICS",
            "Topics that have to be there, with commas between.",
            type=words,
            metavar="NAME,...",
        ),
    ],
    thresholds=[
        LATENCY,
        Threshold("brokers", "", "off", "1:", "brokers in the cluster"),
        Threshold("offline", "", "off", "0", "partitions without a leader"),
        Threshold("under_replicated", "", "0", "off", "partitions with replicas out of sync"),
    ],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
