"""The options of the Kafka probes, and their connection, which keeps the probe's deadline."""

import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from probes.clients import certificate, tls
from probes.framework import memory
from probes.framework.options import addresses
from probes.framework.probe import Context, UnknownError
from probes.framework.verdict import Reading, Status, state_reading

FORBIDDEN = 29  # error code of the protocol: no right to describe this topic
RIGHT = "grant the user DESCRIBE on it"

# What to check for the mechanisms without a password.
CREDENTIALS = {
    "OAUTHBEARER": "and KAFKA_SASL_OAUTH_TOKEN, which may have expired",
    "AWS_MSK_IAM": "and the rights of the AWS identity",
}

TYPES = {"--bootstrap-servers": addresses(9092)}


class Network:
    """Makes the network client of an admin client, and keeps what only that client knows."""

    def __init__(self) -> None:
        # The error that is raised when time is up does not say why the connections failed.
        self.failures: list[Exception] = []
        self.server = ""  # the bootstrap server that was tried last
        self._manager: Any = None

    def client(self, **settings: Any) -> Any:
        """The `kafka_client` option of an admin client."""
        from kafka import errors
        from kafka.net.compat import KafkaNetClient
        from kafka.net.manager import KafkaConnectionManager
        from kafka.net.selector import NetworkSelector

        failures = self.failures

        class Manager(KafkaConnectionManager):  # type: ignore[misc] # has no types
            def get_connection(self, *args: Any, **options: Any) -> Any:
                last = failures[-1] if failures else None
                if isinstance(last, errors.BrokerResponseError) and not last.retriable:
                    raise last  # another attempt with a wrong password may lock the user out
                connection = super().get_connection(*args, **options)

                def keep(error: Exception) -> None:
                    # Kafka refuses a log-in and ends the connection, and kafka-python drops what
                    # arrives together with the end.
                    has_begun = connection.parser and connection.broker_version
                    is_cut = isinstance(error, errors.KafkaConnectionError)
                    is_login = has_begun and connection.sasl_enabled
                    if is_login and is_cut and connection.init_future.failed():
                        text = "the broker ended the connection during the log-in"
                        error = errors.SaslAuthenticationFailedError(text)
                    failures.append(error)

                connection.close_future.add_errback(keep)
                return connection

        selector = NetworkSelector(**settings)
        self._manager = Manager(selector, **settings)
        return KafkaNetClient(selector, self._manager)

    def ask(self, request: Any, node: int) -> Any:
        """The broker's answer to a request that the admin client does not have."""
        return self._manager.run(self._manager.send, request, node)

    def brokers(self) -> dict[int, str]:
        """Addresses ("host:port") by id.

        describe_cluster() raises KeyError with Kafka 2.8 to 3.6, and includes fenced brokers.
        """
        return {
            broker.node_id: f"{broker.host}:{broker.port}"
            for broker in self._manager.cluster.brokers()
        }


@contextmanager
def connected(context: Context) -> Iterator[tuple[Any, Network]]:
    """An admin client and its network. Inside the block, errors become those of a probe."""
    from kafka import errors

    servers = context.options["bootstrap_servers"]
    context.at(",".join(servers))
    network = Network()
    try:
        with _connect(context, _reachable(context, servers), network) as admin:
            yield admin, network
    except errors.AuthorizationError as error:
        raise context.unknown(error, RIGHT) from None
    except (
        errors.SaslAuthenticationFailedError,
        errors.UnsupportedSaslMechanismError,
        errors.IllegalSaslStateError,
    ) as error:
        credentials = "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
        credentials = CREDENTIALS.get(context.options["sasl_mechanism"].upper(), credentials)
        hint = f"check KAFKA_SASL_MECHANISM, {credentials}"
        raise context.unknown(error, hint) from None
    except (errors.KafkaTimeoutError, errors.RequestTimedOutError, errors.NodeNotReadyError):
        last = network.failures[-1] if network.failures else None
        if last is None or isinstance(last, errors.RequestTimedOutError):
            raise TimeoutError from None
        has_tls = context.options["security_protocol"].upper().endswith("SSL")
        host, _, port = network.server.rpartition(":")
        text = tls.other_protocol(context, host.strip("[]"), int(port), has_tls, error=last)
        if not text:
            raise context.critical(last, "does this port speak KAFKA_SECURITY_PROTOCOL?") from None
        names = "PLAINTEXT or SASL_PLAINTEXT" if has_tls else "SSL or SASL_SSL"
        hint = f"set KAFKA_SECURITY_PROTOCOL to {names}"
        raise context.critical(ConnectionError(text), hint) from None
    except (errors.KafkaConnectionError, errors.BrokerResponseError) as error:
        raise context.critical(error) from None


