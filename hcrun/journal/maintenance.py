"""Maintenance windows in the journal: which checks were paused by `hcctl pause`, and until when.

Not on the hot path. All times are seconds since the epoch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from hcrun.journal.database import Database

_COLUMNS = "id, check_key, name, began, until, ended, reason, user, ours, resumed_by_pings"


@dataclass(frozen=True)
class Window:
    """One check, out of service on purpose."""

    id: int
    key: str  # of the check, see `check_key`
    name: str  # its slug, or its name
    began: float
    until: float | None  # as planned; None: until somebody ends it
    ended: float | None  # None while it is going
    reason: str
    user: str
    ours: bool  # False: it was paused before, and stays so
    resumed_by_pings: bool  # what its manual_resume was not, and is again afterwards

    def due(self, now: float) -> bool:
        return self.until is not None and self.until <= now


def check_key(uuid: str) -> str:
    """The unique key of a check, which the server tells of read-only keys; its uuid is a secret."""
    return hashlib.sha1(uuid.replace("-", "")[:16].encode(), usedforsecurity=False).hexdigest()


def begin(store: Database, window: Window) -> int:
    """Record that a window has begun; returns its id, whatever `window.id` is."""
    store.change(
        "INSERT INTO maintenance (check_key, name, began, until, reason, user, ours,"
        " resumed_by_pings) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (window.key, window.name, window.began, window.until, window.reason, window.user)
        + (window.ours, window.resumed_by_pings),
    )
    found: int = store.query("SELECT last_insert_rowid()")[0][0]
    return found


def forget(store: Database, number: int) -> None:
    """As if it had not begun: the check could not be paused."""
    store.change("DELETE FROM maintenance WHERE id = ?", (number,))


def extend(store: Database, number: int, until: float | None, reason: str) -> None:
    """Another end, and another reason if one is given."""
    store.change(
        "UPDATE maintenance SET until = ?, reason = coalesce(nullif(?, ''), reason) WHERE id = ?",
        (until, reason, number),
    )


def end(store: Database, number: int, now: float) -> None:
    store.change("UPDATE maintenance SET ended = ? WHERE id = ? AND ended IS NULL", (now, number))


def going(store: Database) -> list[Window]:
    """The windows that nobody has ended yet, oldest first."""
    return _windows(store, "ended IS NULL", ())


def between(store: Database, since: float, until: float, now: float) -> list[Window]:
    """The windows that have a moment in that period, oldest first.

    One that is going lasts until now, and not beyond what was planned.
    """
    over = "coalesce(ended, min(coalesce(until, ?), ?))"
    return _windows(store, f"{over} > ? AND began < ?", (now, now, since, until))


def span(window: Window, now: float) -> tuple[float, float]:
    """From and to, as far as it has come."""
    planned = now if window.until is None else min(window.until, now)
    return window.began, planned if window.ended is None else window.ended


def _windows(store: Database, condition: str, values: tuple[float, ...]) -> list[Window]:
    rows = store.query(
        f"SELECT {_COLUMNS} FROM maintenance WHERE {condition} ORDER BY began, id",  # noqa: S608 - constants
        values,
    )
    return [_window(*row) for row in rows]


def _window(*row: Any) -> Window:
    number, key, name, began, until, ended, reason, user, ours, pings = row
    return Window(number, key, name, began, until, ended, reason, user, bool(ours), bool(pings))
