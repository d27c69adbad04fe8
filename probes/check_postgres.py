#!/usr/bin/env python3
"""PostgreSQL: does it answer, has it free connections, do sessions block, do replicas follow?

The defaults, and why:
- latency 500 ms, off: SELECT 1 takes a millisecond.
- connections 80%, 90% of max_connections without the reserved ones: at 100% clients are refused.
- long query 30 s. Idle in transaction 5 min: such a session holds locks and blocks vacuum.
- wraparound 50%, 75% of 2^31 transactions: autovacuum should act at 9% (200 million), so 50% means
  that vacuum fails; at 75% (1.6 billion) PostgreSQL vacuums without any limits
  (vacuum_failsafe_age).
- replica lag 30 s, 5 min. A replica that has replayed everything has no lag, however old the last
  change is. A replica that no longer receives data is CRITICAL, even if it has replayed everything.
- size, replicas: off, because the right number depends on the installation.
A role without pg_monitor does not see the state of other sessions. The probe is then UNKNOWN,
unless the thresholds of long query and idle in transaction are off.
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
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from hcrun.text import counted
from hcrun.units import span, volume
from probes.clients import postgres as libpq
from probes.framework.options import Threshold
from probes.framework.probe import LATENCY, Context, Probe, Ranges
from probes.framework.verdict import Reading, Status, state_reading

HORIZON = 2**31  # transactions: what is older than this would lie in the future


class Server(NamedTuple):
    role: str
    database: str
    is_replica: bool
    sees_all: bool  # whether the role sees the state of other sessions
    usable: int  # connections for clients without privileges


SERVER = """
SELECT current_user, current_database(), pg_is_in_recovery(),
    pg_has_role('pg_read_all_stats', 'USAGE'),
    current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0)
"""


class Session(NamedTuple):
    pid: int
    role: str
    state: str | None  # None: the probe's role has no right to see it
    running: float | None  # seconds since its query began
    resting: float | None  # seconds since its state changed


# Without the right, a role sees neither the type nor the state of other sessions. Sessions with a
# database and a user are clients, or parallel workers.
SESSIONS = """
SELECT pid, usename, state,
    extract(epoch FROM clock_timestamp() - query_start)::float,
    extract(epoch FROM clock_timestamp() - state_change)::float
FROM pg_stat_activity
WHERE backend_type = 'client backend'
    OR backend_type IS NULL AND datid IS NOT NULL AND usesysid IS NOT NULL
"""

WRAPAROUND = """
SELECT datname, greatest(age(datfrozenxid), mxid_age(datminmxid)) AS oldest
FROM pg_database ORDER BY oldest DESC LIMIT 1
"""

SIZE = "SELECT pg_database_size(current_database())"

REPLICAS = "SELECT count(*) FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'"


class Replica(NamedTuple):
    streams: bool  # whether it has ever connected to a primary; else it replays an archive
    receives: bool
    is_paused: bool
    lag: float | None  # seconds


REPLICA = """
SELECT pg_last_wal_receive_lsn() IS NOT NULL, EXISTS (SELECT FROM pg_stat_wal_receiver),
    pg_is_wal_replay_paused(),
    CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float
