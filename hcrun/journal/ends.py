"""In a journal: in which order its runs ended, and what of that is in the fleet database.

`ends` is filled by a trigger, which the first `hcctl ship` creates. The rows of a journal are not
in the order of their ends, and clocks are set. Times are seconds since the epoch. All functions
raise JournalError.
"""

import re
import sys
import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hcrun.journal.database import Database
from hcrun.journal.run import COLUMNS, TABLES, Run, fault, read

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
STEP = 1000  # runs of a batch
# Is there a row: was the journal ever shipped? Then how many runs wait, and since when.
SHIPPED = "SELECT 1 FROM sqlite_master WHERE name = 'shipping'"
WAITING = (
    "SELECT count(*), min(ended) FROM ends CROSS JOIN runs ON runs.id = run"
    " WHERE seq > (SELECT cursor FROM shipping)"
)
_TABLES = """
CREATE TABLE IF NOT EXISTS ends (
    seq INTEGER PRIMARY KEY, run INTEGER NOT NULL, again INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS shipping (id TEXT NOT NULL, cursor INTEGER NOT NULL, at REAL NOT NULL);
CREATE TRIGGER IF NOT EXISTS runs_ended AFTER UPDATE OF result ON runs
WHEN new.result IS NOT NULL AND new.result IS NOT old.result BEGIN
    INSERT INTO ends (run, again) VALUES (new.id, old.result IS NOT NULL);
END
"""


class Ended(NamedTuple):
    """A run that has ended, and its row in `ends`."""

    seq: int
    again: bool  # it ended differently before
    identity: int
    run: Run


class Shipping(NamedTuple):
    """What is known of the shipping of a journal."""

    journal: str  # a UUID
    cursor: int  # the last row of `ends` that is in the fleet database
    at: float  # the last time that it answered; 0: never


def shipping(journal: Database) -> Shipping | None:
    """None: it was never shipped."""
    if not journal.query(SHIPPED):
        return None
    rows = journal.query("SELECT id, cursor, at FROM shipping")
    return Shipping(*rows[0]) if rows else None


def prepare(journal: Database) -> Shipping:
    """Create the tables, with the runs that there are."""
    if known := shipping(journal):
        return known
    with journal:
        if not journal.query(SHIPPED):
            for statement in _TABLES.strip().split(";\n", 2):
                journal._db.execute(statement)
            journal._db.execute(
                "INSERT INTO ends (run, again) SELECT id, 0 FROM runs WHERE result IS NOT NULL"
                " ORDER BY ended, id"
            )
            journal._db.execute("INSERT INTO shipping VALUES (?, 0, 0)", (str(uuid.uuid4()),))
    return Shipping(*journal.query("SELECT id, cursor, at FROM shipping")[0])


def after(journal: Database, cursor: int) -> tuple[list[Ended], int]:
    """The next runs in the order of their ends, each once, and the row of the last one.

    Damaged records are left out.
    """
    rows = journal.query(
        f"SELECT seq, again, identity, {COLUMNS}"
        f" {TABLES.replace('runs r', 'ends e CROSS JOIN runs r ON r.id = e.run')}"
        " WHERE seq > ? ORDER BY seq LIMIT ?",
        (cursor, STEP),
    )
    found: dict[str, Ended] = {}
    for seq, again, identity, *columns in rows:
        run = None if fault(columns) else read(columns)
        if run and _UUID.fullmatch(run.run_id) and type(identity) is int:
            before = found.pop(run.run_id, None)
            found[run.run_id] = Ended(seq, bool(before.again if before else again), identity, run)
    return list(found.values()), rows[-1][0] if rows else cursor


def is_rolled_back(journal: Database, cursor: int, last_run: str) -> bool:
    """Whether the journal is a copy from before the row `cursor`, where `last_run` was."""
    if cursor > journal.query("SELECT ifnull(max(seq), 0) FROM ends")[0][0]:
        return True
    rows = journal.query("SELECT run_id FROM ends JOIN runs ON id = run WHERE seq = ?", (cursor,))
    return bool(rows and last_run and rows[0][0] != last_run)


def pages(journal: Database) -> Iterator[list[tuple[str, float]]]:
    """The ids and ends of the runs that may be missing after a roll-back.

    The latest ones come first, in each part the oldest one. Damaged records are left out.
    """
    row = sys.maxsize
    while rows := journal.query(
        "SELECT id, run_id, ifnull(ended, started) FROM runs WHERE result IS NOT NULL AND id < ?"
        " ORDER BY id DESC LIMIT ?",
        (row, 2 * STEP),
    ):
        row = rows[-1][0]
        yield [
            (run_id, float(ended))
            for _, run_id, ended in reversed(rows)
            if _UUID.fullmatch(str(run_id)) and type(ended) in (float, int)
        ]


def restart(journal: Database, cursor: int, missing: Sequence[str]) -> None:
    """Go on after the row `cursor`, with the runs that are missing in the fleet database."""
    with journal:
        change = journal._db.execute
        change("DELETE FROM ends")
        change("INSERT INTO ends (seq, run, again) VALUES (?, 0, 0)", (cursor,))
        for run_id in missing:
            change(
                "INSERT INTO ends (run, again) SELECT id, 0 FROM runs WHERE run_id = ?", (run_id,)
            )


def keep(journal: Database, cursor: int, now: float) -> None:
    """Record what is in the fleet database, and forget the ends of runs that were pruned.

    The row `cursor` stays: the number of a later one must be larger.
    """
    first = journal.query("SELECT seq FROM ends CROSS JOIN runs ON id = run ORDER BY seq LIMIT 1")
    kept = min(cursor, first[0][0] if first else cursor)
    with journal:
        journal._db.execute("UPDATE shipping SET cursor = ?, at = ?", (cursor, now))
        journal._db.execute("DELETE FROM ends WHERE seq < ?", (kept,))
