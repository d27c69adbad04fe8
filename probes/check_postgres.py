#!/usr/bin/env python3
"""PostgreSQL: does it take writes, has it free connections, do sessions block, do replicas lag?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hcrun.text import counted, listed
from hcrun.units import span, volume
from probes.clients import postgres as libpq
from probes.clients.postgres_sessions import Session, evaluate_blocked, evaluate_busy
from probes.framework.probe import Context, Probe, Ranges
from probes.framework.table import table
from probes.framework.texts import text_of
from probes.framework.verdict import Reading, Status, state_reading

HORIZON = 2**31  # transactions: what is older than this would lie in the future


class Server(NamedTuple):
    role: str
    database: str
    is_replica: bool
    sees_all: bool  # whether the role sees the state of other sessions
    usable: int  # connections for clients without privileges
    read_only: str | None  # where default_transaction_read_only is set for all
    is_synchronous: bool  # whether commits wait for a standby


class Slot(NamedTuple):
    name: str
    is_active: bool
    held: int | None  # bytes of WAL; None if it holds none
    status: str | None  # wal_status, since PostgreSQL 13


class Replica(NamedTuple):
    streams: bool  # whether it has ever connected to a primary; else it replays an archive
    receives: bool
    is_paused: bool
    lag: float | None  # seconds


def check_postgres(context: Context) -> None:
    with libpq.connected(context, "GRANT pg_monitor TO the role") as connection:

        def ask(name: str) -> list[libpq.Row]:
            return libpq.select(connection, text_of(f"clients/sql/{name}.sql"), context)

        started = time.perf_counter()
        connection.execute("SELECT 1")
        context.answered(time.perf_counter() - started)
        libpq.check_certificate(connection, context)
        server = Server(*ask("server")[0])
        context.add(*evaluate_role(server, context.options["expect"]))
        sessions = [Session(*row) for row in ask("sessions")]
        own = connection.info.backend_pid
        context.add(*evaluate_sessions(server, sessions, own, context))
        database, oldest = ask("wraparound")[0]
        context.add(evaluate_wraparound(database, oldest, context.ranges))
        size = ask("size")[0][0]
        text = f"{server.database} has {volume(size)}"
        context.add(Reading("size", size, "B", text, *context.ranges["size"], minimum=0))
        with libpq.supported(context, "replication slots"):
            context.add(*evaluate_slots([Slot(*row) for row in ask("slots")], context.ranges))
        with libpq.supported(context, "replication"):
            if server.is_replica:
                replica = Replica(*ask("replica")[0])
                if replica.lag is None or replica.lag > 1:
                    # After an hour without changes, the next one has a lag of an hour until
                    # replayed.
                    time.sleep(min(0.2, context.deadline.left()))
                    replica = Replica(*ask("replica")[0])
                context.add(*evaluate_replica(replica, context.ranges))
            else:
                replicas, synchronous = ask("replicas")[0]
                context.add(*evaluate_replicas(server, replicas, synchronous, context.ranges))


def evaluate_role(server: Server, expected: str) -> Iterator[Reading]:
    """Returns a reading if the server has another role, or takes no writes as a primary."""
    text = hint = ""
    if expected == "primary" and server.is_replica:
        text, hint = "a standby, which takes no writes", "connect to the primary"
        hint += ", or give --expect standby if it is a replica by design"
    elif expected == "standby" and not server.is_replica:
        text, hint = "a primary, not a standby", "check whether there was a failover"
    elif expected == "primary" and server.read_only:
        text = f"takes no writes: default_transaction_read_only is on ({server.read_only})"
        hint = "find out why, such as a full disk, before you reset it"
    if text:
        yield state_reading("role", Status.CRITICAL, text, hint)


def evaluate_sessions(
    server: Server, sessions: Sequence[Session], own: int, context: Context
) -> Iterator[Reading]:
    """Returns free connections and blocking sessions. `own` is the pid of the probe's session."""
    ranges = context.ranges
    used = len(sessions)
    text = f"{used} of {counted(server.usable, 'connection')}"
    limit = ranges["connections"]
    yield Reading("connections", used, "", text, *limit, minimum=0, maximum=server.usable)
    if server.sees_all:
        others = [session for session in sessions if session.pid != own]
        yield from evaluate_busy(others, context.options["ignore"], ranges)
        yield evaluate_blocked(others, ranges)
    elif any(any(ranges[name]) for name in ("long_query", "idle_in_transaction", "blocked")):
        text = f"{server.role} cannot see the queries of other roles"
        yield state_reading("rights", Status.UNKNOWN, text, f'GRANT pg_monitor TO "{server.role}"')


def evaluate_wraparound(database: str, oldest: int, ranges: Ranges) -> Reading:
    text = f"{database} is at {oldest / HORIZON:.0%} of transaction wraparound"
    hint = f"VACUUM FREEZE in {database}; check what blocks vacuum"
    limits = ranges["wraparound"]
    return Reading("wraparound", oldest, "", text, *limits, 0, HORIZON, hint).brief()


def evaluate_replica(replica: Replica, ranges: Ranges) -> Iterator[Reading]:
    if replica.streams and not replica.receives:
        text = "the replica receives nothing from its primary"
        hint = "check its log and primary_conninfo"
        yield state_reading("replication", Status.CRITICAL, text, hint)
    if replica.is_paused:
        hint = "SELECT pg_wal_replay_resume()"
        yield state_reading("replay", Status.WARNING, "replay is paused", hint)
    lag = replica.lag
    text = "" if lag is None else f"replica {span(lag)} behind"
    yield Reading("replica_lag", lag, "s", text, *ranges["replica_lag"], minimum=0)


def evaluate_replicas(
    server: Server, replicas: int, synchronous: int, ranges: Ranges
) -> Iterator[Reading]:
    text = counted(replicas, "replica") if replicas else ""
    yield Reading("replicas", replicas, "", text, *ranges["replicas"], minimum=0)
    if server.is_synchronous and server.sees_all and not synchronous:
        text = "commits wait for a synchronous standby, and none is connected"
        hint = "start the standby, or change synchronous_standby_names"
        yield state_reading("synchronous", Status.CRITICAL, text, hint)


def evaluate_slots(slots: Sequence[Slot], ranges: Ranges) -> Iterator[Reading]:
    """Returns the slot that holds most WAL, and the slots that have lost WAL."""
    if lost := [slot.name for slot in slots if slot.status == "lost"]:
        hint = "what reads it must be built again"
        text = f"replication slot {listed(lost, 5)} has lost WAL"
        yield state_reading("lost_slots", Status.WARNING, text, hint)
    most = max(slots, key=lambda slot: slot.held or 0, default=None)
    held = max(0, most.held or 0) if most else 0
    text = hint = ""
    if most and held:
        state = "active" if most.is_active else "inactive"
        text = f"replication slot {most.name} ({state}) holds {volume(held)} of WAL"
        hint = "start or mend what reads it; if you drop the slot, that must be built again"
    yield Reading("slot_wal", held, "B", text, *ranges["slot_wal"], 0, hint=hint).brief()


PROBE = Probe("postgres", table("postgres", types=libpq.TYPES), check_postgres, url=libpq.URL)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
