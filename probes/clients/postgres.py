"""The connection of the PostgreSQL probes: libpq's settings, queries, and refusals."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hcrun.errors import SettingsError
from hcrun.formats.postgres_url import libpq_url, misfit
from probes.clients import certificate
from probes.framework.options import Url
from probes.framework.probe import Context
from probes.framework.verdict import Status, state_reading

if TYPE_CHECKING:
    import psycopg

Parameters = Mapping[str, Any]  # by libpq's keywords


@contextmanager
def connected(
    context: Context, right: str = "GRANT the role access"
) -> Iterator["psycopg.Connection"]:
    """A connection as the settings say, in autocommit mode.

    Inside the block, errors become those of a probe; `right` is the hint if the role may not do
    what it does. Raises CriticalError, UnknownError, TimeoutError.
    """
    import psycopg

    # Its warnings only repeat an error that the probe reports; stderr is for tracebacks.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    given: Parameters = parameters(context)
    context.at(*address(given))
    given = shared(given, context.deadline.left())
    try:
        connection = psycopg.connect(**given, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        refusal = refused(str(error))
        raised = context.unknown if refusal.is_unknown else context.critical
        raise raised(ConnectionError(refusal.text), refusal.hint) from None
    context.at(connection.info.host, connection.info.port)
    try:
        with connection:
            yield connection
    except psycopg.errors.QueryCanceled as error:
        context.deadline.left()  # raises TimeoutError if statement_timeout has cancelled it
        raise context.unknown(_primary(error)) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise context.unknown(_primary(error), right) from None
    except psycopg.Error as error:
        lost = "08" if isinstance(error, psycopg.OperationalError) else ""
        if (error.sqlstate or lost)[:2] in _DOWN:
            raise context.critical(_primary(error)) from None
        raise context.unknown(_primary(error), "fix the query") from None


# Classes of SQLSTATE: connection, resources, shutdown or cancellation, disk, corruption.
_DOWN = ("08", "53", "57", "58", "XX")


def _primary(error: "psycopg.Error") -> Exception:
    """The error without the lines that quote the query."""
    return ValueError(error.diag.message_primary or str(error).partition("\n")[0])


def parameters(context: Context) -> dict[str, Any]:
    """libpq's parameters: flag > DATABASE_URL > PG* variables > its own defaults."""
    from psycopg.pq import Conninfo

    name = f"probe-{context.verdict.name}"
    values: dict[str, Any] = {"fallback_application_name": name}
    for default in Conninfo.get_defaults():  # libpq does not read the env file
        if default.envvar and (value := context.source.settings.get(default.envvar.decode())):
            values[default.keyword.decode()] = value
    given = {name: context.options[name] for name in ("host", "port", "user", "dbname")}
    given |= {name: context.options[name] for name in ("sslmode", "sslrootcert")}
    given["password"] = context.source.secret("PGPASSWORD")
    values |= context.source.parts
    return values | {name: value for name, value in given.items() if value}


def shared(given: Parameters, seconds: float) -> Parameters:
    """The parameters, with a share of the time for each host of a list."""
    hosts = len(str(given.get("host") or given.get("hostaddr") or "").split(","))
    if hosts == 1:
        return given
    return {"connect_timeout": int(seconds / hosts), **given}


def address(given: Parameters) -> tuple[str, str]:
    """Host and port, for messages."""
    host = given.get("host") or given.get("hostaddr") or "the local PostgreSQL"
    return host, str(given.get("port") or "").strip(",")


class Refusal(NamedTuple):
    """Why there is no connection."""

    is_unknown: bool  # only the probe is refused; other clients may not be
    text: str
    hint: str = ""


# libpq gives no SQLSTATE for a failed connection, so the text decides. Every other text means that
# clients cannot connect either.
_UNKNOWN = re.compile(
    r"authentication failed|no password supplied|no pg_hba|permission denied|certificate file"
    r'|private key file|role "[^"]*" (does not exist|is not permitted)'
    r"|invalid .*(value|option)|definition of service"
)


