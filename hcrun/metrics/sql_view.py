"""Installs, checks and removes the view `healthchecks_metrics`, which is in sql_view.sql."""

import hashlib
import math
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hcrun.catalog.schedule import of_server, period
from hcrun.errors import HcrunError
from hcrun.settings import Settings
from hcrun.text import listed

if TYPE_CHECKING:
    import psycopg

DATABASE = "HEALTHCHECKS_DB_"  # NAME, USER, PASSWORD, HOST, PORT
NAME = "healthchecks_metrics"
READER = "healthchecks_reader"
OLDEST = "0120_fix_ping_kind"  # since this migration a success has no kind
NEWEST = "0123_alter_channel_kind"  # of Healthchecks v4.3, which the tests cover
KNOWN = "nothing was changed; hcrun knows Healthchecks v4.3 on PostgreSQL"
_MARK = "made by hcctl view install, version "
_WHERE = "the Healthchecks database"
_WEEK = 7 * 86400
_DATA = tomllib.loads((files("hcrun.metrics") / "sql_view.toml").read_text(encoding="utf-8"))


def _create() -> str:
    """The statements that create the view; search_path must be the schema of the tables."""
    text = (files("hcrun.metrics") / "sql_view.sql").read_text(encoding="utf-8")
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{text}COMMENT ON VIEW {NAME} IS '{_MARK}{version}';\n"


def script() -> str:
    """The same for psql, in one transaction, on the schema `public`."""
    return f"BEGIN;\nSET LOCAL search_path = public, pg_temp;\n{_create()}COMMIT;"


