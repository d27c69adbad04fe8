"""The connection of probe-redis: URLs, Sentinel, TLS, and errors as those of a probe."""

import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hcrun.errors import SettingsError
from probes.clients import tls
from probes.framework.options import Url, addresses
from probes.framework.probe import Context, UnknownError

SENTINEL_PORT = 26379
_CUT = ("closed", "reset", "Protocol Error")  # what redis-py says of a server that speaks TLS


@contextmanager
def connected(context: Context) -> Iterator[Any]:
    """A client of redis-py. Inside the block, its errors become those of a probe."""
    import redis  # slow to import, and optional
    from redis import exceptions

    options = context.options
    host, port = options["host"], options["port"]
    context.at(host, None if options["sentinel"] else port)
    password = context.source.secret("REDIS_PASSWORD")
    greeting = _Greeting()
    try:
        settings = _settings(context, greeting)
        if options["sentinel"]:
            host, port = _primary(context, settings)
            context.at(host, port)
            greeting.is_answered = False
        with redis.Redis(
            **settings, **_place(host, port), username=options["user"], password=password or None
        ) as client:
            yield client
    except exceptions.NoPermissionError as error:
        raise context.unknown(error, grant(context, error)) from None
    except (exceptions.AuthenticationError, exceptions.AuthorizationError) as error:
        hint = "check REDIS_USERNAME and REDIS_PASSWORD" if password else "set REDIS_PASSWORD"
        raise context.unknown(error, hint) from None
    except exceptions.RedisError as error:
        is_cut = any(word in str(error) for word in _CUT)
        is_tls, is_asked = options["tls"], not greeting.is_answered and not host.startswith("/")
        is_asked = is_asked and (is_cut or is_tls)
        if is_asked and (
            found := tls.other_protocol(context, host, port, is_tls, protocol="redis")
        ):
            use = "redis:// or --no-tls" if is_tls else "rediss:// or --tls"
            raise context.critical(exceptions.RedisError(f"{found}; use {use}")) from None
        if isinstance(error, exceptions.TimeoutError):
            raise TimeoutError from None
        raise context.critical(ConnectionError(plain_words(error))) from None


def plain_words(error: Exception) -> str:
    """`HOST:PORT: REASON` for redis-py's "Error 111 connecting to HOST:PORT. REASON."""
    text = re.sub(r"^Error -?\d+ connecting to (?:unix socket: )?(\S+)\. ", r"\1: ", str(error))
    return text.rstrip(".")


@contextmanager
def answering_misconf() -> Iterator[None]:
    """Take MISCONF as an answer to PING: INFO says more about why Redis refuses writes."""
    from redis.exceptions import ResponseError

    try:
        yield
    except ResponseError as error:
        if not str(error).startswith("MISCONF"):
            raise


def grant(context: Context, error: Exception) -> str:
    """The command that gives the user the right to run the command in the error."""
    command = str(error).partition("run the '")[2].partition("'")[0]
    return f"ACL SETUSER {context.options['user'] or 'default'} +{command}"


def _settings(context: Context, greeting: "_Greeting") -> dict[str, Any]:
    """The arguments of redis.Redis, except the address and the user."""
    import redis

    options, left = context.options, context.deadline.left()
    settings: dict[str, Any] = {
        "socket_timeout": left,
        "socket_connect_timeout": left,
        "retry": None,  # with retries, a server that hangs takes ten times the time-out
        "protocol": 2,
        "decode_responses": True,
        "redis_connect_func": greeting,
        "single_connection_client": True,
    }
    # Servers before 7.2 count CLIENT SETINFO as an error, so it is not sent.
    if "driver_info" in inspect.signature(redis.Redis).parameters:
        settings["driver_info"] = None
    else:  # redis-py before 7
        settings |= {"lib_name": None, "lib_version": None}
    if options["tls"] and not options["host"].startswith("/"):
        files = {
            "ssl_ca_certs": options["tls_ca"],
            "ssl_certfile": options["tls_cert"],
            "ssl_keyfile": options["tls_key"],
        }
        tls.check(*files.values())
        settings |= files
        settings["ssl"] = True
        settings["ssl_cert_reqs"] = "required" if options["tls_verify"] else "none"
        checked = context.source.parts.get("check_hostname", "true").lower() in ("true", "1")
        settings["ssl_check_hostname"] = options["tls_verify"] and checked
        # Redis without TLS waits for the rest of a line, so leave time to ask why.
        settings["socket_timeout"] = max(left - tls.TEST, left / 2)
    return settings


def _place(host: str, port: int) -> dict[str, Any]:
    return {"unix_socket_path": host} if host.startswith("/") else {"host": host, "port": port}


