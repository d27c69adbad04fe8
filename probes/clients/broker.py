"""What the probes of Celery share: its broker, and a connection that keeps the deadline."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from probes.framework.options import Url
from probes.framework.probe import Context

SECRETS = """CELERY_BROKER_URL says where the broker is, redis://127.0.0.1:6379/0 without it. As
    there is a password in it, it is never a flag: it is in CELERY_BROKER_URL_FILE (a path), in
    $CREDENTIALS_DIRECTORY/celery_broker_url, or in CELERY_BROKER_URL."""


class EnoughError(Exception):
    """All have answered. Raised through kombu, which would go on waiting."""


@contextmanager
def connected(context: Context) -> Iterator[tuple[Any, list[int] | None]]:
    """A connection of kombu, and the list that will say how many clients each broadcast reached.

    Only Redis says it: elsewhere the list is None. Within the block kombu's errors, and those of
    the library below it, become those of a probe.
    """
    import kombu

    url = context.source.url or "redis://127.0.0.1:6379/0"
    is_redis = url.startswith(("redis:", "rediss:", "redis+socket:"))
    reached: list[int] | None = [] if is_redis else None
    left = context.deadline.left()
    timeouts = {"socket_timeout": left, "socket_connect_timeout": left}
    connection = kombu.Connection(
        url,
        connect_timeout=left,
        transport_options={} if reached is None else timeouts,
    )
    if reached is not None:
        # Not as an argument: kombu would take it instead of rediss, and so speak without TLS.
        connection.transport_cls = _redis_transport(reached)
    host = connection.hostname or url.partition(":")[0]
    password = connection.password
    if host.startswith("socket://"):  # kombu leaves the rest of that URL as it is
        parts = urlsplit(host)
        host, password = parts.path, unquote(parts.password or "")
    context.source.secrets |= {password} if password else set()
    context.at(host, connection.port)
    if isinstance(connection.ssl, dict):  # not of amqp://...?ssl=true
        from probes.clients import tls

        files = (connection.ssl.get(f"ssl_{name}") for name in ("ca_certs", "certfile", "keyfile"))
        tls.check(*files)
    try:
        started = time.perf_counter()
        connection.ensure_connection(max_retries=1, interval_start=0)
        context.answered(time.perf_counter() - started)
        yield connection, reached
    except Exception as error:
        raise _failure(error, context) from None


def _redis_transport(reached: list[int]) -> Any:
    """A transport that does not try for ever, and tells how many clients each broadcast reached."""
    from kombu.transport import redis

    class Channel(redis.Channel):  # type: ignore[misc] # has no types
        def _connparams(self, asynchronous: bool = False) -> Any:
            # Else redis-py keeps a hung server for several times the time-out.
            return super()._connparams(asynchronous) | {"retry": None}

        def _get_client(self) -> Any:
            class Client(super()._get_client()):  # type: ignore[misc]
                def publish(self, *args: Any, **more: Any) -> Any:
                    receivers = super().publish(*args, **more)
                    reached.append(receivers)
                    return receivers

            return Client

        def _put_fanout(self, *args: Any, **more: Any) -> None:
            super()._put_fanout(*args, **more)
            if not sum(reached):  # nobody listens, so nobody will answer
                raise EnoughError

    class Transport(redis.Transport):  # type: ignore[misc]
        pass

    Transport.Channel = Channel
    return Transport


# Of redis-py and of py-amqp, by name: which of them is installed depends on the broker.
_REFUSED = {"AuthenticationError", "AuthorizationError", "AccessRefused", "NotAllowed"}


def _failure(error: Exception, context: Context) -> Exception:
    """What an error of kombu, or of the library below it, says about the broker."""
    if type(error).__module__.startswith("kombu") and isinstance(error.__cause__, Exception):
        error = error.__cause__
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "NoPermissionError" in kinds:
        return context.unknown(error, "the probe needs the rights that a worker has")
    if kinds & _REFUSED:
        return context.unknown(error, "check user and password in CELERY_BROKER_URL")
    if "TimeoutError" in kinds:
        return TimeoutError()
    if kinds & {"OSError", "ConnectionError", "RedisError", "AMQPError", "OperationalError"}:
        return context.critical(error)
    return error


def split_url(text: str) -> dict[str, str]:
    """Check CELERY_BROKER_URL, which is given to kombu as it is. Raises ValueError."""
    from kombu.transport import TRANSPORT_ALIASES
    from kombu.utils.url import url_to_parts

    scheme = text.partition("://")[0]
    if "://" not in text or scheme.partition("+")[0] not in TRANSPORT_ALIASES:
        raise ValueError
    url_to_parts(text)
    return {}


BROKER = Url("CELERY_BROKER_URL", "redis://user:password@host:6379/0", split_url)
