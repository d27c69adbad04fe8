#!/usr/bin/env python3
"""Redis: does it answer and take writes, has it enough memory, does it store its data?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import time
from typing import Any

from probes.clients import certificate
from probes.clients.redis import URL, answering_misconf, connected, grant
from probes.clients.redis_info import COUNTERS, evaluate, evaluate_keys, number_of
from probes.framework.probe import Context, Probe, UnknownError
from probes.framework.state import growth_of
from probes.framework.table import table
from probes.framework.verdict import Status, state_reading

REPORTED = (  # by every Redis since 6.2; what an older or a managed one leaves out has no threshold
    "used_memory",
    "maxmemory",
    "mem_fragmentation_ratio",
    "connected_clients",
    "maxclients",
    *COUNTERS,
    "rdb_last_bgsave_status",
    "role",
    "uptime_in_seconds",
)


def check_redis(context: Context) -> None:
    with connected(context) as client:
        _read(client, context)


def _read(client: Any, context: Context) -> None:
    from redis.exceptions import NoPermissionError, ResponseError

    started = time.perf_counter()
    with answering_misconf():
        client.ping()
    context.answered(time.perf_counter() - started)
    if context.options["tls_verify"]:
        left = certificate.time_left(client.connection._sock)
        context.add(*certificate.evaluate(left, context.ranges))
    databases = []
    for db in context.options["db"]:
        try:
            client.select(db)
            databases.append(db)
        except NoPermissionError as error:
            text, hint = context.source.quote(error), grant(context, error)
            context.add(state_reading(f"db{db}", Status.UNKNOWN, text, hint))
        except ResponseError as error:  # there is no such database
            text = f"db{db}: {context.source.quote(error)}"
            context.add(state_reading(f"db{db}", Status.CRITICAL, text))
    info = client.info()
    if not info.keys() & set(REPORTED):
        raise UnknownError("INFO has nothing of a Redis", where=context.verdict.target)
    if info.get("redis_mode") == "sentinel":
        hint = "set REDIS_SENTINEL to the name of its primary"
        raise UnknownError("is a Sentinel, not a Redis", where=context.verdict.target, hint=hint)
    if info.get("cluster_enabled") == 1:
        info |= client.execute_command("CLUSTER INFO")
    if "maxclients" not in info:  # before 6.2
        info["maxclients"] = _configured(client, "maxclients")
    if number_of(info, "min_slaves_good_slaves"):  # if 0, it is fewer than any number
        info["needed_replicas"] = _configured(client, "min-*-to-write")
    counters = {name: value for name in COUNTERS if (value := number_of(info, name)) is not None}
    settings, life = context.source.settings, str(info.get("run_id", ""))
    uptime = number_of(info, "uptime_in_seconds")
    since = growth_of(settings, "redis", context.verdict.target, life, counters, uptime)
    expected = "primary" if context.options["sentinel"] else context.options["expect"]
    context.add(*evaluate(info, since, context.ranges, expected))
    chosen = databases if context.options["db"] else None
    context.add(*evaluate_keys(info, chosen, context.ranges))
    missing = [name for name in REPORTED if info.get(name) is None]
    if missing and context.options["verbose"]:
        context.add(state_reading("missing", Status.OK, f"INFO has no {', '.join(missing)}"))


def _configured(client: Any, pattern: str) -> str | None:
    """The first setting of that name; None if the server or its ACL does not tell."""
    from redis.exceptions import NoPermissionError, ResponseError

    try:
        return next(iter(client.config_get(pattern).values()), None)
    except (NoPermissionError, ResponseError):
        return None


PROBE = Probe("redis", table("redis"), check_redis, url=URL)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
