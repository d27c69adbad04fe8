"""The states of the detectors of `hcrun.reports.anomalies`, and the runs that they have not read.

The table is derived from the runs. hcctl makes and fills it, a run never touches it. Times are
seconds since the epoch. All functions raise JournalError.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from hcrun.excerpt import Excerpt
from hcrun.journal.database import Database
from hcrun.results import GOOD

_VERSION = 1  # of the states; those of another one are not used
_STEP = 500  # runs

Key = tuple[int, str]  # the row of the check, and the subject: "minio usage"


class Success(NamedTuple):
    """A successful run."""

    row: int
    check: int
    ended: float
    duration: float | None
    output: Excerpt | None


def states(database: Database) -> tuple[int, dict[Key, Any]]:
    """The row of the last run that was read, and the state of each series; (0, {}): read anew."""
    if not database.query("SELECT 1 FROM sqlite_master WHERE name = 'detectors'"):
        return 0, {}
    rows = database.query("SELECT check_id, subject, state FROM detectors")
    try:
        found = {(check, subject): json.loads(state) for check, subject, state in rows}
        version, row = found.pop((0, ""), (0, 0))
    except (ValueError, TypeError):  # damaged
        return 0, {}
    return (row, found) if version == _VERSION else (0, {})


def save(database: Database, before: int, row: int, changed: Mapping[Key, Any]) -> None:
    """Store the states after the run `row`, unless another process has gone on from `before`."""
    change = database._db.execute
    with database:
        change(
            "CREATE TABLE IF NOT EXISTS detectors (check_id INTEGER, subject TEXT, state TEXT,"
            " PRIMARY KEY (check_id, subject)) WITHOUT ROWID"
        )
        # Another check may get the row of one that is gone.
        change(
            "CREATE TRIGGER IF NOT EXISTS detectors_forgotten AFTER DELETE ON checks BEGIN"
            " DELETE FROM detectors WHERE check_id = old.id; END"
        )
        if states(database)[0] == before:
            if not before:
                change("DELETE FROM detectors")
            for (check, subject), state in (((0, ""), (_VERSION, row)), *changed.items()):
                values = check, subject, json.dumps(state)
                change("INSERT OR REPLACE INTO detectors VALUES (?, ?, ?)", values)


def successes(database: Database, after: int) -> list[Success]:
    """The next successful runs after the run `after`, oldest first; [] if there are none."""
    rows = database.query(
        "SELECT r.id, check_id, ended, duration, head, omitted, tail FROM runs r"  # noqa: S608 - constants
        f" LEFT JOIN outputs o ON o.id = r.id WHERE r.id > ? AND result IN {GOOD} AND ended > 0"
        f" ORDER BY r.id LIMIT {_STEP}",
        (after,),
    )
    return [
        Success(row, check, ended, duration, None if output[0] is None else Excerpt(*output))
        for row, check, ended, duration, *output in rows
    ]
