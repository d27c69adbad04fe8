"""Which runs were sent to an OpenTelemetry collector. All functions raise JournalError."""

from hcrun.journal.database import Database
from hcrun.journal.run import COLUMNS, TABLES, Run, fault, read

_FIRST = 3600.0  # seconds to go back at first
_STEP = 500  # runs


def ended_since(database: Database, signal: str, now: float) -> list[Run]:
    """The next runs that have ended since the last one saved for this signal, by their ends."""
    last = (now - _FIRST, "")
    if database.query("SELECT 1 FROM sqlite_master WHERE name = 'exported'"):
        saved = "SELECT ended, run_id FROM exported WHERE signal = ? AND ended > 0"
        for ended, run_id in database.query(saved, (signal,)):
            last = (min(ended, now), run_id)  # a clock that was ahead hides nothing for ever
    rows = database.query(
        f"SELECT {COLUMNS} {TABLES} WHERE ended > 0 AND (ended, run_id) > (?, ?)"
        f" ORDER BY ended, run_id LIMIT {_STEP}",
        last,
    )
    return [read(columns) for columns in rows if not fault(columns)]


def save(database: Database, signal: str, run: Run) -> None:
    """This run and all before it were sent, as this signal."""
    with database:
        change = database._db.execute
        columns = "signal TEXT PRIMARY KEY, ended REAL, run_id TEXT"
        change(f"CREATE TABLE IF NOT EXISTS exported ({columns})")
        change("REPLACE INTO exported VALUES (?, ?, ?)", (signal, run.ended, run.run_id))
