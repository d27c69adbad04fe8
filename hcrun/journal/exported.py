"""Which runs were sent to an OpenTelemetry collector. All functions raise JournalError."""

from hcrun.journal.database import Database
from hcrun.journal.run import COLUMNS, TABLES, Run, fault, read

_FIRST = 3600.0  # seconds to go back at first
_STEP = 500  # runs


def ended_since(database: Database, now: float) -> list[Run]:
    """The next runs that have ended since the last one that was saved, by their ends."""
    last = (now - _FIRST, "")
    if database.query("SELECT 1 FROM sqlite_master WHERE name = 'exported'"):
        for ended, run_id in database.query("SELECT ended, run_id FROM exported WHERE ended > 0"):
            last = (min(ended, now), run_id)  # a clock that was ahead hides nothing for ever
    rows = database.query(
        f"SELECT {COLUMNS} {TABLES} WHERE ended > 0 AND (ended, run_id) > (?, ?)"
        f" ORDER BY ended, run_id LIMIT {_STEP}",
        last,
    )
    return [read(columns) for columns in rows if not fault(columns)]


def save(database: Database, run: Run) -> None:
    """This run and all before it were sent."""
    with database:
        change = database._db.execute
        change("CREATE TABLE IF NOT EXISTS exported (ended REAL, run_id TEXT)")
        change("DELETE FROM exported")
        change("INSERT INTO exported VALUES (?, ?)", (run.ended, run.run_id))
