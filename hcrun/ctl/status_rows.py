"""The table and the summary of `hcctl status`. Pure."""

import math
import time
from collections import Counter
from collections.abc import Iterable

import click

from hcrun.ctl.output import Column
from hcrun.journal.queries import LastRun
from hcrun.reports.render.phrases import DASH, length, percent
from hcrun.reports.status import STATES, CheckStatus
from hcrun.text import counted, printable
from hcrun.units import span

WORDS = {"grace": "late", "new": "never pinged"}
_COLOURS = {"up": "green", "grace": "yellow", "down": "red", "new": "yellow", "paused": "yellow"}


def columns(now: float, server: bool) -> list[Column[CheckStatus]]:
    """In the order of the table. On a narrow terminal the highest `leave` is left out first.

    `server`: the server answered, so a check without an entry there is not on the server.
    """

    def errors(row: CheckStatus) -> str:
        return DASH if row.errors is None else str(row.errors)

    return [
        Column("CHECK", lambda row: printable(row.check.slug)),
        Column("STATUS", lambda row: _state(row, server)),
        Column("LAST PING", lambda row: _moment(row.last_ping, now), leave=9),
        Column("AGO", lambda row: _ago(row.last_ping, now), leave=2, right=True),
        Column("NEXT", lambda row: _next(row.expected, now), leave=5),
        Column("7 D", lambda row: percent(row.success, 1), leave=4, right=True),
        Column("MEAN 1 H", lambda row: length(row.mean), leave=8, right=True),
        Column("P95 1 H", lambda row: length(row.p95), leave=7, right=True),
        Column("ERRORS 24 H", errors, leave=6, right=True),
        Column("LAST FAILURE", lambda row: _failure(row.failure, now), leave=3, minimum=24),
    ]


def _state(row: CheckStatus, server: bool) -> str:
    name = row.state
    parts = [WORDS.get(name, name)]
    if server and not row.check.remote:
        parts.append("not on the server")
    if row.undelivered:
        parts.append(f"{row.undelivered} undelivered")
    if row.blocked:
        parts.append("blocked")
    if row.running:
        parts.append("running")
    if name == "paused" and row.maintenance and row.maintenance.until:
        parts.append(f"until {moment(row.maintenance.until)}")
    return click.style(", ".join(parts), fg=_COLOURS.get(name))


def summary(rows: Iterable[CheckStatus]) -> str:
    """How many checks are in each state, and how many results are not delivered."""
    rows = list(rows)
    count = Counter(row.state for row in rows)
    parts = [
        click.style(f"{count[state]} {WORDS.get(state, state)}", fg=_COLOURS[state])
        for state in STATES
        if count[state]
    ]
    undelivered = sum(row.undelivered for row in rows)
    if undelivered:
        parts.append(click.style(f"{counted(undelivered, 'result')} not delivered", fg="yellow"))
    return ", ".join(parts) or "no checks"


def clock(at: float) -> str:
    return time.strftime("%H:%M:%S %Z", time.localtime(at))


def moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(at))


def _moment(at: float | None, now: float) -> str:
    if at is None:
        return DASH
    today = time.localtime(at)[:3] == time.localtime(now)[:3]
    return clock(at) if today else moment(at)


def _ago(at: float | None, now: float) -> str:
    return DASH if at is None else _roughly(max(0.0, now - at))


def _next(at: float | None, now: float) -> str:
    if at is None:
        return DASH
    return f"in {_roughly(at - now)}" if at > now else f"overdue {_roughly(now - at)}"


def _roughly(seconds: float) -> str:
    """The largest unit only: 6 min."""
    return " ".join(span(math.floor(seconds)).split()[:2])


def _failure(failure: LastRun | None, now: float) -> str:
    return f"{_moment(failure.started, now)} {printable(failure.text)}" if failure else ""
