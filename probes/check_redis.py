#!/usr/bin/env python3
"""Redis: does it answer, has it room, does it keep what it is given?

The defaults, and why:
- latency 500 ms, 1 s: PING takes well under a millisecond; half a second is a blocked event loop.
- memory 200MB: what the alert plan allows; set it to what the host can spare.
- maxmemory 80%, 90%: above it Redis evicts or refuses writes, so there must be time to act.
- clients 80%, 90% of maxclients: above it new connections are refused.
- evictions 0, rejected 0: a broker that evicts loses tasks; for a cache, switch it off.
- fragmentation 0.8:1.5, and only above 100 MB: below, the ratio tells of the process, not of the
  data. Under 0.8, memory has been swapped out.
- replication 30s, 1m: a primary is heard every 10 s, and is given up after 60 s (repl-timeout).
- keys, replicas: off, as only the operator knows how many there ought to be.
A failed save or AOF write is CRITICAL: Redis refuses writes after it. So is a broken link to the
primary. Evictions and rejected connections count since the last run, in the state directory.
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

import inspect
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from hcrun.units import span, volume
from probes.framework.options import FILE, Threshold, Url, option
from probes.framework.probe import LATENCY, Context, Probe, Ranges
from probes.framework.state import Since, since_last_run
from probes.framework.verdict import Reading, Status, count, state_reading

FRAGMENTATION_FLOOR = 100e6  # bytes in use, below which the ratio means nothing

Info = Mapping[str, str]  # what INFO says, line by line


def check_redis(context: Context) -> None:
    from redis import exceptions

    context.at(context.options["host"], context.options["port"])
    password = context.source.secret("REDIS_PASSWORD")
    connection = _connection(context, password)
    try:
        _look_inside(connection, context)
    except exceptions.TimeoutError:
        raise TimeoutError from None
    except exceptions.NoPermissionError as error:
        raise context.unknown(error, f"ACL SETUSER {_user(context)} +ping") from None
    except (exceptions.AuthenticationError, exceptions.AuthorizationError) as error:
        hint = "check REDIS_USERNAME and REDIS_PASSWORD" if password else "set REDIS_PASSWORD"
        raise context.unknown(error, hint) from None
    except (
        exceptions.ConnectionError,
        exceptions.ResponseError,
        exceptions.InvalidResponse,
    ) as error:
        raise context.critical(error) from None
    finally:
        connection.disconnect()


def _user(context: Context) -> str:
    return context.options["user"] or "default"


def _connection(context: Context, password: str) -> Any:
    """A bare connection: redis-py's client hides what a server says before it hangs up."""
    import redis

    from probes.clients import tls

    options, left = context.options, context.deadline.left()
    kind: Any = redis.SSLConnection if options["tls"] else redis.Connection
    address = {"host": options["host"], "port": options["port"]}
    if options["host"].startswith("/"):
        kind, address = redis.UnixDomainSocketConnection, {"path": options["host"]}
    elif options["tls"]:
        tls.check(options["tls_ca"], options["tls_cert"], options["tls_key"])
        address |= {
            "ssl_ca_certs": options["tls_ca"],
            "ssl_certfile": options["tls_cert"],
            "ssl_keyfile": options["tls_key"],
            "ssl_cert_reqs": "required" if options["tls_verify"] else "none",
            "ssl_check_hostname": options["tls_verify"],
        }
    # Servers before 7.2 count the library's introduction as an error, so there is none.
    introduction = {"driver_info": None}
    if "driver_info" not in inspect.signature(redis.Redis).parameters:  # redis-py before 7
        introduction = {"lib_name": None, "lib_version": None}
    return kind(
        **address,
        **introduction,
        username=options["user"],
        password=password or None,
        socket_timeout=left,
        socket_connect_timeout=left,
        retry=None,  # else a hung server keeps it for ten times the time-out
        protocol=2,
        decode_responses=True,
    )