def refused(text: str) -> Refusal:
    """The refusal in libpq's message."""
    text = re.sub(r"^(connection [a-z ]+: )?connection to server .*? failed: ", "", text)
    first = text.partition("\n")[0]
    if not re.search(r"[^\W\d]{3}", first):
        text = first = "invalid response to the log-in"
    for pattern, hint in _HINTS.items():
        if re.search(pattern, text):
            return Refusal(bool(_UNKNOWN.search(text)), first, hint)
    return Refusal(bool(_UNKNOWN.search(text)), first)


_HINTS = {
    "no password supplied": "set PGPASSWORD or PGPASSWORD_FILE",
    "authentication failed": "check user and password",
    "too many c|connection slots": "raise max_connections, or put a pooler before it",
    "no encryption$": "the server may want TLS: give --sslmode require",
    "does not support SSL": "this port has no TLS: set ssl = on in the server, or --sslmode prefer",
    r"root certificate file .* does not exist": "set PGSSLROOTCERT to the CA certificates",
    "\x15": "this port wants TLS at once: set PGSSLNEGOTIATION=direct and PGSSLMODE=require",
    "SSL error: wrong version|SSL error: unexpected eof": "does this port take TLS at once? "
    "if not, unset PGSSLNEGOTIATION",
    "closed the connection unexpectedly": "see the log of the server, or of a proxy before it; "
    "if the port wants TLS at once, set PGSSLNEGOTIATION=direct and PGSSLMODE=require",
    "invalid response to|expected authentication": "another service may listen there",
}


Row = tuple[Any, ...]


def select(
    connection: "psycopg.Connection",
    query: str,
    context: Context,
    maximum: int | None = None,
    columns: list[str] | None = None,
) -> list[Row]:
    """The first `maximum` rows of a query, which is read-only and ends in time.

    Adds the names of the columns to `columns`.
    """
    milliseconds = int(context.deadline.left() * 1000) + 1
    with connection.transaction(), connection.cursor() as cursor:
        connection.execute("SET TRANSACTION READ ONLY")
        # Only for this transaction: a pooler may give the session to another client.
        connection.execute(f"SET LOCAL statement_timeout = {milliseconds}")
        # A stream uses the extended protocol, which takes one statement, so "COMMIT; ..." fails.
        # Rows come one by one, so a large result does not fill the memory.
        stream: Any = cursor.stream(query.encode())  # a generator, which its type hides
        rows = list(islice(stream, maximum))
        if columns is not None:
            columns += [column.name for column in cursor.description or ()]
        stream.close()
        return rows


@contextmanager
def supported(context: Context, what: str) -> Iterator[None]:
    """Leave out what a managed service does not support; --verbose says so."""
    from psycopg.errors import FeatureNotSupported

    try:
        yield
    except FeatureNotSupported as error:
        if context.options["verbose"]:
            text = f"{what} left out: {context.source.quote(_primary(error))}"
            context.add(state_reading("unsupported", Status.OK, text))


def check_certificate(connection: "psycopg.Connection", context: Context) -> None:
    left = certificate.postgres_left(connection, context.deadline.left() / 2)
    context.add(*certificate.evaluate(left, context.ranges))


def split_url(text: str, variable: str = "DATABASE_URL") -> dict[str, str]:
    """The values in the URL in that variable, as an application has it, by keyword.

    Raises ValueError; SettingsError if the message can say what is wrong.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(libpq_url(text))
    except ProgrammingError as error:
        if problem := misfit(text, error):
            raise SettingsError(problem, where=variable, hint=_LEAVE_OUT) from None
        raise ValueError from None
    if not re.fullmatch(r"[\d,]*", str(parts.get("port", ""))):
        raise ValueError
    return {keyword: str(value) for keyword, value in parts.items()}


_LEAVE_OUT = "give the probe a URL with libpq's parameters only"


def _port(text: str) -> str:
    """Port numbers of one host or several."""
    if not re.fullmatch(r"[\d,]+", text):  # of a list without ports, libpq makes ","
        raise click.BadParameter(f"{text!r} is not a port")
    return text


def url(variable: str) -> Url:
    """The variable with the URL of a database."""
    read = partial(split_url, variable=variable)
    return Url(variable, "postgresql://user:password@host:5432/dbname", read)


URL = url("DATABASE_URL")
TYPES = {"--port": _port}
