"""The brokers of the Celery probes, and a connection to one that keeps the probe's deadline."""

import json
import re
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from hcrun.errors import SettingsError
from probes.clients import certificate, tls
from probes.framework import memory
from probes.framework.options import Source, Url
from probes.framework.probe import Context, CriticalError
from probes.framework.verdict import Status, state_reading

VARIABLE = "CELERY_BROKER_URL"
OPTIONS = "CELERY_BROKER_TRANSPORT_OPTIONS"
_TYPES = {"global_keyprefix": str, "master_name": str, "sentinel_kwargs": dict}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS = {*_FILES, "ssl_cert_reqs", "ssl_check_hostname"}
_PARAMETERS = {*_TLS, "ssl", "login_method", "virtual_host"}  # the others are the application's


class EnoughError(Exception):
    """All workers have answered. It ends kombu's wait for answers."""


@contextmanager
def connected(context: Context) -> Iterator[tuple[Any, list[int] | None]]:
    """A connection of kombu, and a list of how many clients each broadcast has reached.

    Only Redis reports that number: with other brokers the list is None. Inside the block, errors
    of kombu and of the library that it uses become those of a probe. Of several brokers it takes
    the first that answers, as Celery does.
    """
    options = _transport_options(context.source)
    urls = _brokers(context.source.url or "redis://127.0.0.1:6379/0", options)
    problems: list[str] = []
    for number, url in enumerate(urls):
        seconds = context.deadline.left() / (len(urls) - number)
        connection = _connection(url, dict(options), context, seconds)
        try:
            _open(connection, context)
            break
        except Exception as error:
            failure = _failure(error, context, connection)
        # Raised here, a full memory is not the cause of what is CRITICAL.
        if len(urls) == 1 or not isinstance(failure, CriticalError | TimeoutError):
            raise failure
        problems.append(str(failure) or f"{context.verdict.target}: no answer")
    else:
        raise CriticalError("; ".join(problems))
    if problems:
        text = f"{'; '.join(problems)}; the next broker answers"
        context.add(state_reading("brokers", Status.WARNING, text))
    try:
        is_redis = connection.transport.driver_type == "redis"
        yield connection, _count_receivers(connection.default_channel) if is_redis else None
    except Exception as error:
        raise _failure(error, context) from None


def _connection(url: str, options: dict[str, Any], context: Context, seconds: float) -> Any:
    """A connection that is not open yet, with its address as the target."""
    import kombu  # slow to import, and optional
    from kombu.utils.url import url_to_parts

    connection = kombu.Connection(url, transport_options=options)
    kind = connection.get_transport_cls()  # a slow import, which is not the latency of the broker
    is_amqp, default = kind.driver_type == "amqp", kind.default_port
    if connection.transport_cls == "amqps":
        connection.ssl = connection.ssl or True
    if connection.ssl:
        # A server without TLS waits for more, so leave time to ask why.
        seconds = max(seconds - tls.TEST, seconds / 2)
        default = kind.default_ssl_port if is_amqp else default
    if isinstance(connection.ssl, dict):
        tls.check(*map(connection.ssl.get, _FILES))
        if is_amqp:
            secure = connection.ssl.items()
            connection.ssl = {name.removeprefix("ssl_"): value for name, value in secure}
    limits: dict[str, Any] = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    if kind.driver_type == "redis":
        options |= limits
    if connection.transport_cls == "sentinel":
        share = seconds / (1 + len(connection.alt or [url]))
        own = {**dict.fromkeys(limits, share), "retry": None}
        options["sentinel_kwargs"] = {**options.get("sentinel_kwargs", {}), **own}
    if is_amqp:
        options |= {"connect_timeout": seconds, "on_blocked": lambda _: _blocked(context)}
    connection.connect_timeout = seconds
    host, password = connection.hostname or (default and "127.0.0.1"), connection.password
    connection.hostname, connection.port = host, connection.port or default
    if host and host.startswith("socket://"):  # redis+socket://, parsed when it connects
        parts = url_to_parts(host)
        host, password = f"/{parts.path}", parts.password
    context.source.secrets |= {password} if password else set()
    context.at(host or connection.transport_cls, connection.port)
    return connection


