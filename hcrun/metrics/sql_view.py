"""The view `healthchecks_metrics` in a database: made, looked at, dropped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hcrun.errors import HcrunError
from hcrun.metrics.view_sql import (
    CREATE_READER,
    MARK,
    NAME,
    NEWEST,
    OLDEST,
    READER,
    TABLES,
    quoted,
    statements,
    version,
)
from hcrun.settings import Settings

if TYPE_CHECKING:
    import psycopg

URL = "HEALTHCHECKS_DATABASE_URL"


@contextmanager
def connect(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """To the server's database, in one transaction. Every trouble is an HcrunError."""
    try:
        import psycopg
    except ImportError:
        raise HcrunError("needs psycopg", hint="pip install 'hcrun[postgres]'") from None
    url = _checked(settings.secret(URL))
    try:
        with psycopg.connect(
            url, connect_timeout=10, fallback_application_name="hcctl view"
        ) as connection:
            # One at a time; and whoever comes to the tables while we wait would wait for us.
            # Local to the transaction, as a pooler may hand the session on to somebody else.
            connection.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (NAME,))
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise _error(error, "use the owner of the server's tables, who may create roles") from None
    except psycopg.errors.LockNotAvailable as error:
        raise _error(error, "somebody reads the view just now; try again") from None
    except psycopg.Error as error:
        hint = "" if error.sqlstate else f"set {URL}, or libpq's PGHOST, PGUSER, PGDATABASE, ..."
        raise _error(error, hint) from None


def _checked(url: str) -> str:
    """What libpq says of one that is wrong may have the password in it, so it must not say it."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        port = str(conninfo_to_dict(url).get("port", "0"))
    except ProgrammingError:
        port = ""
    if not port.replace(",", "").isdigit():
        hint = "write it like postgresql://hc:password@db.example.com:5432/hc"
        raise HcrunError("is no address of a PostgreSQL", where=URL, hint=hint)
    return url


def _error(error: psycopg.Error, hint: str) -> HcrunError:
    """Without the lines that quote what was sent; libpq's own message has no password in it."""
    words = error.diag.message_primary or str(error).partition("\n")[0]
    return HcrunError(words, where="the Healthchecks database", hint=hint)


def find_schema(connection: psycopg.Connection[Any]) -> tuple[str, str]:
    """Where the server's tables are, and a word on them if they are newer than those we know.

    Raises HcrunError when it is no database of a Healthchecks server, or one that is not known.
    """
    name = connection.info.dbname
    cursor = connection.execute(
        "SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE c.oid = to_regclass('api_check')"
    )
    found = cursor.fetchone()
    if not found:
        raise HcrunError(
            "there is no table api_check: no Healthchecks server keeps its data here",
            where=f"the database {name}",
            hint=f"look at {URL}",
        )
    schema = str(found[0])
    wrong = list(_wrong(connection, schema))
    if wrong:
        raise HcrunError(
            f"is of a Healthchecks that hcrun does not know: {'; '.join(wrong)}",
            where=f"the database {name}",
            hint="nothing was changed; v4.3 is known, with PostgreSQL",
        )
    newest = _migrations(connection, schema)[-1]
    return schema, newest if newest > NEWEST else ""


def _wrong(connection: psycopg.Connection[Any], schema: str) -> Iterator[str]:
    for table, wanted in TABLES.items():
        rows = connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s",
            (schema, table),
        )
        given = dict(rows.fetchall())
        if not given:
            yield f"there is no table {table}"
            continue
        for column, type_ in wanted.items():
            if column not in given:
                yield f"{table} has no column {column}"
            elif given[column] != type_:
                yield f"{table}.{column} is {given[column]}, not {type_}"
    migrations = _migrations(connection, schema)
    if OLDEST not in migrations:
        yield f"its migration api.{OLDEST} was not made"


def _migrations(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """Of the server's app `api`, in their order."""
    table = f"{quoted(schema)}.django_migrations"
    if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
        return []
    rows = connection.execute(f"SELECT name FROM {table} WHERE app = 'api' ORDER BY name".encode())  # noqa: S608 - quoted
    return [name for (name,) in rows]


def find(connection: psycopg.Connection[Any], schema: str) -> str | None:
    """The version of our view; "" when there is another one of that name, None when none."""
    row = connection.execute(
        "SELECT coalesce(obj_description(oid, 'pg_class'), '') FROM pg_class"
        " WHERE relname = %s AND relnamespace::regnamespace = %s::regnamespace",
        (NAME, quoted(schema)),
    ).fetchone()
    if row is None:
        return None
    words = str(row[0])
    return words.removeprefix(MARK) if words.startswith(MARK) else ""


def install(connection: psycopg.Connection[Any], schema: str) -> bool:
    """Make the view and the role, or bring them up to date; False when they are. All or nothing.

    Raises HcrunError when something else has the view's name.
    """
    found = find(connection, schema)
    if found == version():
        return False
    _refuse_foreign(found)
    for statement in (CREATE_READER, *statements(schema)):
        connection.execute(statement.encode())
    return True


def remove(connection: psycopg.Connection[Any], schema: str) -> tuple[bool, str]:
    """Drop the view, and the role unless somebody needs it: whether there was one, who needs it."""
    found = find(connection, schema)
    _refuse_foreign(found)
    where = quoted(schema)
    connection.execute(f"DROP VIEW IF EXISTS {where}.{NAME}".encode())
    connection.execute(f"DROP FUNCTION IF EXISTS {where}.{NAME}_rows()".encode())
    return found is not None, _drop_reader(connection, where)


def _drop_reader(connection: psycopg.Connection[Any], where: str) -> str:
    import psycopg

    if not _role_exists(connection):
        return ""
    members = connection.execute(
        "SELECT string_agg(member::regrole::text, ', ') FROM pg_auth_members"
        " WHERE roleid = %s::regrole",
        (READER,),
    ).fetchone()
    if members and members[0]:
        return f"{members[0]} may look by it"
    try:
        with connection.transaction():
            connection.execute(f"REVOKE USAGE ON SCHEMA {where} FROM {READER}".encode())
            connection.execute(f"DROP ROLE {READER}".encode())
    except psycopg.errors.DependentObjectsStillExist:
        return "it has other rights"
    except psycopg.errors.InsufficientPrivilege:
        return "only who may create roles can drop it"
    return ""


def _role_exists(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (READER,)).fetchone()
    return row is not None


def _refuse_foreign(found: str | None) -> None:
    if found == "":
        raise HcrunError(
            f"{NAME} is there already, and hcctl did not make it",
            where="the Healthchecks database",
            hint="rename it, or drop it yourself; nothing was changed",
        )


def problems(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """What is wrong with what is installed; the view is read, too."""
    import psycopg

    found = find(connection, schema)
    if found is None:
        return ["it is not installed; hcctl view install does it"]
    _refuse_foreign(found)
    wrong = []
    if found != version():
        wrong.append("it is of another hcrun; hcctl view install brings it up to date")
    if not _role_exists(connection):
        wrong.append(f"there is no role {READER}; hcctl view remove, then install")
    try:
        with connection.transaction():
            connection.execute(f"SELECT * FROM {quoted(schema)}.{NAME}".encode())  # noqa: S608 - quoted
    except psycopg.Error as error:
        wrong.append(f"it cannot be read: {error.diag.message_primary}")
    return wrong


def count(connection: psycopg.Connection[Any], schema: str) -> int:
    """How many checks it shows."""
    row = connection.execute(f"SELECT count(*) FROM {quoted(schema)}.{NAME}".encode()).fetchone()  # noqa: S608 - quoted
    assert row is not None
    return int(row[0])
