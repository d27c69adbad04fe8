"""Finds damage in the file of a journal, and tables that are not hcrun's."""

import sqlite3
import time
from contextlib import closing
from typing import Any

from hcrun.journal.database import SCHEMA, TROUBLES, readable

PATIENCE = 2.0  # seconds
_STEPS = 10_000  # of SQLite between two looks at the clock
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_VERSIONS = slice(18, 20)  # of the header: what a program must know to write and to read the file
_KNOWN = 2


def find(path: str, patience: float = PATIENCE) -> str:
    """What is wrong with the file; "" if nothing is found in about `patience` seconds."""
    try:
        with open(path, "rb") as file:
            if max(file.read(_VERSIONS.stop)[_VERSIONS], default=0) > _KNOWN:
                return "its header is damaged"
        with closing(sqlite3.connect(path, timeout=patience)) as db:
            db.text_factory = readable
            return wrong_schema(db) or (wrong_pages(db, patience) or "")
    except UnicodeDecodeError:
        return "its schema is damaged"
    except TROUBLES as error:
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE
        return str(error) if damaged else ""


def wrong_schema(db: sqlite3.Connection) -> str:
    """Which of hcrun's columns is missing or different; "" if none is.

    Other tables are allowed, and other columns that may stay empty.
    """
    with closing(sqlite3.connect(":memory:")) as ours, open(SCHEMA, encoding="utf-8") as file:
        ours.executescript(file.read())
        for (table,) in ours.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            expected, found = _columns(ours, table), _columns(db, table)
            missing = [name for name in expected if expected[name] != found.get(name)]
            extra = [name for name in found if name not in expected and _is_required(found[name])]
            if missing or extra:
                return f"its column {table}.{[*missing, *extra][0]} is not hcrun's"
    try:
        db.execute("EXPLAIN UPDATE runs SET result = NULL")  # with the trigger
    except sqlite3.OperationalError as error:
        return str(error)
    return ""


def _columns(db: sqlite3.Connection, table: str) -> dict[str, tuple[Any, ...]]:
    rows = db.execute(
        'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?)', (table,)
    )
    return {name: tuple(rest) for name, *rest in rows}


def _is_required(column: tuple[Any, ...]) -> bool:
    _, not_null, default, _ = column
    return bool(not_null) and default is None


def wrong_pages(
    db: sqlite3.Connection, patience: float, how: str = "integrity_check"
) -> str | None:
    """What SQLite finds wrong; "" if nothing is, None if it is not done in `patience` seconds."""
    until = time.monotonic() + patience
    db.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    try:
        result = str(db.execute(f"PRAGMA {how}(1)").fetchone()[0])
    except sqlite3.OperationalError:  # interrupted
        return None
    finally:
        db.set_progress_handler(None, 0)
    return "" if result == "ok" else result.replace("\n", " ")
