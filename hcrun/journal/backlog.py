"""Results that could not be delivered at the end of their runs, and their delivery later.

The wrapper, the integrations and `hcctl flush` all deliver with `deliver_pending`.
"""

import time
from _collections_abc import Callable, Iterator

from hcrun.errors import ApiError, UsageError
from hcrun.journal.database import FIRST_RUN
from hcrun.journal.delivery import ASKING, ONE_TRY, delivery_state, server_of, silent_place
from hcrun.journal.journal import UNDELIVERED, Journal
from hcrun.journal.message import compose
from hcrun.journal.run import COLUMNS, TABLES, Run, fault, read
from hcrun.ping import client
from hcrun.ping.http import Reply
from hcrun.ping.target import Target, from_url, resolve
from hcrun.results import DAMAGED, PENDING
from hcrun.settings import Settings
from hcrun.text import checksum

_PATIENCE = 5.0  # seconds for an answer of the Management API
_LEAST = 1.0  # seconds for a ping
# Another result of the same check has ended since: it is the check's state, and this one is not.
# Runs that overlap are ordered by their ends, others by the order in which they were recorded: the
# clock may have been set back between them. Each part reads few rows, however many there are.
_SUPERSEDED = """(EXISTS (
    SELECT 1 FROM checks nc JOIN totals t ON t.check_id = nc.id JOIN runs n ON n.id = t.newest
    WHERE nc.identity = c.identity AND t.result IN ('success', 'fail') AND n.id > r.id
    AND (r.duration IS NULL OR n.ended < r.started OR n.started > r.ended OR n.ended >= r.ended))
OR r.duration IS NOT NULL AND EXISTS (
    SELECT 1 FROM checks nc JOIN runs n ON n.check_id = nc.id
    WHERE nc.identity = c.identity AND n.ended > r.ended AND +n.started <= r.ended
    AND n.result IN ('success', 'fail')))"""


class Undelivered:
    """A check with results that are still to be delivered."""

    def __init__(self, number: int, name: str, identity: int, server: str, address: str) -> None:
        self.number = number  # in the table of checks
        self.name = name
        self.identity = identity  # the checksum of its ping URL
        self.server = server  # scheme and host of that
        # What the command line gave, and the ping URL; both are "" if the settings have it.
        self.given, _, self.url = address.partition(" ")
        self.only_named = identity == checksum(name)  # the Management API has its ping URL


class Pending:
    """A result that is still to be delivered."""

    def __init__(self, row: int, run: Run, superseded: bool) -> None:
        self.row = row
        self.run = run
        self.superseded = superseded  # by a later result of the same check
        self.logged = False  # sent to the check's log


def deliver_pending(
    journal: Journal,
    settings: Settings,
    seconds: float,
    leaving: Callable[[], bool] = lambda: False,
    seen: Callable[[Pending, Target, Reply], None] = lambda _pending, _target, _reply: None,
    server: str = "",
) -> bool:
    """Send results that could not be delivered earlier, for so many seconds, oldest first.

    One that still shows the state of its check is sent as a normal ping, see `hcrun.reports.late`.
    `leaving` is asked before each one, `seen` is called after it. With `server` (see `server_of`)
    only its results are sent: it is known to answer. A server in trouble is not asked again, nor is
    an address that refuses and is no Healthchecks server.

    Returns False if another process is already delivering. Raises JournalError.
    """
    from hcrun.reports.late import Judge  # imports upwards, see docs/architecture.md

    silent: set[str] = set()
    judge = Judge(settings, max(ASKING, min(seconds, _PATIENCE)))
    until = time.monotonic() + seconds
    if not journal.lock_delivery(0):
        return False
    try:
        if not server:
            journal.damaged += journal.change(
                "UPDATE runs SET delivery = ? WHERE delivery = 'pending'"
                " AND check_id NOT IN (SELECT id FROM checks)",
                (DAMAGED,),
            )
        for check in undelivered(journal, server):
            target = meant_target(check, settings, judge.uuid_of)
            if not target or silent & {target.url, check.server}:
                continue
            for pending in pending_results(journal, check):
                if time.monotonic() >= until or leaving():
                    return True
                try:
                    action, note = judge.ping(pending.run, target, pending.superseded)
                except ApiError as error:
                    seen(pending, target, Reply(0, f"the Management API does not answer: {error}"))
                    break
                text = compose(pending.run, journal.body_limit(server_of(target.url)), note)
                deadline = max(until, time.monotonic() + _LEAST)  # the question took its time
                reply = client.send(target.url + action, text, ONE_TRY, deadline)
                pending.logged = action == "/log"
                seen(pending, target, reply)
                state = delivery_state(reply)
                if state == PENDING:
                    silent.add(silent_place(target.url, reply))
                    break
                journal.mark(pending.row, state, check.identity)
    finally:
        journal.unlock_delivery()
    return True


def meant_target(
    check: Undelivered, settings: Settings, uuid_of: Callable[[str], str] = lambda _slug: ""
) -> Target | None:
    """Where the results of a check were to go; None if the settings have changed since.

    `uuid_of` asks the server: an application may have only a name of the check.
    """
    try:
        target = from_url(check.url) if check.url else resolve(check.name, settings)
    except UsageError:  # the file is damaged
        return None
    target.given = check.given
    if not target.url and check.only_named:
        uuid = uuid_of(check.name)
        return resolve(uuid, settings) if uuid else None
    return target if target.url and checksum(target.url) == check.identity else None


def undelivered(journal: Journal, server: str = "") -> list[Undelivered]:
    """The checks with results to be delivered (to `server`), by their oldest results."""
    rows = journal.query(
        "SELECT id, name, identity, server, (SELECT min(ended) FROM runs"  # noqa: S608 - constants
        f" WHERE check_id = c.id AND {UNDELIVERED}) AS oldest FROM checks c"
        " WHERE ? IN ('', server) AND oldest IS NOT NULL ORDER BY oldest, id",
        (server,),
    )
    return [
        Undelivered(row, name, identity, server, journal.read_address(identity))
        for row, name, identity, server, _ in rows
    ]


def pending_results(journal: Journal, check: Undelivered) -> Iterator[Pending]:
    """The results of the check to be delivered, oldest first, each read when it is its turn.

    A run that its own hcrun, or this process, still holds is left out: its result is being
    delivered. A damaged record must not hold up the others: it is marked and left out.
    """
    last = (-1e999, 0)
    while following := journal.query(
        f"SELECT ended, id FROM runs WHERE check_id = ? AND {UNDELIVERED}"  # noqa: S608 - constants
        " AND (ended, id) > (?, ?) ORDER BY ended, id LIMIT 1",
        (check.number, *last),
    ):
        last = following[0]
        row = last[1]
        if row in journal.own_rows or not journal.try_lock(FIRST_RUN + row):
            continue
        try:
            rows = journal.query(
                f"SELECT {COLUMNS}, {_SUPERSEDED} {TABLES} WHERE r.id = ? AND delivery = 'pending'",
                (row,),
            )
            for *columns, superseded in rows:
                if fault(columns) or not columns[10]:
                    journal.damaged += 1
                    journal.change("UPDATE runs SET delivery = ? WHERE id = ?", (DAMAGED, row))
                else:
                    yield Pending(row, read(columns), bool(superseded))
        finally:
            journal.unlock(FIRST_RUN + row)