def _look_inside(connection: Any, context: Context) -> None:
    from redis.exceptions import NoPermissionError, ResponseError

    def ask(*words: object) -> Any:
        connection.send_command(*words)
        return connection.read_response(disconnect_on_error=False)

    connection.connect()
    started = time.perf_counter()
    answer = ask("PING")
    if answer != "PONG":
        raise context.critical(ValueError(f"answers PING with {answer!r}"))
    context.answered(time.perf_counter() - started)
    chosen = []
    for db in context.options["db"]:
        try:
            ask("SELECT", db)
            chosen.append(db)
        except NoPermissionError as error:
            text, hint = context.source.quote(error), f"ACL SETUSER {_user(context)} +select"
            context.add(state_reading(f"db{db}", Status.UNKNOWN, text, hint))
        except ResponseError as error:  # there is no such database
            context.add(
                state_reading(f"db{db}", Status.CRITICAL, f"db{db}: {context.source.quote(error)}")
            )
    try:
        lines = str(ask("INFO")).splitlines()
    except NoPermissionError as error:
        raise context.unknown(error, f"ACL SETUSER {_user(context)} +info") from None
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    counters = {
        name: value
        for name in ("evicted_keys", "rejected_connections")
        if (value := _number(info, name)) is not None
    }
    settings, life = context.source.settings, info.get("run_id", "")
    since = since_last_run(settings, "redis", context.verdict.target, life, counters)
    context.add(*evaluate(info, since, context.ranges))
    context.add(*evaluate_keys(info, chosen if context.options["db"] else None, context.ranges))


def evaluate(info: Info, since: Since, ranges: Ranges) -> Iterator[Reading]:
    """What INFO says, but for the keys -> readings."""
    yield from _memory(info, ranges)
    clients, maximum = _number(info, "connected_clients"), _number(info, "maxclients")
    text = "" if clients is None else count(clients, "client")
    yield Reading("clients", clients, "", text, *ranges["clients"], minimum=0, maximum=maximum)
    yield from _losses(since, ranges)
    yield from _persistence(info)
    yield from _replication(info, ranges)


def evaluate_keys(info: Info, chosen: Sequence[int] | None, ranges: Ranges) -> Iterator[Reading]:
    """The number of keys in each chosen database, or in all that have any."""
    stored = {
        name: float(match[1])
        for name, text in info.items()
        if name.startswith("db") and (match := re.match(r"keys=(\d+)", text))
    }
    for name in stored if chosen is None else (f"db{number}" for number in chosen):
        keys = stored.get(name, 0)  # INFO leaves empty databases out
        text = f"{count(keys, 'key')} in {name}"
        yield Reading(f"{name}_keys", keys, "", text, *ranges["keys"], minimum=0)


def _memory(info: Info, ranges: Ranges) -> Iterator[Reading]:
    used, maximum = _number(info, "used_memory"), _number(info, "maxmemory")
    text = "" if used is None else f"{volume(used)} used"
    yield Reading("memory", used, "B", text, *ranges["memory"], minimum=0, maximum=maximum or None)
    if used is None:
        return
    if maximum:
        share = 100 * used / maximum
        text = f"{share:.0f}% of maxmemory {volume(maximum)}"
        policy = info.get("maxmemory_policy")
        hint = f"then {'writes fail' if policy == 'noeviction' else f'keys go by {policy}'}"
        yield Reading("maxmemory", share, "%", text, *ranges["maxmemory"], 0, 100, hint)
    if used >= FRAGMENTATION_FLOOR:
        ratio = _number(info, "mem_fragmentation_ratio")
        hint = "CONFIG SET activedefrag yes, or restart"
        if ratio is not None and ratio < 1:
            hint = "memory may have been swapped out"
        text = "" if ratio is None else f"fragmentation {ratio:.2f}"
        yield Reading("fragmentation", ratio, "", text, *ranges["fragmentation"], 0, hint=hint)


def _losses(since: Since, ranges: Ranges) -> Iterator[Reading]:
    for label, counter, thing, happened, hint in (
        ("evictions", "evicted_keys", "key", "evicted", "raise maxmemory, or store less"),
        ("rejected", "rejected_connections", "connection", "rejected", "raise maxclients"),
    ):
        if counter not in since.growth:
            yield state_reading(label, Status.UNKNOWN, f"INFO has no {counter}")
            continue
        growth = since.growth[counter]
        if growth is None:  # the first run: nothing to compare with
            yield state_reading(label, Status.OK, "")
            continue
        text = f"{count(growth, thing)} {happened} since the last run" if growth else ""
        yield Reading(label, growth, "", text, *ranges[label], minimum=0, hint=hint)
    if since.problem:
        yield state_reading("state", Status.OK, f"counters are not kept: {since.problem}")


def _persistence(info: Info) -> Iterator[Reading]:
    checks = [("bgsave", "rdb_last_bgsave_status", Status.CRITICAL)]
    if info.get("aof_enabled") == "1":
        checks += [
            ("aof_write", "aof_last_write_status", Status.CRITICAL),
            ("aof_rewrite", "aof_last_bgrewrite_status", Status.WARNING),
        ]
    for label, name, status in checks:
        if info.get(name) == "ok":
            yield state_reading(label, Status.OK, "")
        elif name not in info:
            yield state_reading(label, Status.UNKNOWN, f"INFO has no {name}")
        else:
            text = f"the last {label.replace('_', ' ').replace('aof', 'AOF')} failed"
            yield state_reading(label, status, text, "see the server's log and the disk")


