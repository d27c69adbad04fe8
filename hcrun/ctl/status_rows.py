"""The rows of `hcctl status`: for a table, and for programs. Pure."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable

import click

from hcrun.ctl.output import Column
from hcrun.journal.queries import Last
from hcrun.reports.render.as_json import failure_of
from hcrun.reports.render.phrases import percent
from hcrun.reports.status import STATES, CheckStatus
from hcrun.text import counted, printable
from hcrun.units import span

_WORDS = {"grace": "late", "new": "never pinged"}
_COLOURS = {"up": "green", "grace": "yellow", "down": "red", "new": "yellow", "paused": "yellow"}


def columns(now: float, server: bool) -> list[Column[CheckStatus]]:
    """In the order of the table; the numbers say in which order they are left out."""
    return [
        Column("CHECK", lambda row: printable(row.subject.slug)),
        Column(
            "STATUS", lambda row: _state(row, server), colour=lambda row: _COLOURS.get(row.state)
        ),
        Column("LAST PING", lambda row: _moment(row.last_ping, now), leave=9),
        Column("AGO", lambda row: _ago(row.last_ping, now), leave=2, right=True),
        Column("NEXT", lambda row: _next(row.expected, now), leave=5),
        Column("7 D", lambda row: percent(row.success, 1), leave=4, right=True),
        Column("MEAN 1 H", lambda row: _span(row.mean), leave=8, right=True),
        Column("P95 1 H", lambda row: _span(row.p95), leave=7, right=True),
        Column("ERRORS 24 H", lambda row: _count(row.errors), leave=6, right=True),
        Column("LAST FAILURE", lambda row: _failure(row.failure, now), leave=3, minimum=24),
    ]


def _state(row: CheckStatus, server: bool) -> str:
    """`server`: it told what it has, so that what is not there is not known there."""
    word = _WORDS.get(row.state, row.state)
    more = ["not on the server"] if server and not row.subject.remote else []
    more += [f"{row.undelivered} undelivered"] if row.undelivered else []
    if row.started:
        more.append("running")
    if row.state == "paused" and row.maintenance and row.maintenance.until:
        more.append(f"until {date(row.maintenance.until)}")
    return ", ".join([word, *more])


def summary(shown: Iterable[CheckStatus]) -> str:
    count = Counter(row.state for row in shown)
    said = [
        click.style(f"{count[state]} {_WORDS.get(state, state)}", fg=_COLOURS[state])
        for state in STATES
        if count[state]
    ]
    undelivered = sum(row.undelivered for row in shown)
    if undelivered:
        said.append(click.style(f"{counted(undelivered, 'result')} not delivered", fg="yellow"))
    return ", ".join(said) or "no checks"


def to_json(row: CheckStatus, now: float) -> dict[str, object]:
    subject, failure, window = row.subject, row.failure, row.maintenance
    return {
        **subject.plain(),
        "status": row.state,
        "source": "server" if subject.remote else "journal",
        "started": row.started,
        "last_ping": row.last_ping,
        "seconds_since_ping": None if row.last_ping is None else max(0.0, now - row.last_ping),
        "next_expected": row.expected,
        "success_rate_7d": row.success,
        "mean_duration_1h": row.mean,
        "p95_duration_1h": row.p95,
        "error_count_24h": row.errors,
        "undelivered": row.undelivered,
        "maintenance": window and {"until": window.until, "reason": window.reason},
        "last_failure": failure_of(failure),
    }


def clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _moment(at: float | None, now: float) -> str:
    if at is None:
        return "-"
    today = time.localtime(at)[:3] == time.localtime(now)[:3]
    return clock(at) if today else date(at)


def _ago(at: float | None, now: float) -> str:
    return "-" if at is None else _roughly(max(0.0, now - at))


def _next(at: float | None, now: float) -> str:
    if at is None:
        return "-"
    return f"in {_roughly(at - now)}" if at > now else f"overdue {_roughly(now - at)}"


def _roughly(seconds: float) -> str:
    """Whole ones of the largest unit: 6 min."""
    return " ".join(span(math.floor(seconds)).split()[:2])


def _span(seconds: float | None) -> str:
    return "-" if seconds is None else span(seconds)


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _failure(failure: Last | None, now: float) -> str:
    return f"{_moment(failure.started, now)} {printable(failure.words)}" if failure else ""
