#!/usr/bin/env python3
"""Celery: do workers answer, are tasks stuck, do queues grow, and does somebody consume them?

The defaults, and why:
- latency 500 ms, 1 s: to connect to the broker takes a few milliseconds.
- --min-workers 1.
- silent 0: a worker that listens and does not answer hangs, or it works in its only thread
  (--pool solo). Only a Redis broker tells how many listen; of others, the probe waits a second.
- active 10 min, 1 h: a task that runs for that long is stuck, or should be several.
- queue 1000, 10000 tasks in one queue, of all priorities together.
- unacked 1000, 10000: what workers took and did not finish: prefetched, running with acks_late, or
  waiting for its time (countdown, eta). Redis only.
- unconsumed 0: tasks wait in a queue that no worker consumes.
The queues are those that workers consume, those that are named, and with Redis those that tasks
were ever sent to, unless the database is too big to be searched for them.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NoReturn

import click

from hcrun.units import span
from probes.clients.broker import BROKER, SECRETS, EnoughError, connected
from probes.framework.options import Threshold, option, words
from probes.framework.probe import LATENCY, Context, Probe, Ranges
from probes.framework.verdict import Range, Reading, Status, count, state_reading

PATIENCE = 1.0  # seconds to wait for workers when it is not known how many there are
SEARCHABLE = 100_000  # keys in a Redis database that are looked through for names of queues

Active = Mapping[str, Sequence[Mapping[str, Any]]]  # by worker, its tasks


def check_celery(context: Context) -> None:
    with connected(context) as (connection, reached):
        _look_inside(connection, connection.default_channel, reached, context)


def _look_inside(
    connection: Any, channel: Any, reached: list[int] | None, context: Context
) -> None:
    from kombu.pidbox import Mailbox

    mailbox = Mailbox("celery", type="fanout", accept=["json"])(connection)
    expected = context.options["expect"] or ()
    named = context.options["queues"] or ()
    try:
        wait = context.deadline.left() / 2 if reached is not None else PATIENCE
        active = _ask(mailbox, "active", wait, lambda: sum(reached) if reached else None)
        listening = sum(reached) if reached is not None else None
        context.add(
            *evaluate_workers(
                active, listening, expected, context.options["min_workers"], context.ranges
            )
        )
        context.add(*evaluate_active(active, time.time(), context.ranges))
        consumed = {}
        if active:
            wait = context.deadline.left() / 2
            consumed = _ask(mailbox, "active_queues", wait, lambda: len(active))
    finally:
        mailbox.reply_queue(channel).delete()
    accepted = {queue["name"] for queues in consumed.values() for queue in queues}
    names = accepted | set(named) | (_sent_to(channel) if reached is not None else set())
    sizes = {}
    for name in sorted(names):
        # Where there is no such queue, brokers other than Redis close the channel that asks.
        with nullcontext(channel) if reached is not None else connection.channel() as asking:
            sizes[name] = _size(asking, name, connection.channel_errors)
    # No worker is already CRITICAL, unless it may be so; then what waits must not go unseen.
    is_known = bool(active) or (listening == 0 and not context.options["min_workers"])
    context.add(*evaluate_queues(sizes, accepted if is_known else None, named, context.ranges))
    if reached is not None:
        unacked = channel.client.hlen(channel.unacked_key)
        text = f"{count(unacked, 'task')} taken and not finished" if unacked else ""
        context.add(Reading("unacked", unacked, "", text, *context.ranges["unacked"], minimum=0))


def _ask(
    mailbox: Any, command: str, wait: float, awaited: Callable[[], int | None]
) -> dict[str, Any]:
    """What workers answer, by their names, as soon as as many have as `awaited` says."""
    answers: dict[str, Any] = {}

    def on_answer(answer: Mapping[str, Any]) -> None:
        answers.update(answer)
        if len(answers) == awaited():
            raise EnoughError

    try:
        mailbox.multi_call(command, timeout=wait, callback=on_answer)
    except EnoughError:
        pass
    return answers


def _sent_to(channel: Any) -> set[str]:
    """The queues that tasks were sent to, as kombu remembers them in Redis."""
    client, prefix = channel.client, "_kombu.binding."
    if client.dbsize() > SEARCHABLE:
        return set()
    found = client.scan_iter(match=f"{prefix}*", count=1000)
    exchanges = {key.decode().removeprefix(prefix) for key in found}
    own = {name for name in exchanges if name.endswith("pidbox") or name.startswith("celeryev")}
    return {queue for name in exchanges - own for *_, queue in channel.get_table(name)}


def _size(channel: Any, queue: str, missing: tuple[type[Exception], ...]) -> int | None:
    """Messages that wait in a queue, of all priorities; None when there is no such queue.

    An empty queue is none in Redis. `missing` are the errors that say so.
    """
    try:
        size: int = channel.queue_declare(queue=queue, passive=True).message_count
    except missing:
        return None
    return size


def evaluate_workers(
    active: Active, listening: int | None, expected: Sequence[str], minimum: int, ranges: Ranges
) -> Iterator[Reading]:
    """Do enough workers answer, and the right ones? `listening` is how many were asked."""
    many = len(active)
    text = count(many, "worker")
    if not many:
        text = "no worker listens" if listening == 0 else "no worker answers"
    hint = "start workers, and see their logs"
    yield Reading("workers", many, "", text, None, Range(minimum), minimum=0, hint=hint)
    if listening is not None:
        silent = max(0, listening - many)
        text = f"{silent} of {count(listening, 'worker')} silent" if silent else ""
        hint = "is it stopped, hung, or --pool solo?"
        yield Reading("silent", silent, "", text, *ranges["silent"], minimum=0, hint=hint)
    names = {*active, *(name.partition("@")[0] for name in active)}
    for name in expected:
        if name not in names:
            yield state_reading(f"worker_{name}", Status.CRITICAL, f"worker {name} does not answer")


def evaluate_active(active: Active, now: float, ranges: Ranges) -> Iterator[Reading]:
    """The task that has been running for the longest, and how many for too long.

    `now` is in seconds since the epoch, as the workers' clocks have it.
    """
    tasks = [
        (max(0.0, now - task["time_start"]), worker, task)
        for worker, found in active.items()
        for task in found
        if task.get("time_start")  # a worker has it before its process begins
    ]
    warning, critical = ranges["active"]
    if not tasks:
        yield Reading("active", 0, "s", "", warning, critical, minimum=0)
        return
    age, worker, task = max(tasks, key=lambda item: item[0])
    given = [limit for limit in (warning, critical) if limit]
    many = sum(any(limit.broken_by(item[0]) for limit in given) for item in tasks)
    others = f" and {count(many - 1, 'other task')}" if many > 1 else ""
    text = f"{task['name']}{others} running for {span(age)}" if many else ""
    hint = f"see task {task['id']} on {worker}"
    yield Reading("active", age, "s", text, warning, critical, minimum=0, hint=hint)


def evaluate_queues(
    sizes: Mapping[str, int | None],
    consumed: set[str] | None,
    named: Sequence[str],
    ranges: Ranges,
) -> Iterator[Reading]:
    """How much waits in each queue, and is anybody there to consume it?

    `consumed` is None when it is not known, or when the lack of workers has been said.
    """
    for name, size in sizes.items():
        tasks = size or 0
        text = f"{count(tasks, 'task')} in {name}" if tasks else ""
        yield Reading(f"queue_{name}", tasks, "", text, *ranges["queue"], minimum=0)
        if consumed is None or name in consumed or not any(ranges["unconsumed"]):
            continue
        label, hint = f"unconsumed_{name}", f"start a worker with -Q {name}"
        if tasks:
            text = f"no worker consumes {name}, which has {count(tasks, 'task')}"
            yield Reading(label, tasks, "", text, *ranges["unconsumed"], minimum=0, hint=hint)
        elif name in named:
            yield state_reading(label, Status.WARNING, f"no worker consumes {name}", hint)


PROBE = Probe(
    "celery",
    f"""Look whether Celery's workers answer, tasks are stuck, and queues grow or are forgotten.

    {SECRETS}
    """,
    check_celery,
    url=BROKER,
    options=[
        option(
            "--min-workers",
            "CELERY_MIN_WORKERS",
            "How many workers have to answer.",
            default=1,
            type=click.IntRange(0),
        ),
        option(
            "--expect",
            "CELERY_EXPECT",
            "Workers that have to answer: name@host or name, with commas between.",
            type=words,
            metavar="NAME,...",
        ),
        option(
            "--queues",
            "CELERY_QUEUES",
            "Queues that have to be consumed, with commas between; others are looked at, too.",
            type=words,
            metavar="NAME,...",
        ),
    ],
    thresholds=[
        LATENCY,
        Threshold("silent", "", "0", "off", "workers that listen and do not answer"),
        Threshold("active", "s", "10m", "1h", "time that a task has been running"),
        Threshold("queue", "", "1000", "10000", "tasks that wait in a queue"),
        Threshold("unacked", "", "1000", "10000", "tasks that were taken and are not finished"),
        Threshold("unconsumed", "", "off", "0", "tasks that wait where no worker consumes"),
    ],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
