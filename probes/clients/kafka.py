"""What the probes of Kafka share: their options, and a connection that keeps the deadline."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import click

from probes.clients import tls
from probes.framework.options import FILE, addresses, option
from probes.framework.probe import Context
from probes.framework.verdict import Status, state_reading

PROTOCOLS = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

RIGHT = "give the user the right to DESCRIBE it"

SECRETS = """The password of SASL is never a flag: it is in KAFKA_SASL_PASSWORD_FILE (a path), in
    $CREDENTIALS_DIRECTORY/kafka_sasl_password, or in KAFKA_SASL_PASSWORD."""


OPTIONS = [
    option(
        "--bootstrap-servers",
        "KAFKA_BOOTSTRAP_SERVERS",
        "Brokers to ask first, with commas between.",
        default="127.0.0.1:9092",
        type=addresses(9092),
        metavar="HOST:PORT,...",
    ),
    option(
        "--security-protocol",
        "KAFKA_SECURITY_PROTOCOL",
        "How to speak to brokers.",
        default="PLAINTEXT",
        type=click.Choice(PROTOCOLS, case_sensitive=False),
    ),
    option(
        "--sasl-mechanism",
        "KAFKA_SASL_MECHANISM",
        "How to log in.",
        default="PLAIN",
        type=click.Choice(MECHANISMS, case_sensitive=False),
    ),
    option("--sasl-username", "KAFKA_SASL_USERNAME", "SASL user."),
    option("--ssl-cafile", "KAFKA_SSL_CAFILE", "Certificates to trust.", type=FILE),
    option("--ssl-certfile", "KAFKA_SSL_CERTFILE", "The client's own certificate.", type=FILE),
    option("--ssl-keyfile", "KAFKA_SSL_KEYFILE", "The key of that certificate.", type=FILE),
]


class _Failures(logging.Handler):
    """Keeps why kafka-python tries again: what it raises when the time is up does not say.

    A wrong password will not do the next time either, and may lock the user out: raised from
    here, it ends the attempts.
    """

    last: Exception | None = None

    def emit(self, record: logging.LogRecord) -> None:
        from kafka import errors

        if not str(record.msg).startswith("Bootstrap connection to %s failed"):
            return
        _, error, *_ = record.args or (None, None)
        if isinstance(error, Exception):
            self.last = error
        if isinstance(error, errors.BrokerResponseError) and not error.retriable:
            raise error


@contextmanager
def connected(context: Context) -> Iterator[Any]:
    """An admin client; within the block its errors become those of a probe."""
    from kafka import errors

    failures = _Failures(logging.WARNING)
    logger = logging.getLogger("kafka")
    logger.addHandler(failures)
    servers = context.options["bootstrap_servers"]
    context.at(",".join(servers))
    try:
        with _client(context, _reachable(context, servers)) as client:
            yield client
    except errors.AuthorizationError as error:
        raise context.unknown(error, RIGHT) from None
    except (
        errors.SaslAuthenticationFailedError,
        errors.UnsupportedSaslMechanismError,
        errors.IllegalSaslStateError,
    ) as error:
        hint = "check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
        raise context.unknown(error, hint) from None
    except (
        errors.KafkaTimeoutError,
        errors.RequestTimedOutError,
        errors.NodeNotReadyError,
    ):
        if failures.last is None or isinstance(failures.last, errors.RequestTimedOutError):
            raise TimeoutError from None
        hint = "does this port speak KAFKA_SECURITY_PROTOCOL?"
        raise context.critical(failures.last, hint) from None
    except (errors.KafkaConnectionError, errors.BrokerResponseError) as error:
        raise context.critical(error) from None
    finally:
        logger.removeHandler(failures)


def _client(context: Context, servers: list[str]) -> Any:
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaTimeoutError

    options = context.options
    protocol = options["security_protocol"].upper()
    settings: dict[str, Any] = {}
    if protocol.endswith("SSL"):
        files = (options[f"ssl_{name}"] for name in ("cafile", "certfile", "keyfile"))
        settings["ssl_context"] = tls.context(*files)
    if protocol.startswith("SASL"):
        settings |= {
            "sasl_mechanism": options["sasl_mechanism"].upper(),
            "sasl_plain_username": options["sasl_username"] or "",
            "sasl_plain_password": context.source.secret("KAFKA_SASL_PASSWORD"),
        }
    for place, server in enumerate(servers, 1):
        # One after the other, as kafka-python would stay with the first that it happens to take.
        left = int(context.deadline.left() * 1000)
        started = time.perf_counter()
        try:
            client = KafkaAdminClient(
                bootstrap_servers=server,
                security_protocol=protocol,
                bootstrap_timeout_ms=left // (len(servers) - place + 1),
                request_timeout_ms=left,
                **settings,
            )
        except KafkaTimeoutError:
            if place == len(servers):
                raise
            text = f"bootstrap server {server}: no answer"
            context.add(state_reading("bootstrap", Status.WARNING, text))
        else:
            context.answered(time.perf_counter() - started)
            return client
    raise AssertionError  # there is at least one server


def _reachable(context: Context, servers: Iterable[str]) -> list[str]:
    """The bootstrap servers that can be connected to. Raises DownError when there is none.

    kafka-python tries until the time is up, even where nobody listens, and never says why.
    """
    failed = unreachable(context, servers)
    reached = [server for server in servers if server not in failed]
    if not reached:
        raise context.critical(ConnectionError("; ".join(failed.values())))
    for reason in failed.values():
        context.add(state_reading("bootstrap", Status.WARNING, f"bootstrap server {reason}"))
    return reached


def unreachable(context: Context, addresses: Iterable[str]) -> dict[str, str]:
    """Why a connection to each of `addresses` ("host:port") fails, in words, where it does."""
    patience = context.deadline.left() / 2

    def reason(address: str) -> str:
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), patience):
                return ""
        except TimeoutError:
            return f"{address}: no answer"
        except OSError as error:
            return f"{address}: {error.strerror or error}"

    chosen = list(addresses)
    with ThreadPoolExecutor(max_workers=32) as pool:
        reasons = dict(zip(chosen, pool.map(reason, chosen), strict=True))
    return {address: reason for address, reason in reasons.items() if reason}
