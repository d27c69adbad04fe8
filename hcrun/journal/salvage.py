"""Repairs records of a journal, and saves undelivered results from a file that was set aside."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from hcrun.journal import damage
from hcrun.journal.database import FILE, TROUBLES, DamagedText, readable
from hcrun.journal.journal import Journal
from hcrun.journal.run import COLUMNS, TABLES, fault, read
from hcrun.results import DAMAGED, PENDING

_STEP = 64  # rows to skip at most behind one that cannot be read
_ATTEMPTS = 10_000
_PAGE = 4096


def repair(journal: Journal) -> tuple[int, list[str]]:
    """Make damaged texts readable; returns of how many records, and which had to be deleted."""
    repaired, deleted = 0, []
    for row, name in journal.query("SELECT id, name FROM checks"):
        if type(name) is not str:
            new = str(name) if isinstance(name, str) else f"check-{row}"
            journal.change("UPDATE OR IGNORE checks SET name = ? WHERE id = ?", (new, row))
    for row, columns in faulty(journal):
        better = [str(value) if type(value) is DamagedText else value for value in columns]
        if wrong := fault(better):
            journal.change("DELETE FROM outputs WHERE id = ?", (row,))
            journal.change("DELETE FROM runs WHERE id = ?", (row,))
            deleted.append(f"run {str(columns[1])[:8]}: its {wrong} is damaged")
            continue
        journal.change(
            "UPDATE runs SET why = ?, command = ?, user = ?,"
            " delivery = CASE WHEN delivery = ? THEN ? ELSE delivery END WHERE id = ?",
            (*better[11:14], DAMAGED, PENDING, row),
        )
        journal.change(
            "UPDATE outputs SET head = ?, tail = ? WHERE id = ?", (better[14], better[16], row)
        )
        repaired += 1
    return repaired, deleted


def faulty(journal: Journal) -> Iterator[tuple[int, list[Any]]]:
    """The rows and COLUMNS of all damaged records. Raises JournalError."""
    last = float("-inf")
    while rows := journal.query(
        f"SELECT r.id, {COLUMNS} {TABLES} WHERE r.id > ? ORDER BY r.id LIMIT 1000", (last,)
    ):
        last = rows[-1][0]
        yield from ((row, columns) for row, *columns in rows if fault(columns))


def salvage(journal: Journal, aside: str) -> tuple[int, int]:
    """Copy the undelivered results of a file that was set aside into the journal, each once.

    Returns how many were copied, and how many cannot be read. Raises JournalError or OSError.
    """
    copied = unreadable = 0
    # Older than all runs of the journal, which is newer than that file.
    lowest = journal.query("SELECT min(0, coalesce(min(id), 0)) FROM runs")[0][0]
    with tempfile.TemporaryDirectory(dir=os.path.dirname(journal.path)) as directory:
        for pid, identity, server, columns in reversed(list(_undelivered(directory, aside))):
            if fault(columns) or type(identity) is not int or type(server) is not str:
                unreadable += 1
                continue
            run = read(columns)
            if journal.query("SELECT 1 FROM runs WHERE run_id = ?", (run.run_id,)):
                continue
            lowest -= 1
            journal.begin(run, pid, identity, server, "", lowest)
            journal.finish(lowest, run)
            journal.release(lowest)
            copied += 1
    return copied, unreadable


def _undelivered(directory: str, aside: str) -> Iterator[tuple[Any, Any, Any, list[Any]]]:
    path = os.path.join(directory, FILE)
    for suffix in ("-wal", ""):
        if os.path.exists(aside + suffix):
            shutil.copyfile(aside + suffix, path + suffix)
    if damage.find(path, 0):  # at least of its schema or of other pages
        _restore_schema(path, os.path.join(directory, "new"))
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = readable
        for row in _rows(db):
            try:
                found = db.execute(
                    f"SELECT c.identity, c.server, {COLUMNS} {TABLES} WHERE r.id = ?", (row,)
                ).fetchone()
            except TROUBLES:
                found = None
            identity, server, *columns = found or [None] * (COLUMNS.count(",") + 3)
            yield columns[2], identity, server, columns


def _restore_schema(path: str, new: str) -> None:
    """Replace the page of the header and the schema with that of a new journal.

    hcrun creates all tables at once, so they begin at the same pages in each journal.
    """
    Journal(new).query("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(os.path.join(new, FILE), "rb") as file:
        page = bytearray(file.read(_PAGE))
    page[92:96] = b"\0\0\0\0"  # so that the size of the file counts, not that in the header
    with open(path, "r+b") as file:
        file.write(page)


def _rows(db: sqlite3.Connection) -> Iterator[int]:
    """The rows of undelivered results, without those in pages that cannot be read."""
    last, step = -(2**62), 1
    for _ in range(_ATTEMPTS):
        try:
            for (row,) in db.execute(
                "SELECT id FROM runs NOT INDEXED WHERE id > ? AND delivery IN (?, ?)"
                " AND ended IS NOT NULL ORDER BY id",
                (last, PENDING, DAMAGED),
            ):
                last, step = row, 1
                yield row
        except TROUBLES:
            last, step = max(last, 0) + step, min(2 * step, _STEP)
        else:
            return