def _replication(info: Info, ranges: Ranges) -> Iterator[Reading]:
    if info.get("role") == "master":
        replicas = _number(info, "connected_slaves")
        text = count(replicas, "replica") if replicas else ""
        yield Reading("replicas", replicas, "", text, *ranges["replicas"], minimum=0)
    elif info.get("role") == "slave":
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        if info.get("master_link_status") == "up":
            silence = _number(info, "master_last_io_seconds_ago")
            text = f"replica of {primary}, heard {span(silence or 0)} ago"
            yield Reading("replication", silence, "s", text, *ranges["replication"], minimum=0)
        else:
            down = _number(info, "master_link_down_since_seconds") or 0
            text = f"the link to primary {primary} is down"
            text += f" since {span(down)}" if down > 0 else ""
            hint = "see the primary, the network, masteruser and masterauth"
            yield state_reading("replication", Status.CRITICAL, text, hint)


def _number(info: Info, name: str) -> float | None:
    try:
        return float(info[name])
    except (KeyError, ValueError):
        return None


def split_url(text: str) -> dict[str, str]:
    """REDIS_URL -> texts by option name. Raises ValueError."""
    from redis.connection import SSLConnection, parse_url

    parse: Any = parse_url  # has no types
    parts: dict[str, Any] = parse(text)
    names = {
        "host": "path" if "path" in parts else "host",
        "port": "port",
        "user": "username",
        "password": "password",
        "db": "db",
        "tls_ca": "ssl_ca_certs",
        "tls_cert": "ssl_certfile",
        "tls_key": "ssl_keyfile",
    }
    result = {option: str(parts[name]) for option, name in names.items() if name in parts}
    if parts.get("connection_class") is SSLConnection:
        result["tls"] = "true"
        if "ssl_cert_reqs" in parts:
            result["tls_verify"] = str("none" not in parts["ssl_cert_reqs"].lower())
    return result


PROBE = Probe(
    "redis",
    """Look whether Redis answers, has room, and keeps what it is given.

    REDIS_URL says where it is: redis://, rediss:// for TLS, or unix://; what it does not say,
    the variables below do. The password is never a flag: it is in REDIS_PASSWORD_FILE (a path),
    in $CREDENTIALS_DIRECTORY/redis_password, in REDIS_PASSWORD, or in the URL.
    """,
    check_redis,
    url=Url("REDIS_URL", "redis://user:password@host:6379/0", split_url),
    options=[
        option("--host", "REDIS_HOST", "Name, address, or path of a socket.", default="127.0.0.1"),
        option("--port", "REDIS_PORT", "TCP port.", default=6379, type=int),
        option("--user", "REDIS_USERNAME", "ACL user."),
        option(
            "--db",
            "REDIS_DB",
            "Databases whose keys are counted; may be repeated. Without it: all that have keys.",
            type=int,
            multiple=True,
        ),
        option("--tls/--no-tls", "REDIS_TLS", "Speak TLS.", default=False),
        option("--tls-ca", "REDIS_TLS_CA", "Certificates to trust.", type=FILE),
        option("--tls-cert", "REDIS_TLS_CERT", "The client's own certificate.", type=FILE),
        option("--tls-key", "REDIS_TLS_KEY", "The key of that certificate.", type=FILE),
        option(
            "--tls-verify/--no-tls-verify",
            "REDIS_TLS_VERIFY",
            "Check the server's certificate.",
            default=True,
        ),
    ],
    thresholds=[
        LATENCY,
        Threshold("memory", "B", "200MB", "off", "memory in use"),
        Threshold("maxmemory", "%", "80%", "90%", "memory in use, of maxmemory if there is one"),
        Threshold("clients", "", "80%", "90%", "clients, a number or per cent of maxclients"),
        Threshold("evictions", "", "0", "off", "keys evicted since the last run"),
        Threshold("rejected", "", "0", "off", "connections rejected since the last run"),
        Threshold("fragmentation", "", "0.8:1.5", "off", "fragmentation above 100 MB"),
        Threshold("replication", "s", "30s", "1m", "time since the primary was heard"),
        Threshold("replicas", "", "off", "off", "connected replicas"),
        Threshold("keys", "", "off", "off", "keys in each database"),
    ],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