def _open(connection: Any, context: Context) -> None:
    started = time.perf_counter()
    connection.ensure_connection(max_retries=0)
    passed = time.perf_counter() - started
    host, port = connection.hostname, connection.port
    if connection.transport_cls == "sentinel":
        host, port = connection.default_channel.client.connection_pool.get_master_address()
        context.at(host, port)
    context.answered(passed)
    secure = connection.ssl if isinstance(connection.ssl, dict) else {}
    is_verified = connection.ssl and ssl.CERT_NONE not in secure.values()
    if is_verified and "certificate" in context.ranges:
        left = tls.certificate_left(host, port, context.deadline.left())
        context.add(*certificate.evaluate(left, context.ranges))


def _blocked(context: Context) -> None:
    """RabbitMQ reads nothing more from this connection."""
    error = OSError("takes no tasks: an alarm about its memory or disk blocks who sends")
    raise context.critical(error, "rabbitmq-diagnostics alarms says which")


def _count_receivers(channel: Any) -> list[int]:
    """A list to which each broadcast on this channel adds the number of clients it has reached.

    A broadcast that reaches nobody raises EnoughError, because nobody will answer it.
    """
    reached: list[int] = []
    make = channel.Client  # a class; with global_keyprefix, a partial of one

    def client(**arguments: Any) -> Any:
        made = make(**arguments)
        publish = made.publish

        def count(*args: Any, **options: Any) -> int:
            reached.append(publish(*args, **options))
            if not reached[-1]:
                raise EnoughError
            return reached[-1]

        made.publish = count
        return made

    channel.Client = client
    return reached


# Errors of redis-py and py-amqp, by name: the broker decides which of them is installed.
_REFUSED = {"AuthenticationError", "AuthorizationError", "AccessRefused", "NotAllowed"}


def _failure(error: Exception, context: Context, connection: Any = None) -> Exception:
    """The probe's error for one of kombu or its library; with a connection, one of opening it."""
    if type(error).__module__.startswith("kombu") and isinstance(error.__cause__, Exception):
        error = error.__cause__
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "NoPermissionError" in kinds:
        return context.unknown(error, "give the user the rights of a worker")
    if kinds & _REFUSED:
        part = "the virtual host" if "NotAllowed" in kinds else "user and password"
        return context.unknown(error, f"check {part} in {VARIABLE}")
    is_full = memory.is_cause(error)
    is_down = kinds & {"OSError", "ConnectionError", "RedisError", "AMQPError", "OperationalError"}
    # Without TLS, a port that speaks it does not let the probe wait.
    if connection and (is_full or is_down) and (connection.ssl or "TimeoutError" not in kinds):
        kind = connection.get_transport_cls().driver_type
        host, port, is_tls = connection.hostname, connection.port, bool(connection.ssl)
        is_asked = kind in ("redis", "amqp") and "://" not in host
        is_asked = is_asked and connection.transport_cls != "sentinel"
        if is_asked and (found := tls.other_protocol(context, host, port, is_tls, protocol=kind)):
            return context.critical(OSError(f"{found}; use {kind}{'' if is_tls else 's'}://"))
        if kind == "amqp" and is_full:  # AMQP begins with the size of a frame
            return context.critical(OSError("the answer is not AMQP"), f"check {VARIABLE}")
    if "TimeoutError" in kinds:
        return TimeoutError()
    if "MasterNotFoundError" in kinds:
        error = OSError(re.sub("<redis[.].*> - ", "", str(error)))
        if "Authentication" in str(error):
            return context.unknown(error, f"set sentinel_kwargs in {OPTIONS}")
        return context.critical(error, "SENTINEL MASTERS lists the names")
    return context.critical(error) if is_down else error


