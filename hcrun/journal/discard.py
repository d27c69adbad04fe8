"""What a person decides about results that wait, and about checks that are no longer wanted.

All functions raise JournalError.
"""

from hcrun.journal.backlog import Undelivered
from hcrun.journal.delivery import server_of
from hcrun.journal.journal import UNDELIVERED, Journal
from hcrun.results import DROPPED

_CHUNK = 1000  # runs deleted at a time: other runs must not wait


def waiting(journal: Journal, name: str = "") -> list[tuple[str, str, str, int, float, float]]:
    """What waits, of one check or of all: check, server, result, how many, the first, the last."""
    return journal.query(
        "SELECT name, server, result, count(*), min(ended), max(ended)"  # noqa: S608 - a constant
        f" FROM runs JOIN checks c ON c.id = check_id WHERE {UNDELIVERED} AND ? IN ('', name)"
        " GROUP BY c.id, result ORDER BY name, server, result",
        (name,),
    )


def drop(journal: Journal) -> int:
    """Give up all results that wait; returns how many."""
    dropped = journal.change(
        f"UPDATE runs SET delivery = ? WHERE {UNDELIVERED}",  # noqa: S608 - a constant
        (DROPPED,),
    )
    for (identity,) in journal.query("SELECT DISTINCT identity FROM checks"):
        journal.forget_address(identity)
    return dropped


def readdress(journal: Journal, check: Undelivered, identity: int, url: str) -> None:
    """Let the results of a check that wait be delivered to another ping URL."""
    new = (check.name, identity)
    with journal:
        execute = journal._db.execute
        execute(
            "INSERT OR IGNORE INTO checks (name, identity, server) VALUES (?, ?, ?)",
            (*new, server_of(url)),
        )
        (number,) = execute("SELECT id FROM checks WHERE name = ? AND identity = ?", new).fetchone()
        if check.given:
            journal.keep_address(identity, f"{check.given} {url}")
        execute(
            f"UPDATE runs SET check_id = ? WHERE check_id = ? AND {UNDELIVERED}",  # noqa: S608 - a constant
            (number, check.number),
        )
        execute(
            "INSERT INTO totals SELECT check_id, result, 0, max(id) FROM runs"  # noqa: S608 - a constant
            f" WHERE check_id = ? AND {UNDELIVERED} GROUP BY result"
            " ON CONFLICT (check_id, result) DO UPDATE SET newest = max(newest, excluded.newest)",
            (number,),
        )
    journal.forget_address(check.identity)


def size(journal: Journal, name: str) -> tuple[int, int, int]:
    """How many entries the check has, how many runs, and how many of them are in progress."""
    ((entries, runs, running),) = journal.query(
        "SELECT count(DISTINCT c.id), count(r.id), count(r.id) FILTER (WHERE ended IS NULL)"
        " FROM checks c LEFT JOIN runs r ON r.check_id = c.id WHERE name = ?",
        (name,),
    )
    return entries, runs, running


_SOME = f"SELECT id FROM runs WHERE check_id = ? ORDER BY id LIMIT {_CHUNK}"  # noqa: S608 - a constant


def forget(journal: Journal, name: str) -> int:
    """Delete a check and its runs; returns how many runs."""
    deleted = 0
    rows = journal.query("SELECT id, identity FROM checks WHERE name = ?", (name,))
    for number, identity in rows:
        changed = 1
        while changed:
            journal.change(f"DELETE FROM outputs WHERE id IN ({_SOME})", (number,))  # noqa: S608 - constants
            changed = journal.change(f"DELETE FROM runs WHERE id IN ({_SOME})", (number,))  # noqa: S608 - constants
            deleted += changed
        for table, column in (("totals", "check_id"), ("checks", "id")):
            journal.change(
                f"DELETE FROM {table} WHERE {column} = ?"  # noqa: S608 - constants
                " AND NOT EXISTS (SELECT 1 FROM runs WHERE check_id = ?)",
                (number, number),
            )
        journal.forget_address(identity)
    return deleted
