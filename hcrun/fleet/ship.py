"""Copies the ended runs of a journal, and their readings, to the fleet database.

The cursor is in that database and moves with the rows of a batch: each run arrives exactly once,
also with two shippers, or if one is killed. See docs/fleet.md for the protocol.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from hcrun.formats import perfdata
from hcrun.journal import ends, maintenance
from hcrun.journal.ends import Ended
from hcrun.journal.journal import Journal
from hcrun.journal.run import user_name
from hcrun.results import BAD, GOOD, LOG, RESULTS, SKIP, STATES
from hcrun.text import printable

if TYPE_CHECKING:
    from hcrun.catalog import Check
    from hcrun.fleet.connection import Connection

CODES = dict(zip(RESULTS, "srfhblgk", strict=True))  # letters of results, see schema.sql
# Of which kinds a run may be the latest: e ended, g good, b bad, d decides the state; a is any.
_KINDS = dict.fromkeys(BAD, "aeb") | dict.fromkeys(GOOD, "aeg") | {LOG: "ae", SKIP: "a"}
_KINDS |= {result: f"{_KINDS[result]}d" for result in STATES}
_READINGS = 100  # of one run
_WINDOWS = 35 * 86400.0  # seconds that maintenance is reported after its end
_INTEGER = 2**31 - 1
_LARGEST = 1e11  # seconds: in the year 5138


class Shipped(NamedTuple):
    """What one call has added."""

    runs: int
    readings: int


def ship(
    journal: Journal,
    connection: "Connection",
    checks: Callable[[], Mapping[str, "Check"]],
    now: float,
    seen: Callable[[int], object] = lambda _: None,
) -> Shipped:
    """Ship what is new; `seen` is called with the number of runs of each batch.

    `checks` returns those of the catalogue, by slug. Raises what it raises, JournalError and
    psycopg.Error.
    """
    own = ends.prepare(journal).journal
    clock = datetime.fromtimestamp(now, UTC)
    row = connection.execute(
        "SELECT * FROM hcrun.hello_1(%s, %s, %s, %s)",
        (own, os.uname().nodename, user_name(), clock),
    ).fetchone()
    assert row
    cursor, last_run = row
    if ends.is_rolled_back(journal, cursor, str(last_run or "")):
        ends.restart(journal, cursor, _missing(journal, connection, own))
    windows = _windows(journal, now)
    runs = readings = 0
    while True:
        found, becomes = ends.after(journal, cursor)
        if becomes == cursor and not windows:
            break
        batch = _batch(found, checks() if found else {}, windows)
        text = json.dumps(batch, separators=(",", ":"))
        (taken,) = _only(
            connection, "SELECT hcrun.take_1(%s, %s, %s, %s::jsonb)", own, cursor, becomes, text
        )
        if taken == becomes and becomes != cursor:
            runs, readings = runs + len(found), readings + batch["number"]
            seen(len(found))
        cursor, windows = taken, []
    ends.keep(journal, cursor, now)
    return Shipped(runs, readings)


def _missing(journal: Journal, connection: "Connection", own: str) -> list[str]:
    """The ids of the runs that the fleet database lacks, from the latest ones back."""
    found: list[str] = []
    for page in ends.pages(journal):
        columns = [id_ for id_, _ in page], [ended for _, ended in page]
        query = "SELECT hcrun.missing_1(%s, %s::uuid[], %s::float8[])"
        (missing,) = _only(connection, query, own, *columns)
        found[:0] = [str(run_id) for run_id in missing]
        if not missing:
            break
    return found


def _only(connection: "Connection", query: str, *values: object) -> Any:
    return connection.execute(query.encode(), values).fetchone()


def _windows(journal: Journal, now: float) -> list[dict[str, Any]]:
    """What is known of maintenance; damaged records are left out."""
    found = maintenance.between(journal, now - _WINDOWS, now + _WINDOWS, now)
    return [
        {
            **vars(each),
            "check_key": printable(each.key),
            "name": printable(each.name),
            "reason": printable(each.reason),
            "user": printable(each.user),
        }
        for each in found[-1000:]
        if {type(each.key), type(each.name), type(each.reason), type(each.user)} == {str}
        and {type(at) for at in (each.began, each.until, each.ended)} <= {float, int, type(None)}
        and max(each.began, each.until or 0.0, each.ended or 0.0) < _LARGEST
    ]


def _batch(
    found: Sequence[Ended], checks: Mapping[str, "Check"], windows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The runs as take_1 wants them; its references are positions from 1 on."""
    names, texts = _Positions(), _Positions()
    series: dict[tuple[int, str, str, str], dict[str, Any]] = {}
    runs: list[Sequence[Any]] = []
    readings: list[Sequence[Any]] = []
    starts: dict[tuple[int, str], list[tuple[float, int]]] = {}  # by check and kind, see `last`
    for number, each in enumerate(found, 1):
        run = each.run
        check = names.of((printable(run.check), each.identity))
        ended = run.started if run.ended is None else run.ended
        for kind in _KINDS[run.result]:
            starts.setdefault((check, kind), []).append((run.started, number))
        used = run.cpu_user + run.cpu_system, max(0, min(run.memory // 1000, _INTEGER))
        words = texts.of(printable(run.why)), texts.of(printable(run.command))
        end = max(-1, min(run.status, 32767)), CODES[run.result]
        runs.append((check, run.run_id, run.started, ended, run.duration, *used, *words, *end))
        for value in perfdata.read(run.excerpt)[:_READINGS]:
            key = check, printable(value.probe), printable(value.label), value.unit
            one = series.setdefault(key, {"number": len(series) + 1})
            one |= {"w": value.warning, "m": value.maximum}
            readings.append((one["number"], number, value.value))
    settings = {
        number: _settings(
            checks.get(name), [runs[n - 1][3] for _, n in starts.get((number, "d"), ())]
        )
        for number, (name, _) in enumerate(names, 1)
    }
    return {
        "checks": [
            {"name": name, "identity": identity, **settings[number]}
            | {"first": min(starts.get((number, "a"), [(0.0, None)]))[1]}
            for number, (name, identity) in enumerate(names, 1)
        ],
        "last": _columns(
            ("k", "n"), [(kind, max(own)[1]) for (_, kind), own in starts.items() if kind != "a"]
        ),
        "changes": _columns(("n", "b"), list(_changes(starts, runs, settings))),
        "last_run": found[-1].run.run_id if found else None,
        "texts": list(texts),
        "runs": _columns(("c", "i", "s", "e", "d", "cpu", "m", "w", "x", "q", "r"), runs),
        "again": [each.run.run_id for each in found if each.again],
        "series": [{**dict(zip("cplu", key, strict=True)), **one} for key, one in series.items()],
        "readings": _columns(("s", "r", "v"), readings),
        "number": len(readings),
        "windows": windows,
    }


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, str]:
    """The columns of the rows, as the text of arrays. No value needs a quotation mark."""
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return {
        name: "{" + ",".join(["NULL" if each is None else str(each) for each in column]) + "}"
        for name, column in zip(names, columns, strict=True)
    }


def _changes(
    starts: Mapping[tuple[int, str], Sequence[tuple[float, int]]],
    runs: Sequence[Sequence[Any]],
    settings: Mapping[int, Mapping[str, Any]],
) -> Iterator[tuple[int, int | None]]:
    """Runs that differ from the one before them, and that one; None: it is not in this batch."""
    for (check, kind), own in starts.items():
        if kind == "d":
            before, was = None, (0.0, "")
            gap = settings[check].get("gap", math.inf)
            for started, number in sorted(own):
                result = runs[number - 1][-1]
                if before is None or result != was[1] or started - was[0] > gap:
                    yield number, before
                before, was = number, (started, result)


def _settings(check: "Check | None", ends: Sequence[float]) -> dict[str, Any]:
    """What the catalogue says of a check; `due` is when the next run is expected."""
    if not check:
        return {}
    from hcrun.reports.lateness import Timing  # slow to import, and often there is nothing to ship

    timing = Timing.of_entry(check)
    due = timing.due(ends[-1]) if ends else None
    known = {"title": check.name, "environment": check.environment, "tier": check.tier}
    return {**known, "gap": timing.gap, "grace": timing.grace, "due": due}


class _Positions(dict[Any, int]):
    """Values, each with its position."""

    def of(self, value: Any) -> int:
        return self.setdefault(value, len(self) + 1)
