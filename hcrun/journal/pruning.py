"""What the journal forgets: old runs, and what takes too much room. Every 50th run does this."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.journal.journal import Journal

_KEPT_FOR = 90 * 86400.0  # seconds
_KEPT_BYTES = 200 * 1000**2


def prune(journal: "Journal", now: float) -> None:
    """Delete runs older than 90 days; then, beyond 200 MB, the oldest ones, outputs first.

    Outputs are deleted until they reach back a quarter as far as the runs. The number of rows is
    bounded, so that no run pays for many.
    """
    _delete(journal, now - _KEPT_FOR)
    sizes = ("page_count", "freelist_count", "page_size")
    pages, free, size = (journal.query(f"PRAGMA {name}")[0][0] for name in sizes)
    if (pages - free) * size > _KEPT_BYTES and not _delete_outputs(journal, now):
        _delete(journal, float("inf"))  # also runs that a clock ahead of time dated in the future
    journal.query("PRAGMA incremental_vacuum(1000)")
    directory, prefix = os.path.split(journal.address_file(""))
    for name in os.listdir(directory):
        number = name.removeprefix(prefix)
        if number.isdecimal():
            journal.forget_address(int(number))


def _delete(journal: "Journal", before: float) -> None:
    """Delete those of the first 1,000 runs that ended before that time."""
    old = "SELECT id FROM (SELECT id, ended FROM runs ORDER BY id LIMIT 1000) WHERE ended < ?"
    for table in ("outputs", "runs"):
        journal.change(f"DELETE FROM {table} WHERE id IN ({old})", (before,))  # noqa: S608 - constants


def _delete_outputs(journal: "Journal", now: float) -> int:
    """Delete those of the first 1,000 outputs that reach back too far; returns how many."""
    (oldest,) = journal.query("SELECT started FROM runs ORDER BY id LIMIT 1")[0]
    return journal.change(
        "DELETE FROM outputs WHERE id IN (SELECT id FROM runs JOIN"
        " (SELECT id FROM outputs ORDER BY id LIMIT 1000) USING (id) WHERE started < ?)",
        (now - (now - oldest) / 4,),
    )
