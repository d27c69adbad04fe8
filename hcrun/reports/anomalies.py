"""Readings and durations that are new for their series, from this host's journal.

Each successful run feeds a detector (see `hcrun.reports.novelty`) of its duration and of each value
of its perfdata. Their states are in the journal. They are brought up to date whenever hcctl shows
or exports them, for a limited time; a long journal takes several calls.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import singledispatch
from typing import Any, NamedTuple

from hcrun.errors import JournalError
from hcrun.formats import perfdata
from hcrun.journal import detectors
from hcrun.journal.database import Database
from hcrun.journal.detectors import Key, Success
from hcrun.journal.foreign import ForeignJournal
from hcrun.reports.novelty import NOTABLE, QUIET, Detector, Novelty
from hcrun.text import counted
from hcrun.units import span, volume

PATIENCE = 0.3  # seconds to bring the detectors up to date
DURATION = "duration"
_DAY = 86400.0
_RAISE = 0.16  # of a series' own threshold with each alert
_HALF_LIFE = 15 * _DAY  # of that
_SHORTEST = 1e-4  # seconds, whose logarithm is taken


class Anomaly(NamedTuple):
    """A series, and its last notable reading."""

    check: str
    subject: str  # "minio usage", or DURATION
    runs: int  # that it was in
    ended: float  # the end of the run with the reading; -inf: there was none yet
    text: str  # "connections 140, never above 95 at this hour in 28 days"
    score: float
    alerted: float  # when the last one ended that also passed the threshold of its series


class _Series:
    """The detector of a series, and its last notable reading."""

    ended = alerted = -math.inf
    text = ""
    score = raised = 0.0

    def __init__(self, saved: Sequence[Any] | None) -> None:
        self.detector = Detector.restored(saved[0]) if saved else Detector()
        if saved:
            self.ended, self.text, self.score, self.alerted, self.raised = saved[1:]

    def saved(self) -> list[object]:
        last = [self.ended, self.text, self.score, self.alerted, self.raised]
        return [self.detector.state(), *last]

    def add(self, at: float, value: float, unit: str, subject: str) -> None:
        is_time = unit == "seconds"
        new = self.detector.add(at, math.log(max(value, _SHORTEST)) if is_time else value)
        if new.score < NOTABLE or 0 <= at - self.ended < QUIET:
            return
        raised = self.raised * 0.5 ** (max(0.0, at - self.alerted) / _HALF_LIFE)
        self.ended, self.score = at, new.score
        self.text = f"{subject} {_text(new, value, unit, at - self.detector.first)}"
        if new.score >= NOTABLE + raised:
            self.alerted, self.raised = at, raised + _RAISE


def anomalies(journal: Database, now: float) -> list[Anomaly]:
    """The series that had a notable reading within a day, latest first. Raises JournalError."""
    found = [each for each in watched(journal, PATIENCE) if now - each.ended < QUIET]
    return sorted(found, key=lambda each: (-each.ended, each.check, each.subject))


@singledispatch
def watched(journal: Database, patience: float) -> list[Anomaly]:
    """Every series, brought up to date for at most that many seconds. Raises JournalError."""
    row, states = detectors.states(journal)
    if not isinstance(journal, ForeignJournal):
        _catch_up(journal, row, states, time.monotonic() + patience)
    names = dict(journal.query("SELECT id, name FROM checks"))
    return [
        Anomaly(names[check], subject, state[0], *last)
        for (check, subject), (state, *last, _) in states.items()
        if check in names
    ]


def _catch_up(journal: Database, row: int, states: dict[Key, Any], until: float) -> None:
    """Feed the runs after `row` to the detectors, and store these."""
    before, series = row, dict[Key, _Series]()
    while time.monotonic() < until and (runs := detectors.successes(journal, row)):
        for run in runs:
            for subject, unit, value in _values(run):
                key = run.check, subject
                if key not in series:
                    series[key] = _Series(states.get(key))
                series[key].add(run.ended, value, unit, subject)
        row = runs[-1].row
    if row != before:
        changed = {key: each.saved() for key, each in series.items()}
        with suppress(JournalError):  # a full disk: what is shown is right all the same
            detectors.save(journal, before, row, changed)
        states |= changed


def _values(run: Success) -> Iterator[tuple[str, str, float]]:
    """Subject, unit and value of all that one run says."""
    if run.duration is not None:
        yield DURATION, "seconds", run.duration
    for value in perfdata.read(run.output) if run.output else ():
        if value.unit != "total":  # a counter only grows
            yield f"{value.probe} {value.label}".lstrip(), value.unit, value.value


def _text(new: Novelty, value: float, unit: str, known: float) -> str:
    """`140, never above 95 at this hour in 28 days`."""
    days = counted(max(1, int(known / _DAY)), "day")
    if new.channel == "spread":
        return f"{shown(value, unit)}, varies more or less than in {days} before"
    inner = math.log(max(value, _SHORTEST)) if unit == "seconds" else value
    is_above = inner > (new.low + new.high) / 2
    end = new.high if is_above else new.low
    limit = shown(math.exp(end) if unit == "seconds" else end, unit)
    what = shown(value, unit) if new.channel == "point" else f"level of {shown(value, unit)}"
    hour = " at this hour" if new.channel == "point" else ""
    return f"{what}, never {'above' if is_above else 'below'} {limit}{hour} in {days}"


def shown(value: float, unit: str) -> str:
    """A value for people; `unit` as of perfdata.PerfValue."""
    if unit == "seconds":
        return span(value)
    if unit == "bytes":
        return volume(value)
    return f"{value * 100:.3g}%" if unit == "ratio" else f"{value:.4g}"