def _connect(context: Context, servers: Sequence[str], network: Network) -> Any:
    """An admin client, connected by the first of `servers` that answers. Raises KafkaError."""
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaTimeoutError

    settings = _settings(context)
    for untried, server in zip(range(len(servers), 0, -1), servers, strict=True):
        # One after the other: kafka-python would choose one at random, and retry that one.
        left = int(context.deadline.left() * 900)  # the rest is for the question why
        network.server = server
        started = time.perf_counter()
        try:
            admin = KafkaAdminClient(
                bootstrap_servers=server,
                bootstrap_timeout_ms=left // untried,
                request_timeout_ms=left,
                kafka_client=network.client,
                **settings,
            )
        except KafkaTimeoutError:
            if untried == 1:
                raise
            text = f"bootstrap server {server}: no answer"
            context.add(state_reading("bootstrap", Status.WARNING, text))
        else:
            context.answered(time.perf_counter() - started)
            valid = certificate.last_left(settings.get("ssl_context"))
            context.add(*certificate.evaluate(valid, context.ranges))
            return admin
    raise AssertionError  # there is at least one server


def _settings(context: Context) -> dict[str, Any]:
    """What kafka-python needs to speak the security protocol."""
    options = context.options
    settings: dict[str, Any] = {"security_protocol": options["security_protocol"].upper()}
    if settings["security_protocol"].endswith("SSL"):
        files = (options[f"ssl_{name}"] for name in ("cafile", "certfile", "keyfile"))
        settings["ssl_context"] = tls.context(*files)
    if settings["security_protocol"].startswith("SASL"):
        settings["sasl_mechanism"] = mechanism = options["sasl_mechanism"].upper()
        if mechanism == "OAUTHBEARER":
            settings["sasl_oauth_token_provider"] = _token_provider(context)
        elif mechanism == "AWS_MSK_IAM":
            _require_aws(settings["security_protocol"])
        else:
            settings["sasl_plain_username"] = options["sasl_username"] or ""
            settings["sasl_plain_password"] = context.source.secret("KAFKA_SASL_PASSWORD")
    return settings


def _token_provider(context: Context) -> Any:
    """What hands the token to kafka-python. Raises UnknownError if there is no token."""
    from kafka.net.sasl.oauth import AbstractTokenProvider

    token = context.source.secret("KAFKA_SASL_OAUTH_TOKEN").strip()
    if not token:
        raise UnknownError("there is no token", hint="set KAFKA_SASL_OAUTH_TOKEN_FILE to its path")

    class Provider(AbstractTokenProvider):  # type: ignore[misc] # has no types
        def token(self) -> str:
            return token

    return Provider()


def _require_aws(protocol: str) -> None:
    """Raises UnknownError if AWS_MSK_IAM lacks something: kafka-python would try in vain."""
    try:
        from botocore.session import Session
    except ImportError:
        text = "AWS_MSK_IAM needs the package botocore"
        raise UnknownError(text, hint="pip install 'hcrun[s3]'") from None
    session = Session()
    if protocol != "SASL_SSL":
        text, hint = "AWS_MSK_IAM needs TLS", "set KAFKA_SECURITY_PROTOCOL=SASL_SSL"
    elif not session.get_config_variable("region"):
        text, hint = "the AWS region is not set", "set AWS_DEFAULT_REGION"
    elif not session.get_credentials():
        text = "there are no AWS credentials"
        hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this host a role"
    else:
        return
    raise UnknownError(text, hint=hint)


def _reachable(context: Context, servers: Sequence[str]) -> list[str]:
    """The bootstrap servers that can be connected to. Raises CriticalError if there is none.

    kafka-python retries until its time is up, even if every connection is refused.
    """
    failed = unreachable(context, servers)
    reached = [server for server in servers if server not in failed]
    if not reached:
        raise context.critical(ConnectionError("; ".join(failed.values())))
    for reason in failed.values():
        context.add(state_reading("bootstrap", Status.WARNING, f"bootstrap server {reason}"))
    return reached


def forbidden(topic: str) -> Reading:
    text = f"topic {topic} is forbidden"
    return state_reading(f"topic_{topic}", Status.UNKNOWN, text, RIGHT)


def unreachable(context: Context, addresses: Sequence[str]) -> dict[str, str]:
    """The reason why a connection fails, for each of `addresses` ("host:port") that fails."""
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

    memory.limit(threads=min(32, len(addresses)))
    with ThreadPoolExecutor(max_workers=32) as pool:
        reasons = dict(zip(addresses, pool.map(reason, addresses), strict=True))
    return {address: reason for address, reason in reasons.items() if reason}
