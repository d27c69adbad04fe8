"""The connection to the fleet database, which HCRUN_FLEET_URL names."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hcrun.errors import HcrunError
from hcrun.formats.postgres_url import libpq_url, misfit
from hcrun.settings import Settings

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[Any]

URL = "HCRUN_FLEET_URL"
VERSION = 1  # of the schema that this hcrun knows
# Percentiles of many checks are merged in memory, else on the disk.
_OPTIONS = (
    "-c statement_timeout=60s -c lock_timeout=30s -c timezone=UTC -c jit=off -c work_mem=64MB"
)
_INIT = "run hcctl fleet init as the owner of the database"
# By SQLSTATE, or its class: what to do.
_HINTS = {
    "3F000": _INIT,
    "42P01": _INIT,
    "42883": "the fleet database and this hcrun differ: run hcctl fleet init, or upgrade hcrun",
    "42501": "shippers need the role hcrun_writer, readers hcrun_reader, and hcctl fleet the owner",
    "53100": "free space on its disk, or run hcctl fleet prune; nothing is lost meanwhile",
    "53300": "raise max_connections, or put a pooler before it",
    "55P03": "it is busy; try again",
    "57014": "it took too long; try again",
}
_REFUSED = {
    "authentication failed": "check user and password",
    "no password supplied": "put the password into the URL, or set PGPASSFILE",
    "does not exist": "create it, see docs/fleet.md",
    "certificate": "set sslrootcert, or correct the server's certificate",
}


def address(settings: Settings) -> dict[str, Any]:
    """libpq's parameters. Raises HcrunError, which does not quote the URL: it is a secret."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    text = settings.secret(URL)
    if not text:
        hint = "set it to postgresql://ROLE:PASSWORD@HOST/DATABASE, see docs/fleet.md"
        raise HcrunError("no fleet database", where=URL, hint=hint)
    try:
        return dict(conninfo_to_dict(libpq_url(text)))
    except ProgrammingError as error:
        what = misfit(text, error) or "is not a URL of PostgreSQL"
        raise HcrunError(what, where=URL, hint="postgresql://ROLE:PASSWORD@HOST/DATABASE") from None


def place(connection: "Connection") -> str:
    """Host and database, for messages."""
    return f"fleet://{connection.info.host}:{connection.info.port}/{connection.info.dbname}"


def open_connection(settings: Settings, name: str) -> "Connection":
    """A connection in autocommit mode. Raises HcrunError."""
    with problems():
        import psycopg

        given = {"connect_timeout": 10, **address(settings), "fallback_application_name": name}
        given["options"] = f"{given.get('options', '')} {_OPTIONS}"
        return psycopg.connect(**given, autocommit=True)


@contextmanager
def connected(settings: Settings, name: str) -> "Iterator[Connection]":
    """The same for a `with` block, in which errors of PostgreSQL become an HcrunError."""
    with problems(), open_connection(settings, name) as connection:
        yield connection


@contextmanager
def problems() -> Iterator[None]:
    """Errors of PostgreSQL, and a missing library, become an HcrunError with the next step."""
    try:
        import psycopg  # optional
    except ImportError:
        hint = "pip install 'hcrun[postgres]'"
        raise HcrunError("the fleet needs psycopg", hint=hint) from None
    try:
        yield
    except psycopg.Error as error:
        raise HcrunError(_what(error), where="the fleet database", hint=_hint(error)) from None


def _what(error: "psycopg.Error") -> str:
    """Without the lines that quote a statement; libpq's messages contain no password."""
    return error.diag.message_primary or str(error).strip().rpartition("\n")[2]


def _hint(error: "psycopg.Error") -> str:
    if error.sqlstate:
        return _HINTS.get(error.sqlstate, "")
    found = [hint for text, hint in _REFUSED.items() if text in str(error)]
    return found[0] if found else "is it up, and reachable from here?"
