"""The broker of the Celery probes, and a connection to it that keeps the probe's deadline."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hcrun.errors import SettingsError
from probes.clients import tls
from probes.framework import memory
from probes.framework.options import Source, Url
from probes.framework.probe import Context

SECRETS = """CELERY_BROKER_URL is the address of the broker, redis://127.0.0.1:6379/0 by default.
    CELERY_BROKER_TRANSPORT_OPTIONS is Celery's broker_transport_options, as a JSON object. Both
    may contain passwords, so there are no flags for them: set CELERY_BROKER_URL_FILE (a path),
    $CREDENTIALS_DIRECTORY/celery_broker_url, or CELERY_BROKER_URL; the options likewise."""

OPTIONS = "CELERY_BROKER_TRANSPORT_OPTIONS"


class EnoughError(Exception):
    """All workers have answered. It ends kombu's wait for answers."""


@contextmanager
def connected(context: Context) -> Iterator[tuple[Any, list[int] | None]]:
    """A connection of kombu, and a list of how many clients each broadcast has reached.

    Only Redis reports that number: with other brokers the list is None. Inside the block, errors
    of kombu and of the library that it uses become those of a probe.
    """
    import kombu  # slow to import, and optional
    from kombu.utils.url import url_to_parts

    url = context.source.url or "redis://127.0.0.1:6379/0"
    is_redis = url.startswith(("redis:", "rediss:", "redis+socket:", "sentinel:"))
    left = context.deadline.left() / (1 + url.count(";"))  # a;b are several brokers
    timeouts = {"socket_timeout": left, "socket_connect_timeout": left}
    options = _transport_options(context.source) | (timeouts if is_redis else {})
    if url.startswith("sentinel:"):
        own = {**dict.fromkeys(timeouts, left / 2), "retry": None}
        options["sentinel_kwargs"] = options.get("sentinel_kwargs", {}) | own
    elif not is_redis and "amqp" in url.partition(":")[0]:
        options["on_blocked"] = lambda _: _blocked(context)
    connection = kombu.Connection(url, connect_timeout=left, transport_options=options)
    host, password = connection.hostname or url.partition(":")[0], connection.password
    if host.startswith("socket://"):  # redis+socket://, which kombu parses when it connects
        parts = url_to_parts(host)
        host, password = f"/{parts.path}", parts.password
    context.source.secrets |= {password} if password else set()
    context.at(host, connection.port)
    if isinstance(connection.ssl, dict):  # a bool with amqp://...?ssl=true
        files = (connection.ssl.get(f"ssl_{name}") for name in ("ca_certs", "certfile", "keyfile"))
        tls.check(*files)
    try:
        connection.get_transport_cls()  # a slow import, which is not the latency of the broker
        started = time.perf_counter()
        connection.ensure_connection(max_retries=max(1, url.count(";")), interval_start=0)
        if ";" in url:  # it may be another than the first
            context.at(connection.hostname or host, connection.port)
        context.answered(time.perf_counter() - started)
        yield connection, _count_receivers(connection.default_channel) if is_redis else None
        return
    except Exception as error:
        if is_redis or not memory.is_cause(error):
            raise _failure(error, context) from None
    # AMQP begins with the size of a frame. Raised here, the full memory is not its cause.
    raise context.critical(OSError("the answer is not AMQP"), "check CELERY_BROKER_URL")


def _blocked(context: Context) -> None:
    """RabbitMQ reads nothing more from this connection."""
    error = OSError("takes no tasks: an alarm about its memory or disk blocks who sends")
    raise context.critical(error, "rabbitmq-diagnostics alarms says which")


def _transport_options(source: Source) -> dict[str, Any]:
    """Celery's broker_transport_options, without the time-outs of the application."""
    try:
        options = json.loads(source.secret(OPTIONS, "") or "{}")
        source.secrets |= {str(options.get("sentinel_kwargs", {}).get("password", ""))} - {""}
    except (ValueError, AttributeError):
        hint = 'write it like {"global_keyprefix": "app:"}'
        raise SettingsError("is not a JSON object", where=OPTIONS, hint=hint) from None
    return {name: value for name, value in options.items() if not name.startswith("socket_")}


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


def _failure(error: Exception, context: Context) -> Exception:
    """The probe's error for an error of kombu, or of the library that it uses."""
    if type(error).__module__.startswith("kombu") and isinstance(error.__cause__, Exception):
        error = error.__cause__
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "NoPermissionError" in kinds:
        return context.unknown(error, "give the user the rights of a worker")
    if kinds & _REFUSED:
        return context.unknown(error, "check user and password in CELERY_BROKER_URL")
    if "TimeoutError" in kinds:
        return TimeoutError()
    if kinds & {"OSError", "ConnectionError", "RedisError", "AMQPError", "OperationalError"}:
        return context.critical(error)
    return error


def split_url(text: str) -> dict[str, str]:
    """Check CELERY_BROKER_URL, which kombu takes as it is. Raises ValueError."""
    from kombu.transport import TRANSPORT_ALIASES
    from kombu.utils.url import url_to_parts

    scheme = text.partition("://")[0]
    if "://" not in text or scheme.partition("+")[0] not in TRANSPORT_ALIASES:
        raise ValueError
    for url in text.split(";"):
        url_to_parts(url)
    return {}


BROKER = Url("CELERY_BROKER_URL", "redis://user:password@host:6379/0", split_url)
