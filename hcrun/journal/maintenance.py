"""Maintenance windows in the journal: which checks `hcctl pause` paused, and until when.

Times are seconds since the epoch. All functions raise JournalError.
"""

import hashlib
from dataclasses import dataclass
from functools import singledispatch

from hcrun.journal.database import Database


@dataclass(frozen=True)
class Window:
    """One check that is out of service on purpose."""

    id: int
    key: str  # of the check, see `check_key`
    name: str  # its slug, or its name
    began: float
    until: float | None  # as planned; None: until somebody ends it
    ended: float | None  # None while it is in progress
    reason: str
    user: str
    ours: bool  # False: the check was paused before, and stays paused
    resumed_by_pings: bool  # manual_resume was off before, and is set off again afterwards

    def due(self, now: float) -> bool:
        """Whether its planned end has passed."""
        return self.until is not None and self.until <= now


def check_key(uuid: str) -> str:
    """The unique key of a check, as the API gives it for a read-only key; the UUID is a secret."""
    return hashlib.sha1(uuid.replace("-", "")[:16].encode(), usedforsecurity=False).hexdigest()


def begin(database: Database, window: Window) -> int:
    """Record that a window has begun; returns its id and ignores `window.id`."""
    database.change(
        "INSERT INTO maintenance (check_key, name, began, until, reason, user, ours,"
        " resumed_by_pings) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (window.key, window.name, window.began, window.until, window.reason, window.user)
        + (window.ours, window.resumed_by_pings),
    )
    return int(database.query("SELECT last_insert_rowid()")[0][0])


def delete(database: Database, number: int) -> None:
    """Delete a window whose check could not be paused."""
    database.change("DELETE FROM maintenance WHERE id = ?", (number,))


def extend(database: Database, number: int, until: float | None, reason: str) -> None:
    """Change the planned end, and the reason unless it is empty."""
    database.change(
        "UPDATE maintenance SET until = ?, reason = coalesce(nullif(?, ''), reason) WHERE id = ?",
        (until, reason, number),
    )


def end(database: Database, number: int, now: float) -> None:
    """Record the end, unless it is recorded already."""
    database.change(
        "UPDATE maintenance SET ended = ? WHERE id = ? AND ended IS NULL", (now, number)
    )


@singledispatch
def in_progress(database: Database) -> list[Window]:
    """The windows that nobody has ended yet, oldest first."""
    return _windows(database, "ended IS NULL", ())


@singledispatch
def between(database: Database, since: float, until: float, now: float) -> list[Window]:
    """The windows that overlap with that period, oldest first; see `span` for their ends."""
    over = "coalesce(ended, min(coalesce(until, ?), ?))"
    return _windows(database, f"{over} > ? AND began < ?", (now, now, since, until))


def span(window: Window, now: float) -> tuple[float, float]:
    """Its beginning and its end, which is at most now."""
    planned = now if window.until is None else min(window.until, now)
    return window.began, planned if window.ended is None else window.ended


def _windows(database: Database, condition: str, values: tuple[float, ...]) -> list[Window]:
    rows = database.query(
        "SELECT id, check_key, name, began, until, ended, reason, user, ours, resumed_by_pings"  # noqa: S608 - constants
        f" FROM maintenance WHERE {condition} ORDER BY began, id",
        values,
    )
    return [Window(*row[:8], *map(bool, row[8:])) for row in rows]
