"""The fleet database in the place of a journal: the same questions, answered for all hosts.

With --fleet, a `Fleet` is the only journal. The functions of hcrun.journal that are registered here
answer from the sums by hour and by day, and from runs where single ones count. They raise
JournalError.
"""

import math
import re
import time as clock
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from hcrun.errors import HcrunError, JournalError
from hcrun.excerpt import Excerpt
from hcrun.files import table
from hcrun.fleet import admin
from hcrun.fleet.connection import open_connection, place, problems
from hcrun.fleet.ship import CODES
from hcrun.fleet.sketch import Sketch
from hcrun.journal import maintenance, queries, samples
from hcrun.journal.foreign import ForeignJournal
from hcrun.journal.maintenance import Window
from hcrun.journal.queries import Change, LastRun, RunCounts
from hcrun.journal.run import Run
from hcrun.journal.samples import Sample
from hcrun.reports import anomalies
from hcrun.reports.anomalies import Anomaly
from hcrun.results import GOOD, REMEDY, RESULTS, SKIP
from hcrun.settings import Settings

_SQL = table(__file__, "reader.toml")
_NAMES = {code: result for result, code in CODES.items()}
_KINDS = {queries.ENDED: "e", queries.STARTED: "e", queries.SUCCEEDED: "g", queries.DECIDES: "d"}
_SAMPLED = 50  # checks, whose runs are read one by one
_EXACT = 7200.0  # seconds: durations of a shorter time are those of single runs
_SUFFIXES = {"seconds": "s", "bytes": "B", "ratio": "%", "total": "c", "": ""}


class Fleet(ForeignJournal):
    """The runs of all hosts. It is only read."""

    def __init__(self, settings: Settings) -> None:
        self.set_aside, self.damaged = "", 0
        self._settings = settings
        self._server = open_connection(settings, "hcctl --fleet")
        self.path = place(self._server)
        with problems():
            self._meta = admin.meta(self._server)
        self._zone = ZoneInfo(self._meta["zone"])
        self._rows: dict[tuple[int, datetime], int] = {}  # of runs, by their check and end
        self.only: list[str] | None = None  # checks; None: all

    def ask(self, name: str, **values: Any) -> list[Any]:
        """The rows of a query of reader.toml."""
        values = {"only": self.only, **values}
        try:
            with problems():
                if self._server.closed:  # the server was restarted while somebody watches
                    self._server = open_connection(self._settings, "hcctl --fleet")
                return self._server.execute(_SQL[name], values).fetchall()
        except HcrunError as error:
            raise JournalError(error.what, where=error.where, hint=error.hint) from None

    def query(self, sql: str, values: tuple[Any, ...] = ()) -> NoReturn:  # noqa: ARG002 - of the base class
        raise JournalError("the fleet database does not know this", where=self.path)

    def row(self, check: int, ended: datetime) -> int:
        return self._rows.setdefault((check, ended), len(self._rows))

    def raw_since(self, now: float) -> float:
        return now - float(self._meta["raw_days"]) * 86400.0

    def parts(self, since: float, until: float) -> tuple[float, float, float, float]:
        """From when to when the sums by hour count, and from when to when those by day."""
        first, end = (datetime.fromtimestamp(at, self._zone) for at in (since, until))
        if end.time() != time() and until < clock.time():
            return since, until, until, until
        day = datetime.combine(first.date(), time(), self._zone)
        if first != day:
            day = datetime.combine(first.date() + timedelta(days=1), time(), self._zone)
        middle = min(day.timestamp(), until)
        return since, middle, middle, until

    def readings(self, rows: Sequence[int]) -> dict[int, Excerpt]:
        """What probes printed in these runs, as perfdata."""
        known = list(self._rows)
        keys = [known[row] for row in rows]
        items: dict[int, list[str]] = {}
        found = self.ask("readings", checks=[key[0] for key in keys], ends=[key[1] for key in keys])
        for at, probe, label, unit, value, *limits in found:
            name = f"{probe}::{label}".removeprefix("::").replace("'", "''")
            scale = 100 if unit == "ratio" else 1
            warning, largest = ("" if x is None else f"{x * scale!r}" for x in limits)
            text = f"'{name}'={value * scale!r}{_SUFFIXES[unit]};{warning};;;{largest}"
            items.setdefault(rows[at], []).append(text)
        return {row: Excerpt(f"OK | {' '.join(texts)}\n") for row, texts in items.items()}

    def runs(
        self, check: str = "", failed: bool = False, run_id: str = "", maximum: int = -1
    ) -> list[tuple[Run, str]]:
        digits = run_id.replace("-", "")
        if not re.fullmatch("[0-9a-f]{0,32}", digits):
            return []
        known = {"check": check, "failed": failed, "maximum": maximum if maximum > 0 else None}
        known |= {"low": f"{digits:0<32}", "high": f"{digits:f<32}"}
        rows: list[Any] = []
        for seconds in (3600, 86400, 1e9):  # the latest ones are in few tables
            rows = self.ask("runs", **known, seconds=seconds)
            if 0 < maximum <= len(rows):
                break
        return [(_run(*row), "") for row in rows]


