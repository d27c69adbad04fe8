"""Checks that have another name now: their runs and their undelivered results follow."""

from collections.abc import Mapping

from hcrun.journal.foreign import ForeignJournal
from hcrun.journal.journal import Journal
from hcrun.ping.target import Target, resolve
from hcrun.settings import Settings
from hcrun.text import checksum


def rename(journal: Journal, names: Mapping[str, str], settings: Settings) -> None:
    """Give the checks in `names` their new names, old -> new, unless it is only read."""
    if not names or isinstance(journal, ForeignJournal):
        return
    known = {name for (name,) in journal.query("SELECT DISTINCT name FROM checks")}
    for old, new in names.items():
        if old in known:
            with journal:
                _rename(journal, old, new, resolve(new, settings))


def _rename(journal: Journal, old: str, new: str, target: Target) -> None:
    change = journal._db.execute
    for number, identity, server in journal.query(
        "SELECT id, identity, server FROM checks WHERE name = ?", (old,)
    ):
        if server and not target.url:
            continue  # these settings do not say where its undelivered results go
        if not journal.read_address(identity):  # else a command line has given the address
            identity = checksum(target.url or target.label)
        there = journal.query(
            "SELECT id FROM checks WHERE name = ? AND identity = ?", (new, identity)
        )
        if not there:
            change("UPDATE checks SET name = ?, identity = ? WHERE id = ?", (new, identity, number))
            continue
        both = (there[0][0], number)  # it has run under its new name already
        change("UPDATE runs SET check_id = ? WHERE check_id = ?", both)
        change(
            "INSERT INTO totals SELECT ?, result, runs, newest FROM totals WHERE check_id = ?"
            " ON CONFLICT (check_id, result) DO UPDATE SET runs = runs + excluded.runs,"
            " newest = max(newest, excluded.newest)",
            both,
        )
        change("DELETE FROM totals WHERE check_id = ?", (number,))
        change("DELETE FROM checks WHERE id = ?", (number,))
    change("UPDATE maintenance SET name = ? WHERE name = ?", (new, old))