class _Greeting:
    """Log in, and wait for the answer to a first command.

    Without it, redis-py discards what a server sends before it closes the connection, such as
    "max number of clients reached".
    """

    is_answered = False

    def __call__(self, connection: Any) -> None:
        from redis.exceptions import InvalidResponse

        connection.on_connect()
        connection.send_command("PING")
        with answering_misconf():
            if (answer := connection.read_response()) != "PONG":
                raise InvalidResponse(f"answers PING with {answer!r}")
        self.is_answered = True


def _primary(context: Context, settings: Mapping[str, Any]) -> tuple[str, int]:
    """The address of the primary, as the first Sentinel says that answers."""
    import redis
    from redis.exceptions import AuthenticationError, RedisError

    name, problems = context.options["sentinel"], []
    sentinels = addresses(SENTINEL_PORT)(context.options["host"])
    password = context.source.secret("REDIS_SENTINEL_PASSWORD", "sentinel_password")
    for number, address in enumerate(sentinels):
        host, _, port = address.rpartition(":")
        left = context.deadline.left() / (len(sentinels) - number + 1)
        own = {"socket_timeout": left, "socket_connect_timeout": left, "password": password or None}
        try:
            with redis.Redis(
                **{**settings, **own, **_place(host.strip("[]"), int(port))}
            ) as client:
                found = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
        except AuthenticationError as error:
            raise UnknownError(f"{address}: {error}", hint="set REDIS_SENTINEL_PASSWORD") from None
        except RedisError as error:
            text = plain_words(error)
            problems.append(text if address in text else f"{address}: {text}")
        else:
            if found:
                return found[0], int(found[1])
    if problems:
        raise RedisError("; ".join(problems))
    hint = "SENTINEL MASTERS lists the names"
    raise UnknownError(
        f"Sentinel knows no primary named {name}", where=context.verdict.target, hint=hint
    )


_SCHEMES = {  # by scheme: is it TLS, and is it a list of Sentinels
    "redis": (False, False),
    "valkey": (False, False),
    "rediss": (True, False),
    "valkeys": (True, False),
    "redis+sentinel": (False, True),
    "rediss+sentinel": (True, True),
    "sentinel": (False, True),
}
_SOCKETS = ("unix", "redis+socket")
# Options by parameter. The other parameters are for the application (socket_timeout, protocol).
_PARAMETERS = {
    "db": "db",
    "virtual_host": "db",
    "username": "user",
    "password": "password",
    "ssl_ca_certs": "tls_ca",
    "ssl_certfile": "tls_cert",
    "ssl_keyfile": "tls_key",
    "ssl_cert_reqs": "tls_verify",
    "ssl_check_hostname": "check_hostname",
    "master_name": "sentinel",
    "service_name": "sentinel",
    "sentinel_password": "sentinel_password",
}


def split_url(text: str) -> dict[str, str]:
    """Returns the values in REDIS_URL, by option name. Raises ValueError."""
    url = urlsplit(text)
    result = {}
    for name, values in parse_qs(url.query).items():
        if name.startswith("ssl_") and name not in _PARAMETERS:
            hint = "remove it; the options --tls-... set what the probe needs"
            raise SettingsError(f"unknown parameter {name}", where="REDIS_URL", hint=hint)
        if wanted := _PARAMETERS.get(name):
            result[wanted] = values[0]
    if "tls_verify" in result:
        result["tls_verify"] = str("none" not in result["tls_verify"].lower())
    user, is_given, place = url.netloc.rpartition("@")
    name, _, password = user.partition(":")
    if is_given:
        result |= {"user": unquote(name), "password": unquote(password)}
    if url.scheme in _SOCKETS:
        return result | {"host": unquote(url.path)}
    if url.scheme not in _SCHEMES:
        raise ValueError
    is_tls, is_sentinel = _SCHEMES[url.scheme]
    if is_tls:
        result["tls"] = "true"
    path = [unquote(part) for part in url.path.split("/") if part]
    if is_sentinel:
        is_named = path and not path[0].isdecimal()
        result |= {"host": place, **({"sentinel": path.pop(0)} if is_named else {})}
        if not result.get("sentinel"):
            hint = "add it as in redis+sentinel://host:26379/mymaster/0"
            raise SettingsError("has no name of a primary", where="REDIS_URL", hint=hint)
    else:
        result |= {"host": unquote(url.hostname or ""), "port": str(url.port or "")}
    if path and path[0].isdecimal():
        result.setdefault("db", path[0])
    return result


URL = Url("REDIS_URL", "redis://user:password@host:6379/0", split_url)