def _run(
    check: str,
    run_id: str,
    started: datetime,
    ended: datetime,
    duration: float | None,
    status: int,
    cpu: float,
    memory: int,
    code: str,
    *texts: str,
) -> Run:
    run = Run(run_id, started.timestamp())
    run.check, run.ended, run.duration, run.status = check, ended.timestamp(), duration, status
    run.cpu_user, run.memory, run.result = cpu, memory * 1000, _NAMES[code]
    run.why, run.command, run.user, run.host = texts
    return run


def _last(fleet: Fleet, rows: Iterable[Sequence[Any]]) -> dict[str, LastRun]:
    return {
        name: LastRun(
            *(started.timestamp(), ended.timestamp(), seconds, _NAMES[code], why, status),
            row=fleet.row(check, ended),
        )
        for name, started, ended, seconds, code, why, status, check in rows
    }


@queries.narrow.register
def _(fleet: Fleet, names: Sequence[str]) -> None:
    fleet.only = list(names)


@queries.run_counts.register
def _(
    fleet: Fleet,
    since: float,
    until: float,
    *,
    timed: bool = True,  # noqa: ARG001 - as of a journal
) -> dict[str, RunCounts]:
    hours, hours_end, days, end = fleet.parts(since, until)
    rows = fleet.ask("counts", since=hours, middle=hours_end, days=days, until=end)
    return {
        name: RunCounts(+Counter(dict(zip(RESULTS, counts, strict=True))), seconds, known)
        for name, seconds, known, *counts in rows
    }


@queries.durations.register
def _(
    fleet: Fleet, since: float, until: float, condition: str = queries.ENDED
) -> Mapping[str, Sequence[float]]:
    only_good = condition == queries.SUCCEEDED
    if only_good or min(until, clock.time()) - since < _EXACT:
        wanted = GOOD if only_good else [each for each in RESULTS if each != SKIP]
        results = [CODES[each] for each in wanted]
        return dict(fleet.ask("durations", since=since, until=until, results=results))
    rows = fleet.ask("sketches", since=since, until=until)
    return {name: Sketch(buckets, counts) for name, buckets, counts in rows}


@queries.newest.register
def _(fleet: Fleet, condition: str, now: float, values: Sequence[float] = ()) -> dict[str, LastRun]:  # noqa: ARG001
    return _last(fleet, fleet.ask("newest", kind=_KINDS[condition]))


@queries.last_failures.register
def _(
    fleet: Fleet,
    now: float,  # noqa: ARG001 - as of a journal
    since: float = -math.inf,
    until: float = math.inf,
) -> dict[str, LastRun]:
    if since == -math.inf:
        return _last(fleet, fleet.ask("newest", kind="b"))
    return _last(fleet, fleet.ask("failures", since=since, until=until))