def _transport_options(source: Source) -> dict[str, Any]:
    """Celery's broker_transport_options, without the time-outs of the application."""
    try:
        options = json.loads(source.secret(OPTIONS, "") or "{}")
        if not isinstance(options, dict):
            raise ValueError
    except ValueError:
        hint = 'write it like {"global_keyprefix": "app:"}'
        raise SettingsError("is not a JSON object", where=OPTIONS, hint=hint) from None
    for name, kind in _TYPES.items():
        if not isinstance(options.get(name, kind()), kind):
            raise SettingsError(f"{name} has the wrong type", where=OPTIONS)
    source.secrets |= {str(options.get("sentinel_kwargs", {}).get("password", ""))} - {""}
    return {name: value for name, value in options.items() if not name.startswith("socket_")}


def _brokers(text: str, options: dict[str, Any]) -> list[str]:
    """URLs of kombu's connections. What they say about a primary is put into `options`."""
    urls = [_known(url, options) for url in text.split(";")]
    return [_sentinels(urls, options)] if "sentinel:" in urls[0][:16] else urls


def _known(url: str, options: dict[str, Any]) -> str:
    """The URL with the parameters that kombu knows; the others are the application's."""
    head, _, query = url.partition("?")
    if not re.match(r"(rediss?(\+sentinel)?|sentinel|amqps?|pyamqp)://", url):
        return url
    pairs = dict(parse_qsl(query))
    if unknown := [name for name in pairs if name.startswith("ssl_") and name not in _TLS]:
        hint = f"it may have {', '.join(sorted(_TLS))}"
        raise SettingsError(f"unknown parameter {unknown[0]}", where=VARIABLE, hint=hint)
    options |= {name: pairs[name] for name in ("master_name",) if name in pairs}
    kept = {name: value for name, value in pairs.items() if name in _PARAMETERS}
    if head.startswith("rediss+"):
        kept.setdefault("ssl_cert_reqs", "none")
        own = {**kept, "ssl": True, "ssl_check_hostname": False}
        options["sentinel_kwargs"] = {**own, **options.get("sentinel_kwargs", {})}
    return f"{head}?{urlencode(kept)}"


def _sentinels(urls: Sequence[str], options: dict[str, Any]) -> str:
    """The URL that kombu has for a primary: sentinel://a/DB;sentinel://b."""
    places = [re.split("[/?]", url.partition("://")[2])[0] for url in urls]
    user, at, first = places[0].rpartition("@")
    hosts = ",".join([first, *(place.rpartition("@")[2] for place in places[1:])]).split(",")
    path, _, query = urls[0].partition("://")[2].partition("?")
    parts = [unquote(part) for part in path.split("/")[1:] if part]
    if parts and not parts[0].isdecimal():
        options["master_name"] = parts.pop(0)
    if not options.get("master_name"):
        hint = f"add it as in redis+sentinel://host:26379/mymaster/0, or to {OPTIONS}"
        raise SettingsError("has no name of a primary", where=VARIABLE, hint=hint)
    database = parts[0] if parts else "0"
    own = f"sentinel://{user}{at}{hosts[0]}/{database}?{query}"
    return ";".join([own, *(f"sentinel://{host}" for host in hosts[1:])])


def split_url(text: str) -> dict[str, str]:
    """Check CELERY_BROKER_URL. Raises ValueError or SettingsError."""
    from kombu.transport import TRANSPORT_ALIASES
    from kombu.utils.url import parse_url

    for url in ";".join(_brokers(text, {"master_name": "any"})).split(";"):
        scheme = url.partition("://")[0]
        if "://" not in url or scheme.partition("+")[0] not in TRANSPORT_ALIASES:
            raise ValueError
        try:
            parse_url(url)
        except KeyError:  # ssl_cert_reqs
            raise ValueError from None
    return {}


BROKER = Url(VARIABLE, "redis://user:password@host:6379/0", split_url)