@contextmanager
def connect(settings: Settings) -> "Iterator[MetricsView]":
    """The view in the server's database, in one transaction. Every error is an HcrunError."""
    try:
        import psycopg  # optional: hcrun[postgres]
    except ImportError:
        raise HcrunError("needs psycopg", hint="pip install 'hcrun[postgres]'") from None
    address = _address(settings)
    try:
        with psycopg.connect(
            address, connect_timeout=10, fallback_application_name="hcctl view"
        ) as connection:
            # Whoever reads the tables while we wait for a lock would have to wait for us. The
            # settings end with the transaction, because a pooler may reuse the session.
            connection.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'")
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (NAME,))
            yield MetricsView(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise _error(error, "connect as the owner of the tables, with CREATEROLE") from None
    except psycopg.errors.LockNotAvailable as error:
        raise _error(error, "the view is in use; try again") from None
    except psycopg.Error as error:
        hint = "" if error.sqlstate else f"set {DATABASE}HOST, _PORT, _NAME, _USER and _PASSWORD"
        raise _error(error, hint) from None


def _address(settings: Settings) -> str:
    from psycopg.conninfo import make_conninfo

    names = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER"}
    given = {key: settings.get(DATABASE + name) for key, name in names.items()}
    given["password"] = settings.secret(f"{DATABASE}PASSWORD")
    return make_conninfo(**{key: value for key, value in given.items() if value})


def _error(error: "psycopg.Error", hint: str) -> HcrunError:
    """Without the lines that quote the statement; libpq's message contains no password."""
    text = error.diag.message_primary or str(error).partition("\n")[0]
    return HcrunError(text, where=_WHERE, hint=hint)


class MetricsView:
    """The view in a database with a known schema of Healthchecks."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        """Raises HcrunError if the schema is not known."""
        self._connection = connection
        database = f"the database {connection.info.dbname}"
        if not self._value("enter_schema"):
            what = "no table api_check: this is not the database of a Healthchecks server"
            raise HcrunError(what, where=database, hint=f"check {DATABASE}NAME")
        problems = list(self._schema_problems())
        migrations = [] if problems else [name for (name,) in self._ask("migrations")]
        if not problems and OLDEST not in migrations:
            problems.append(f"migration api.{OLDEST} is missing")
        if problems:
            what = f"unknown schema of Healthchecks: {'; '.join(problems)}"
            raise HcrunError(what, where=database, hint=KNOWN)
        # The latest migration, if the server is newer than those that the tests cover; else "".
        self.newer = migrations[-1] if migrations[-1] > NEWEST else ""

    def _ask(self, query: str, *values: object) -> "psycopg.Cursor[Any]":
        """Run one of the queries in sql_view.toml."""
        return self._connection.execute(_DATA[query], values or None)

    def _value(self, query: str, *values: object) -> Any:
        """The first column of the first row; None if there is no row."""
        row = self._ask(query, *values).fetchone()
        return row[0] if row else None

    def _schema_problems(self) -> Iterator[str]:
        for table, wanted in _DATA["tables"].items():
            types = dict(self._ask("columns", table).fetchall())
            if not types:
                yield f"there is no table {table}"
                continue
            for column, type_ in wanted.items():
                if column not in types:
                    yield f"{table} has no column {column}"
                elif types[column] != type_:
                    yield f"{table}.{column} is {types[column]}, not {type_}"

    def _comment(self) -> str | None:
        """The comment on the view, None if there is none. Raises HcrunError if it is not ours."""
        comment: str | None = self._value("comment", NAME)
        if comment is not None and not comment.startswith(_MARK):
            what = f"{NAME} exists and was not created by hcctl"
            raise HcrunError(what, where=_WHERE, hint="rename or drop it; nothing was changed")
        return comment

    def _is_current(self, comment: str | None) -> bool:
        return comment is not None and f"'{comment}'" in _create()

    def install(self) -> bool:
        """Create or update the view and the role; False if both were up to date."""
        if self._is_current(self._comment()) and self._has_rights():
            return False
        self._connection.execute(_create().encode())
        return True

    def remove(self) -> tuple[bool, str]:
        """Drop the view and the role: whether there was a view, and why the role was kept."""
        existed = self._comment() is not None
        self._ask("drop_view")
        return existed, self._drop_reader()

    def _has_rights(self) -> bool:
        """Whether the role exists and it alone may read the view, unlike after a restore."""
        return bool(self._value("rights", READER))

    def _drop_reader(self) -> str:
        """Why the role was kept; "" if it was dropped."""
        import psycopg

        if members := self._value("members", READER):
            return f"its members are {members}"
        try:
            with self._connection.transaction():
                self._ask("drop_reader")
        except psycopg.errors.DependentObjectsStillExist:
            return "it has other privileges"
        except psycopg.errors.InsufficientPrivilege:
            return "only a user with CREATEROLE can drop it"
        return ""

    def problems(self) -> list[str]:
        """What is wrong with the installed view; the view is read, too."""
        import psycopg

        comment = self._comment()
        if comment is None:
            return ["is not installed; run hcctl view install"]
        found = []
        if not self._is_current(comment):
            found.append("is from another version of hcrun; run hcctl view install to update it")
        elif not self._has_rights():
            found.append(f"is not granted to the role {READER} alone; run hcctl view install")
        try:
            with self._connection.transaction():
                self.count()
        except psycopg.Error as error:
            found.append(f"cannot be read: {error.diag.message_primary}")
        return found

    def short_logs(self) -> list[str]:
        """Whether the server keeps too few pings of checks for the view's columns of a week."""
        short = {}
        for name, seconds, expression, zone, started, limit in self._ask("limits"):
            with suppress(ValueError):
                every = period(of_server(expression, zone)) if expression else seconds
                needed = math.ceil(_WEEK / every) * (2 if started else 1)
                if needed > limit:
                    short[f"{name} ({needed:,})"] = needed
        if not short:
            return []
        names = listed(sorted(short, key=lambda name: -short[name]))
        text = f"has NULL for {names}: a week has more pings than ping_log_limit"
        return [f"{text}; set it to {max(short.values())} on the server: /admin/, Profiles"]

    def count(self) -> int:
        """How many checks it shows."""
        return int(self._value("count"))