@queries.changes.register
def _(
    fleet: Fleet, since: float, until: float, gaps: Mapping[str, float]
) -> dict[str, list[Change]]:
    found: dict[str, list[Change]] = {}
    names = list(gaps)
    for name, before, started, ended, good in fleet.ask(
        "changes", names=names, since=since, until=until
    ):
        earlier = before.timestamp() if before else None
        change = Change(earlier, started.timestamp(), ended.timestamp(), good)
        found.setdefault(name, []).append(change)
    for name, good, begun, over in fleet.ask("before", since=since, until=until, names=names):
        own = found.setdefault(name, [])
        first = Change(None, begun.timestamp(), over.timestamp(), good)
        if own and own[0].started <= first.started:
            own[0] = Change(None, own[0].started, own[0].ended, own[0].good)
        else:
            own.insert(0, first)
    return found


@queries.remedies.register
def _(fleet: Fleet, since: float, until: float) -> dict[str, tuple[int, int]]:
    rows = fleet.ask("remedies", text=REMEDY, since=since, until=until)
    return {name: (ran, helped) for name, ran, helped in rows}


@queries.pending.register
def _(fleet: Fleet) -> dict[str, int]:  # noqa: ARG001 - each host knows its own
    return {}


@queries.first_starts.register
def _(fleet: Fleet) -> dict[str, float]:
    return dict(fleet.ask("firsts"))


@maintenance.in_progress.register
def _(fleet: Fleet) -> list[Window]:
    rows = fleet.ask("windows", open=True, now=0.0, since=0.0, until=0.0)
    return [Window(*row) for row in rows]


@maintenance.between.register
def _(fleet: Fleet, since: float, until: float, now: float) -> list[Window]:
    rows = fleet.ask("windows", open=False, now=now, since=since, until=until)
    return [Window(*row) for row in rows]


@samples.outputs_since.register
def _(fleet: Fleet, now: float) -> float:
    return max(now - samples.PERIOD, fleet.raw_since(now))


@samples.sample.register
def _(
    fleet: Fleet, since: float, now: float, checks: Sequence[str] = ()
) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    step = (now - since) / samples.SLOTS
    if not checks or len(checks) > _SAMPLED or step <= 0:
        return found
    limits = {"step": step, "slots": samples.SLOTS, "latest": samples.LATEST}
    for name, check, ended, seconds, code in fleet.ask(
        "sample", since=since, now=now, names=list(checks), **limits
    ):
        row = fleet.row(check, ended)
        run = Sample(row, ended.timestamp(), seconds, _NAMES[code] in GOOD)
        found.setdefault(name, []).append(run)
    return found


@samples.outputs.register
def _(fleet: Fleet, rows: Iterable[int]) -> dict[int, Excerpt]:
    return fleet.readings(list(rows))


@samples.last_outputs.register
def _(fleet: Fleet, since: float, until: float) -> dict[str, Excerpt]:  # noqa: ARG001
    return {name: Excerpt("tenant/") for (name,) in fleet.ask("with_tenants", since=since)}


@samples.totals.register
def _(fleet: Fleet) -> dict[tuple[str, ...], float | None]:
    return {
        (name, result): count
        for name, *counts in fleet.ask("totals")
        for result, count in zip(RESULTS, counts, strict=True)
        if count
    }


@samples.began.register
def _(fleet: Fleet, now: float) -> float:
    first = fleet.ask("began")[0][0]
    return now if first is None else float(first)


@samples.in_progress.register
def _(fleet: Fleet) -> dict[tuple[str, ...], float | None]:  # noqa: ARG001 - only ended runs are shipped
    return {}


@anomalies.watched.register
def _(fleet: Fleet, patience: float) -> list[Anomaly]:  # noqa: ARG001 - each host has its detectors
    return []
