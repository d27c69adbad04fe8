#!/usr/bin/env python3
"""Celery: do workers answer, are tasks stuck, do queues grow, does a worker consume each queue?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any

from hcrun.text import counted
from hcrun.units import span
from probes.clients.broker import BROKER, EnoughError, connected
from probes.framework.probe import Context, Probe, Ranges
from probes.framework.state import exchange, unkept
from probes.framework.table import table
from probes.framework.verdict import Range, Reading, Status, state_reading

PATIENCE = 1.0  # seconds to wait for workers if their number is unknown
SEARCHABLE = 100_000  # keys in a Redis database that is searched for names of queues

Active = Mapping[str, Sequence[Mapping[str, Any]]]  # by worker, its tasks


def check_celery(context: Context) -> None:
    with connected(context) as (connection, reached):
        _read(connection, connection.default_channel, reached, context)


def _read(connection: Any, channel: Any, reached: list[int] | None, context: Context) -> None:
    from kombu.pidbox import Mailbox

    mailbox = Mailbox("celery", type="fanout", accept=["json"])(connection)
    named = context.options["queues"] or ()
    minimum = context.options["min_workers"]
    consumed = {}
    wait = context.deadline.left() / 2 if reached is not None else PATIENCE
    try:
        active = _ask(mailbox, "active", wait, lambda: sum(reached) if reached else None)
        listening = sum(reached) if reached is not None else None
        quiet = _quiet(active, listening, context)
        expected = context.options["expect"] or ()
        context.add(*evaluate_workers(active, listening, quiet, expected, minimum, context.ranges))
        context.add(*evaluate_active(active, time.time(), context.ranges))
        if active:
            wait = context.deadline.left() / 2
            consumed = _ask(mailbox, "active_queues", wait, lambda: len(active))
    finally:
        if reached is not None:  # others end it with the connection
            mailbox.reply_queue(channel).delete()
    accepted = {queue["name"] for queues in consumed.values() for queue in queues}
    names = accepted | set(named) | (_sent_to(channel) if reached is not None else set())
    sizes = dict.fromkeys(sorted(names), 0)
    for name in sizes:
        # Redis has no empty queues. Other brokers close the channel if there is no such queue.
        own = nullcontext(channel) if reached is not None else connection.channel()
        with own as asking, suppress(connection.channel_errors):
            found = asking.queue_declare(queue=name, passive=True)
            sizes[name] = found.message_count
            accepted |= {name} if found.consumer_count else set()
    # Without workers the probe is already CRITICAL, unless --min-workers is 0. What those that are
    # silent consume is not known.
    is_known = bool(active) or (listening == 0 and not minimum)
    is_known = is_known and len(active) >= (listening or 0)
    context.add(*evaluate_queues(sizes, accepted if is_known else None, named, context.ranges))
    if reached is not None:
        unacked = channel.client.hlen(channel.unacked_key)
        text = f"{counted(unacked, 'task')} taken and not finished" if unacked else ""
        context.add(Reading("unacked", unacked, "", text, *context.ranges["unacked"], minimum=0))


def _quiet(active: Active, listening: int | None, context: Context) -> dict[str, float]:
    """Workers that may be busy, and for how long they have been silent: at most --busy."""
    busy, now = context.options["busy"], time.time()
    seen: dict[str, float] = {}

    def update(before: Mapping[str, float]) -> Mapping[str, float]:
        seen.update({name: at for name, at in before.items() if now - busy < at <= now})
        seen.update(dict.fromkeys(active, now))
        return seen

    settings, target = context.source.settings, context.verdict.target
    if busy and (problem := exchange(settings, "celery", target, update)):
        context.add(unkept(problem, "when workers answered"))
    silent = sorted(seen.keys() - active.keys(), key=lambda name: -seen[name])
    number = len(silent) if listening is None else max(0, listening - len(active))
    return {name: now - seen[name] for name in silent[:number]}


def _ask(
    mailbox: Any, command: str, wait: float, awaited: Callable[[], int | None]
) -> dict[str, Any]:
    """The answers by worker. It waits until `awaited` workers have answered, or `wait` seconds."""
    answers: dict[str, Any] = {}

    def on_answer(answer: Mapping[str, Any]) -> None:
        answers.update(answer)
        if len(answers) == awaited():
            raise EnoughError

    with suppress(EnoughError):
        mailbox.multi_call(command, timeout=wait, callback=on_answer)
    return answers


def _sent_to(channel: Any) -> set[str]:
    """The queues to which tasks were sent, as kombu stores them in Redis."""
    client, prefix = channel.client, f"{channel.global_keyprefix}_kombu.binding."
    if client.dbsize() > SEARCHABLE:
        return set()
    keys = client.scan_iter(match=f"{prefix}*", count=1000)
    exchanges = {key.decode().removeprefix(prefix) for key in keys}
    own = {name for name in exchanges if name.endswith("pidbox") or name.startswith("celeryev")}
    return {queue for name in exchanges - own for *_, queue in channel.get_table(name)}


def evaluate_workers(
    active: Active,
    listening: int | None,
    quiet: Mapping[str, float],
    expected: Sequence[str],
    minimum: int,
    ranges: Ranges,
) -> Iterator[Reading]:
    """Returns readings on the workers that answered; `listening` is how many were asked.

    `quiet` are others that may be busy, and how long they have been silent.
    """
    number = len(active) + len(quiet)
    text, hint = counted(number, "worker"), "start workers, and check their logs"
    if quiet:
        text += f", {', '.join(sorted(quiet))} silent for {span(max(quiet.values()))}"
    elif not number:
        text = "no worker listens" if listening == 0 else "no worker answers"
    yield Reading("workers", number, "", text, None, Range(minimum), minimum=0, hint=hint)
    if listening is not None:
        silent = max(0, listening - number)
        text = f"{silent} of {counted(listening, 'worker')} silent" if silent else ""
        hint = "is it stopped or hung? If a task keeps its only thread (--pool solo), set --busy"
        yield Reading("silent", silent, "", text, *ranges["silent"], minimum=0, hint=hint)
    workers = {*active, *quiet}
    names = {*workers, *(name.partition("@")[0] for name in workers)}
    for name in expected:
        if name not in names:
            yield state_reading(f"worker_{name}", Status.CRITICAL, f"worker {name} does not answer")


def evaluate_active(active: Active, now: float, ranges: Ranges) -> Iterator[Reading]:
    """Returns the task that has been running longest, and how many run for too long.

    `now` is in seconds since the epoch, like the times of the workers.
    """
    running = [
        (max(0.0, now - task["time_start"]), worker, task)
        for worker, tasks in active.items()
        for task in tasks
        if task.get("time_start")  # missing until a process of the worker starts the task
    ]
    warning, critical = ranges["active"]
    if not running:
        yield Reading("active", 0, "s", "", warning, critical, minimum=0)
        return
    age, worker, task = max(running, key=lambda item: item[0])
    limits = [limit for limit in (warning, critical) if limit]
    number = sum(any(limit.broken_by(item[0]) for limit in limits) for item in running)
    others = f" and {counted(number - 1, 'other task')}" if number > 1 else ""
    text = f"{task['name']}{others} running for {span(age)}" if number else ""
    hint = f"check task {task['id']} on {worker}"
    yield Reading("active", age, "s", text, warning, critical, minimum=0, hint=hint)


def evaluate_queues(
    sizes: Mapping[str, int], consumed: set[str] | None, named: Sequence[str], ranges: Ranges
) -> Iterator[Reading]:
    """Returns readings on the size of each queue, and on queues that no worker consumes.

    `consumed` is None if it is unknown, or if the lack of workers has been reported.
    """
    for name, tasks in sizes.items():
        text = f"{counted(tasks, 'task')} in {name}" if tasks else ""
        yield Reading(f"queue_{name}", tasks, "", text, *ranges["queue"], minimum=0)
        if consumed is None or name in consumed or not any(ranges["unconsumed"]):
            continue
        label, hint = f"unconsumed_{name}", f"start a worker with -Q {name}"
        if tasks:
            text = f"no worker consumes {name}, which has {counted(tasks, 'task')}"
            yield Reading(label, tasks, "", text, *ranges["unconsumed"], minimum=0, hint=hint)
        elif name in named:
            yield state_reading(label, Status.WARNING, f"no worker consumes {name}", hint)


PROBE = Probe("celery", table("celery"), check_celery, url=BROKER)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
