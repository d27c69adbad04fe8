#!/usr/bin/env python3
"""Redis: does it answer, has it enough memory, does it store its data, do replicas follow?

The defaults, and why:
- latency 500 ms, off: PING takes well under a millisecond; half a second means that a slow command
  blocks Redis.
- memory 200MB: a small broker or cache; set it to what the host can spare.
- maxmemory 80%, 90%: at 100% Redis evicts keys or refuses writes, so warn early.
- clients 80%, 90% of maxclients: at 100% Redis refuses new connections.
- evictions 0, rejected 0: a broker that evicts keys loses tasks; for a cache, set it to off.
- fragmentation 0.8:1.5, and only above 100 MB: below that, the ratio describes the process, not the
  data. A ratio under 0.8 means that memory has been swapped out.
- replication 30s, 1m: a primary sends something every 10 s, and a replica gives it up after 60 s
  (repl-timeout).
- keys, replicas: off, because the right number depends on the installation.
A failed save or AOF write is CRITICAL, because Redis then refuses writes. So is a broken link to
the primary. Evictions and rejected connections are counted since the last run; the counters are
kept in the state directory.
"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import inspect
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hcrun.text import counted
from hcrun.units import span, volume
from probes.framework.options import FILE, Threshold, Url, option
from probes.framework.probe import LATENCY, Context, Probe, Ranges
from probes.framework.state import Since, since_last_run
from probes.framework.verdict import Reading, Status, state_reading

FRAGMENTATION_FLOOR = 100e6  # bytes in use, below which the ratio means nothing

Info = Mapping[str, Any]  # the answer to INFO, as redis-py parses it


def check_redis(context: Context) -> None:
    import redis  # slow to import, and optional
    from redis import exceptions

    context.at(context.options["host"], context.options["port"])
    password = context.source.secret("REDIS_PASSWORD")
    try:
        with redis.Redis(**_settings(context, password)) as client:
            _read(client, context)
    except exceptions.TimeoutError:
        raise TimeoutError from None
    except exceptions.NoPermissionError as error:
        raise context.unknown(error, _grant(context, error)) from None
    except (exceptions.AuthenticationError, exceptions.AuthorizationError) as error:
        hint = "check REDIS_USERNAME and REDIS_PASSWORD" if password else "set REDIS_PASSWORD"
        raise context.unknown(error, hint) from None
    except exceptions.RedisError as error:
        raise context.critical(error) from None


def _settings(context: Context, password: str) -> dict[str, Any]:
    """The arguments of redis.Redis."""
    import redis

    from probes.clients import tls

    options, left = context.options, context.deadline.left()
    settings: dict[str, Any] = {
        "username": options["user"],
        "password": password or None,
        "socket_timeout": left,
        "socket_connect_timeout": left,
        "retry": None,  # with retries, a server that hangs takes ten times the time-out
        "protocol": 2,
        "decode_responses": True,
        "redis_connect_func": _greet,
        "single_connection_client": True,
    }
    # Servers before 7.2 count CLIENT SETINFO as an error, so it is not sent.
    if "driver_info" in inspect.signature(redis.Redis).parameters:
        settings["driver_info"] = None
    else:  # redis-py before 7
        settings |= {"lib_name": None, "lib_version": None}
    if options["host"].startswith("/"):
        return settings | {"unix_socket_path": options["host"]}
    settings |= {"host": options["host"], "port": options["port"], "ssl": options["tls"]}
    if options["tls"]:
        files = {
            "ssl_ca_certs": options["tls_ca"],
            "ssl_certfile": options["tls_cert"],
            "ssl_keyfile": options["tls_key"],
        }
        tls.check(*files.values())
        settings |= files
        settings["ssl_cert_reqs"] = "required" if options["tls_verify"] else "none"
        settings["ssl_check_hostname"] = options["tls_verify"]
    return settings


def _greet(connection: Any) -> None:
    """Log in, and wait for the answer to a first command.

    Without it, redis-py discards what a server sends before it closes the connection, such as
    "max number of clients reached".
    """
    from redis.exceptions import InvalidResponse

    connection.on_connect()
    connection.send_command("PING")
    if (answer := connection.read_response()) != "PONG":
        raise InvalidResponse(f"answers PING with {answer!r}")


def _grant(context: Context, error: Exception) -> str:
    """The command that gives the user the right to run the command in the error."""
    command = str(error).partition("run the '")[2].partition("'")[0]
    return f"ACL SETUSER {context.options['user'] or 'default'} +{command}"


def _read(client: Any, context: Context) -> None:
    from redis.exceptions import NoPermissionError, ResponseError

    started = time.perf_counter()
    client.ping()
    context.answered(time.perf_counter() - started)
    databases = []
    for db in context.options["db"]:
        try:
            client.select(db)
            databases.append(db)
        except NoPermissionError as error:
            text, hint = context.source.quote(error), _grant(context, error)
            context.add(state_reading(f"db{db}", Status.UNKNOWN, text, hint))
        except ResponseError as error:  # there is no such database
            text = f"db{db}: {context.source.quote(error)}"
            context.add(state_reading(f"db{db}", Status.CRITICAL, text))
    info = client.info()
    counters = {
        name: value
        for name in ("evicted_keys", "rejected_connections")
        if (value := _number(info, name)) is not None
    }
    settings, life = context.source.settings, str(info.get("run_id", ""))
    since = since_last_run(settings, "redis", context.verdict.target, life, counters)
    context.add(*evaluate(info, since, context.ranges))
    chosen = databases if context.options["db"] else None
    context.add(*evaluate_keys(info, chosen, context.ranges))


def evaluate(info: Info, since: Since, ranges: Ranges) -> Iterator[Reading]:
    """Returns readings for the answer to INFO, except the numbers of keys."""
    yield from _memory(info, ranges)
    clients, maximum = _number(info, "connected_clients"), _number(info, "maxclients")
    text = "" if clients is None else counted(clients, "client")
    yield Reading("clients", clients, "", text, *ranges["clients"], minimum=0, maximum=maximum)
    yield from _losses(since, ranges)
    yield from _persistence(info)
    yield from _replication(info, ranges)


def evaluate_keys(info: Info, chosen: Sequence[int] | None, ranges: Ranges) -> Iterator[Reading]:
    """Returns the number of keys in each chosen database, or in all that have keys."""
    stored = {
        name: _number(value, "keys")
        for name, value in info.items()
        if name.removeprefix("db").isdigit() and isinstance(value, dict)
    }
    for name in stored if chosen is None else (f"db{number}" for number in chosen):
        keys = stored.get(name, 0) or 0  # INFO omits empty databases
        text = f"{counted(keys, 'key')} in {name}"
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
        hint = f"at 100% Redis evicts keys ({policy})"
        if policy == "noeviction":
            hint = "at 100% Redis refuses writes"
        yield Reading("maxmemory", share, "%", text, *ranges["maxmemory"], 0, 100, hint)
    if used >= FRAGMENTATION_FLOOR:
        ratio = _number(info, "mem_fragmentation_ratio")
        hint = "CONFIG SET activedefrag yes, or restart"
        if ratio is not None and ratio < 1:
            hint = "memory may have been swapped out"
        text = "" if ratio is None else f"fragmentation {ratio:.2f}"
        yield Reading("fragmentation", ratio, "", text, *ranges["fragmentation"], 0, hint=hint)


def _losses(since: Since, ranges: Ranges) -> Iterator[Reading]:
    for label, counter, noun, verb, hint in (
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
        text = f"{counted(growth, noun)} {verb} since the last run" if growth else ""
        yield Reading(label, growth, "", text, *ranges[label], minimum=0, hint=hint)
    if since.problem:
        yield state_reading("state", Status.OK, f"cannot store counters: {since.problem}")


def _persistence(info: Info) -> Iterator[Reading]:
    checks = [("bgsave", "rdb_last_bgsave_status", Status.CRITICAL)]
    if info.get("aof_enabled") == 1:
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
            yield state_reading(label, status, text, "check the server's log and disk")


def _replication(info: Info, ranges: Ranges) -> Iterator[Reading]:
    if info.get("role") == "master":
        replicas = _number(info, "connected_slaves")
        text = counted(replicas, "replica") if replicas else ""
        yield Reading("replicas", replicas, "", text, *ranges["replicas"], minimum=0)
    elif info.get("role") == "slave":
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        if info.get("master_link_status") == "up":
            silence = _number(info, "master_last_io_seconds_ago")
            text = f"replica of {primary}, last data {span(silence or 0)} ago"
            yield Reading("replication", silence, "s", text, *ranges["replication"], minimum=0)
        else:
            down = _number(info, "master_link_down_since_seconds") or 0
            text = f"the link to primary {primary} is down"
            if down > 0:
                text += f" for {span(down)}"
            hint = "check the primary, the network, masteruser and masterauth"
            yield state_reading("replication", Status.CRITICAL, text, hint)


def _number(info: Info, name: str) -> float | None:
    try:
        return float(info[name])
    except (KeyError, TypeError, ValueError):
        return None


def split_url(text: str) -> dict[str, str]:
    """Returns the values in REDIS_URL, by option name. Raises ValueError."""
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
    """Check that Redis answers, has enough memory, and stores its data.

    REDIS_URL is the address: redis://, rediss:// for TLS, or unix://. The variables below apply
    to what the URL leaves out. There is no flag for the password: set REDIS_PASSWORD_FILE (a
    path), $CREDENTIALS_DIRECTORY/redis_password, REDIS_PASSWORD, or put it into the URL.
    """,
    check_redis,
    url=Url("REDIS_URL", "redis://user:password@host:6379/0", split_url),
    options=[
        option(
            "--host", "REDIS_HOST", "Host name, address, or path of a socket.", default="127.0.0.1"
        ),
        option("--port", "REDIS_PORT", "TCP port.", default=6379, type=int),
        option("--user", "REDIS_USERNAME", "ACL user."),
        option(
            "--db",
            "REDIS_DB",
            "Count the keys of this database; repeatable. Default: all that have keys.",
            type=int,
            multiple=True,
        ),
        option("--tls/--no-tls", "REDIS_TLS", "Use TLS.", default=False),
        option("--tls-ca", "REDIS_TLS_CA", "Trusted CA certificates.", type=FILE),
        option("--tls-cert", "REDIS_TLS_CERT", "Client certificate.", type=FILE),
        option("--tls-key", "REDIS_TLS_KEY", "Key of the client certificate.", type=FILE),
        option(
            "--tls-verify/--no-tls-verify",
            "REDIS_TLS_VERIFY",
            "Verify the server's certificate.",
            default=True,
        ),
    ],
    thresholds=[
        LATENCY,
        Threshold("memory", "B", "200MB", "off", "memory in use"),
        Threshold("maxmemory", "%", "80%", "90%", "memory in use, in percent of maxmemory"),
        Threshold("clients", "", "80%", "90%", "clients, as a number or in percent of maxclients"),
        Threshold("evictions", "", "0", "off", "keys evicted since the last run"),
        Threshold("rejected", "", "0", "off", "connections rejected since the last run"),
        Threshold("fragmentation", "", "0.8:1.5", "off", "fragmentation above 100 MB"),
        Threshold("replication", "s", "30s", "1m", "time since the last data from the primary"),
        Threshold("replicas", "", "off", "off", "connected replicas"),
        Threshold("keys", "", "off", "off", "keys in each database"),
    ],
)

if __name__ == "__main__":
    PROBE.run()
