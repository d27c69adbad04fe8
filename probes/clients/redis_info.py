"""What INFO and CLUSTER INFO say about a Redis, as readings of a probe. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hcrun.text import counted
from hcrun.units import span, volume
from probes.framework.probe import Ranges
from probes.framework.state import Since, unkept
from probes.framework.verdict import Range, Reading, Status, number, state_reading

FRAGMENTATION_FLOOR = 100e6  # bytes in use, below which the ratio means nothing
SLOTS = 16384  # of a cluster
ROLES = {"primary": "a primary", "replica": "a replica"}

COUNTERS = (
    "evicted_keys",
    "rejected_connections",
    "expired_keys",
    "keyspace_hits",
    "keyspace_misses",
)
COUNTED = ("evictions", "rejected", "restarts", "hit_rate")  # thresholds that need them

Info = Mapping[str, Any]  # the answer to INFO, as redis-py parses it


def evaluate(info: Info, since: Since, ranges: Ranges, expected: str = "any") -> Iterator[Reading]:
    """Returns readings for the answers to INFO and CLUSTER INFO, except the numbers of keys."""
    yield from _memory(info, ranges)
    clients, maximum = number_of(info, "connected_clients"), number_of(info, "maxclients")
    if clients is not None:
        limits = _possible(ranges["clients"], maximum)
        text = counted(clients, "client")
        yield Reading("clients", clients, "", text, *limits, minimum=0, maximum=maximum)
    yield from _growth(info, since, ranges)
    yield from _persistence(info)
    yield from _cluster(info)
    yield from _replication(info, ranges, expected)


def evaluate_keys(info: Info, chosen: Sequence[int] | None, ranges: Ranges) -> Iterator[Reading]:
    """Returns the number of keys in each chosen database, or in all that have keys."""
    stored = _databases(info)
    for name in stored if chosen is None else (f"db{index}" for index in chosen):
        database = stored.get(name, {})  # INFO omits empty databases
        keys, expiring = number_of(database, "keys") or 0, number_of(database, "expires")
        text = f"{counted(keys, 'key')} in {name}"
        yield Reading(f"{name}_keys", keys, "", text, *ranges["keys"], minimum=0)
        if expiring is not None:
            yield Reading(f"{name}_expires", expiring, minimum=0)


def _databases(info: Info) -> dict[str, Info]:
    return {
        name: value
        for name, value in info.items()
        if name.removeprefix("db").isdigit() and isinstance(value, dict)
    }


def _memory(info: Info, ranges: Ranges) -> Iterator[Reading]:
    used, maximum = number_of(info, "used_memory"), number_of(info, "maxmemory")
    if used is None:
        return
    limits = _possible(ranges["memory"], maximum)
    text = f"{volume(used)} used"
    yield Reading("memory", used, "B", text, *limits, minimum=0, maximum=maximum or None)
    if peak := number_of(info, "used_memory_peak"):
        yield Reading("memory_peak", peak, "B", minimum=0)
    if maximum:
        share = 100 * used / maximum
        text = f"{share:.0f}% of maxmemory {volume(maximum)}"
        policy, hint = info.get("maxmemory_policy", "noeviction"), "at 100% Redis refuses writes"
        limits = ranges["maxmemory"]
        if policy.startswith("volatile") and not any(
            number_of(database, "expires") for database in _databases(info).values()
        ):
            hint += f", as {policy} finds no key that expires"
        elif policy != "noeviction":
            text, limits = f"{text} ({policy})", (None, None)
        yield Reading("maxmemory", share, "%", text, *limits, 0, 100, hint)
    ratio = number_of(info, "mem_fragmentation_ratio")
    if ratio is not None and used >= FRAGMENTATION_FLOOR:
        hint = "CONFIG SET activedefrag yes lowers it; a restart loses what is not saved"
        if ratio < 1:
            hint = "memory may have been swapped out"
        text = f"fragmentation {ratio:.2f}"
        yield Reading("fragmentation", ratio, "", text, *ranges["fragmentation"], 0, hint=hint)


def _possible(
    limits: tuple[Range | None, Range | None], maximum: float | None
) -> tuple[Range | None, Range | None]:
    """The limits without those in per cent of a maximum that the server does not report."""
    warning, critical = (
        None if limit and limit.percent and maximum is None else limit for limit in limits
    )
    return warning, critical


def _growth(info: Info, since: Since, ranges: Ranges) -> Iterator[Reading]:
    """Returns what was counted since an earlier run."""
    if any(limit for name in COUNTED for limit in ranges[name]):
        if since.problem:
            yield unkept(since.problem, "counters")
        elif not since.seconds:
            yield state_reading("state", Status.OK, "first run, what grows is counted from now on")
    period = f"in {span(since.seconds)}"
    for label, counter, noun, verb, hint in (
        ("evictions", "evicted_keys", "key", "evicted", "raise maxmemory, or store less"),
        ("rejected", "rejected_connections", "connection", "rejected", "raise maxclients"),
        ("expired", "expired_keys", "", "", ""),
    ):
        growth = since.growth.get(counter)
        if growth is not None:
            text = f"{counted(growth, noun)} {verb} {period}" if growth and noun else ""
            limits = ranges.get(label, (None, None))
            yield Reading(label, growth, "", text, *limits, minimum=0, hint=hint)
    hits, misses = since.growth.get("keyspace_hits"), since.growth.get("keyspace_misses")
    if hits is not None and misses is not None and hits + misses:
        rate = 100 * hits / (hits + misses)
        text = f"{rate:.0f}% of {counted(hits + misses, 'lookup')} hit {period}"
        yield Reading("hit_rate", rate, "%", text, *ranges["hit_rate"], 0, 100)
    uptime = number_of(info, "uptime_in_seconds")
    if uptime is not None:
        yield Reading("uptime", uptime, "s", minimum=0)
        if since.seconds:
            text = f"restarted {span(uptime)} ago" if since.restarts else ""
            hint = "check the server's log, and what it has lost"
            limits = ranges["restarts"]
            yield Reading("restarts", since.restarts, "", text, *limits, minimum=0, hint=hint)


def _persistence(info: Info) -> Iterator[Reading]:
    checks = [("bgsave", "rdb_last_bgsave_status", Status.CRITICAL)]
    if info.get("aof_enabled") == 1:
        checks += [
            ("aof_write", "aof_last_write_status", Status.CRITICAL),
            ("aof_rewrite", "aof_last_bgrewrite_status", Status.WARNING),
        ]
    for label, name, status in checks:
        if info.get(name, "ok") == "ok":
            yield state_reading(label, Status.OK, "")
        else:
            text = f"the last {label.replace('_', ' ').replace('aof', 'AOF')} failed"
            yield state_reading(label, status, text, "check the server's log and disk")


def _cluster(info: Info) -> Iterator[Reading]:
    """Returns readings on a cluster that refuses writes, for all its slots or for some."""
    if "cluster_state" not in info:
        return
    assigned = number_of(info, "cluster_slots_assigned") or 0
    served = assigned - (number_of(info, "cluster_slots_fail") or 0)
    text, hint = f"cluster of {counted(number_of(info, 'cluster_size') or 0, 'primary node')}", ""
    status = Status.OK
    if info["cluster_state"] != "ok" or served < SLOTS:
        status, text = Status.CRITICAL, f"the cluster's state is {info['cluster_state']}"
        text += f", {number(served)} of {SLOTS} slots are served"
        hint = "redis-cli --cluster check names the nodes that are down and the slots"
    yield state_reading("cluster", status, text, hint)


def _replication(info: Info, ranges: Ranges, expected: str) -> Iterator[Reading]:
    role = "replica" if info.get("role") == "slave" else "primary"
    if expected not in ("any", role) and "role" in info:
        text = f"is {ROLES[role]}, and should be {ROLES[expected]}"
        if role == "replica" and info.get("slave_read_only") == 1:
            text = f"is a read-only replica, and should be {ROLES[expected]}"
        yield state_reading("role", Status.CRITICAL, text, "check the address, and the failover")
    if role == "primary":
        replicas = number_of(info, "connected_slaves")
        if replicas is not None:
            text = counted(replicas, "replica") if replicas else ""
            yield Reading("replicas", replicas, "", text, *ranges["replicas"], minimum=0)
        good, needed = number_of(info, "min_slaves_good_slaves"), number_of(info, "needed_replicas")
        if good is not None and good < (1 if needed is None else needed):
            least = "at least 1" if needed is None else number(needed)
            text = (
                f"refuses writes: {number(good)} of {least} replicas follow (min-replicas-to-write)"
            )
            hint = "start the replicas, and check their lag"
            yield state_reading("good_replicas", Status.CRITICAL, text, hint)
    if "master_host" in info:
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        if info.get("master_link_status") == "up":
            silence = number_of(info, "master_last_io_seconds_ago")
            text = f"replica of {primary}, last data {span(silence or 0)} ago"
            yield Reading("replication", silence, "s", text, *ranges["replication"], minimum=0)
        else:
            down = number_of(info, "master_link_down_since_seconds") or 0
            text = f"the link to primary {primary} is down"
            if down > 0:
                text += f" for {span(down)}"
            hint = "check the primary, the network, masteruser and masterauth"
            yield state_reading("replication", Status.CRITICAL, text, hint)


def number_of(info: Info, name: str) -> float | None:
    try:
        return float(info[name])
    except (KeyError, TypeError, ValueError):
        return None