"""


def check_postgres(context: Context) -> None:
    with libpq.connected(context, "GRANT pg_monitor TO the role") as connection:

        def ask(query: str) -> list[libpq.Row]:
            return libpq.select(connection, query, context)

        started = time.perf_counter()
        connection.execute("SELECT 1")
        context.answered(time.perf_counter() - started)
        server = Server(*ask(SERVER)[0])
        sessions = [Session(*row) for row in ask(SESSIONS)]
        own = connection.info.backend_pid
        context.add(*evaluate_sessions(server, sessions, own, context.ranges))
        database, oldest = ask(WRAPAROUND)[0]
        context.add(evaluate_wraparound(database, oldest, context.ranges))
        size = ask(SIZE)[0][0]
        text = f"{server.database} has {volume(size)}"
        context.add(Reading("size", size, "B", text, *context.ranges["size"], minimum=0))
        if server.is_replica:
            replica = Replica(*ask(REPLICA)[0])
            if replica.lag is None or replica.lag > 1:
                # After an hour without changes, the next one has a lag of an hour until replayed.
                time.sleep(min(0.2, context.deadline.left()))
                replica = Replica(*ask(REPLICA)[0])
            context.add(*evaluate_replica(replica, context.ranges))
        else:
            replicas = ask(REPLICAS)[0][0]
            text = counted(replicas, "replica") if replicas else ""
            limits = context.ranges["replicas"]
            context.add(Reading("replicas", replicas, "", text, *limits, minimum=0))


def evaluate_sessions(
    server: Server, sessions: Sequence[Session], own: int, ranges: Ranges
) -> Iterator[Reading]:
    """Returns free connections and blocking sessions. `own` is the pid of the probe's session."""
    used = len(sessions)
    text = f"{used} of {counted(server.usable, 'connection')}"
    limit = ranges["connections"]
    yield Reading("connections", used, "", text, *limit, minimum=0, maximum=server.usable)
    if server.sees_all:
        others = [session for session in sessions if session.pid != own]
        active = [(s.running or 0, s) for s in others if s.state == "active"]
        yield _longest("long_query", "running", active, ranges)
        idle = [
            (s.resting or 0, s)
            for s in others
            if s.state and s.state.startswith("idle in transaction")  # or "... (aborted)"
        ]
        yield _longest("idle_in_transaction", "idle in transaction", idle, ranges)
    elif any(ranges["long_query"]) or any(ranges["idle_in_transaction"]):
        text = f"{server.role} cannot see the queries of other roles"
        yield state_reading("rights", Status.UNKNOWN, text, f'GRANT pg_monitor TO "{server.role}"')


def _longest(
    label: str, state: str, found: Sequence[tuple[float, Session]], ranges: Ranges
) -> Reading:
    """Returns the session that has been in its state longest, and how many exceed a threshold."""
    warning, critical = ranges[label]
    if not found:
        return Reading(label, 0, "s", "", warning, critical, minimum=0)
    age, session = max(found, key=lambda pair: pair[0])
    limits_set = [limit for limit in (warning, critical) if limit]
    number = sum(any(limit.broken_by(age) for limit in limits_set) for age, _ in found)
    text = f"{counted(number, 'session')} {state} for {span(age)}" if number else ""
    hint = f"check pid {session.pid} of {session.role} in pg_stat_activity"
    return Reading(label, age, "s", text, warning, critical, minimum=0, hint=hint)


def evaluate_wraparound(database: str, oldest: int, ranges: Ranges) -> Reading:
    text = f"{database} is at {oldest / HORIZON:.0%} of transaction wraparound"
    hint = f"VACUUM FREEZE in {database}; check what blocks vacuum"
    reading = Reading(
        "wraparound", oldest, "", text, *ranges["wraparound"], minimum=0, maximum=HORIZON, hint=hint
    )
    return reading if reading.status else replace(reading, text="")


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


PROBE = Probe(
    "postgres",
    f"""Check PostgreSQL's connections, blocking sessions, and replication.

    {libpq.ABOUT} The role needs pg_monitor: GRANT pg_monitor TO role.
    """,
    check_postgres,
    url=libpq.URL,
    options=libpq.OPTIONS,
    thresholds=[
        LATENCY,
        Threshold("connections", "", "80%", "90%", "clients, or percent of the unreserved"),
        Threshold("long_query", "s", "30s", "off", "duration of the longest query"),
        Threshold("idle_in_transaction", "s", "5m", "off", "duration of the longest such session"),
        Threshold("wraparound", "", "50%", "75%", "oldest transaction, percent of 2^31"),
        Threshold("size", "B", "off", "off", "size of the database"),
        Threshold("replica_lag", "s", "30s", "5m", "lag of a replica"),
        Threshold("replicas", "", "off", "off", "replicas of a primary"),
    ],
)

if __name__ == "__main__":
    PROBE.run()
