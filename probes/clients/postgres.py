"""How the probes of PostgreSQL reach it: libpq's settings, one query, what a refusal means."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from probes.framework.options import Url, option
from probes.framework.probe import Context

if TYPE_CHECKING:
    import psycopg

Parameters = Mapping[str, Any]  # by libpq's keywords


def connect(context: Context) -> psycopg.Connection:
    """Connect to what the settings say, in autocommit. Raises DownError or BlindError."""
    import psycopg

    # It warns of what follows from an error that is told anyway; stderr is for tracebacks.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    given = parameters(context)
    context.at(*address(given))
    try:
        connection = psycopg.connect(**given, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        refusal = refused(str(error))
        reason = ConnectionError(refusal.text)
        raise (context.unknown if refusal.is_blind else context.critical)(
            reason, refusal.hint
        ) from None
    context.at(connection.info.host, connection.info.port)
    return connection


def parameters(context: Context) -> dict[str, Any]:
    """What libpq shall connect with: flag > DATABASE_URL > PG* variables > its own defaults."""
    from psycopg.pq import Conninfo

    name = f"probe-{context.verdict.name}"
    values: dict[str, Any] = {"fallback_application_name": name}
    for default in Conninfo.get_defaults():  # libpq does not know the env file
        if default.envvar and (value := context.source.settings.get(default.envvar.decode())):
            values[default.keyword.decode()] = value
    given = {name: context.options[name] for name in ("host", "port", "user", "dbname")}
    given |= {name: context.options[name] for name in ("sslmode", "sslrootcert")}
    given["password"] = context.source.secret("PGPASSWORD")
    values |= context.source.parts
    return values | {name: value for name, value in given.items() if value}


def address(given: Parameters) -> tuple[str, str | None]:
    """Host and port, for people."""
    host = given.get("host") or given.get("hostaddr") or "the local PostgreSQL"
    return host, given.get("port")


class Refusal(NamedTuple):
    """Why there is no connection."""

    is_blind: bool  # the probe is not let in; others may well be
    text: str
    hint: str = ""


# libpq gives no SQLSTATE for a connection that failed, so the words must do. What is not in here
# means that clients cannot connect either.
_BLIND = re.compile(
    r"authentication failed|no password supplied|no pg_hba|permission denied|certificate file"
    r'|private key file|role "[^"]*" (does not exist|is not permitted)'
    r"|invalid .*(value|option)|definition of service"
)


def refused(text: str) -> Refusal:
    """What libpq says when it cannot connect."""
    text = re.sub(r"^(connection [a-z ]+: )?connection to server .*? failed: ", "", text)
    first = text.partition("\n")[0]
    if "no password supplied" in text:
        return Refusal(True, first, "set PGPASSWORD or PGPASSWORD_FILE")
    if "authentication failed" in text:
        return Refusal(True, first, "check user and password")
    if "too many c" in text or "connection slots" in text:
        return Refusal(False, first, "raise max_connections, or put a pooler before it")
    return Refusal(bool(_BLIND.search(text)), first)


Row = tuple[Any, ...]


def select(
    connection: psycopg.Connection, query: str, context: Context, maximum: int | None = None
) -> list[Row]:
    """The first `most` rows of somebody's query, which can change nothing and ends in time.

    Raises DownError, BlindError, TimeoutError.
    """
    milliseconds = int(context.deadline.left() * 1000) + 1
    with _explained(context), connection.transaction(), connection.cursor() as cursor:
        connection.execute("SET TRANSACTION READ ONLY")
        # Local to a transaction, as a pooler may hand the session on to somebody else.
        connection.execute(f"SET LOCAL statement_timeout = {milliseconds}")
        # A stream goes by the extended protocol: one statement, which so cannot be "COMMIT; ...";
        # and a query that gives a whole table does not fill the memory.
        stream: Any = cursor.stream(query.encode())  # a generator, which its type hides
        rows = list(islice(stream, maximum))
        stream.close()
        return rows


# Classes of SQLSTATE: connection, resources, shut down or cancelled, disk, broken data.
_DOWN = ("08", "53", "57", "58", "XX")


@contextmanager
def _explained(context: Context) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        context.deadline.left()  # raises when it was the time-out, and nobody's hand
        raise context.unknown(_primary(error)) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise context.unknown(_primary(error), "GRANT the role what the query needs") from None
    except psycopg.Error as error:
        lost = "08" if isinstance(error, psycopg.OperationalError) else ""
        if (error.sqlstate or lost)[:2] in _DOWN:
            raise context.critical(_primary(error)) from None
        raise context.unknown(_primary(error), "look at the query") from None


def _primary(error: psycopg.Error) -> Exception:
    """The error without the lines that quote the query."""
    return ValueError(error.diag.message_primary or str(error).partition("\n")[0])


def split_url(text: str) -> dict[str, str]:
    """DATABASE_URL, also one of SQLAlchemy's -> texts by libpq's keywords. Raises ValueError."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(re.sub(r"^(\w+)\+\w+://", r"\1://", text))
    except ProgrammingError:
        raise ValueError from None
    if not re.fullmatch(r"[\d,]*", str(parts.get("port", ""))):
        raise ValueError
    return {keyword: str(value) for keyword, value in parts.items()}


def _port(text: str) -> str:
    """Port numbers of one host or several."""
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise click.BadParameter(f"{text!r} is not a port")
    return text


MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

URL = Url("DATABASE_URL", "postgresql://user:password@host:5432/dbname", split_url)

OPTIONS = [
    option("--host", "PGHOST", "Name, address, or directory of the socket."),
    option("--port", "PGPORT", "Port.", type=_port, metavar="PORT"),
    option("--user", "PGUSER", "Role."),
    option("--dbname", "PGDATABASE", "Database."),
    option("--sslmode", "PGSSLMODE", "When to speak TLS.", type=click.Choice(MODES)),
    option("--sslrootcert", "PGSSLROOTCERT", "Certificates to trust.", metavar="FILE"),
]
