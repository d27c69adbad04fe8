"""Server, journal and catalogue -> a report."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import click

from hcrun.api.models import Flip
from hcrun.errors import ApiError
from hcrun.journal import maintenance, queries
from hcrun.journal.database import Database
from hcrun.journal.maintenance import Window
from hcrun.reports import period as periods
from hcrun.reports.checks import MonitoredCheck, chosen, none_left
from hcrun.reports.forecast import forecasts
from hcrun.reports.period import Period
from hcrun.reports.report import (
    NOTHING,
    Recorded,
    Report,
    days_to_tell,
    plan_for,
    service,
    urgency,
)
from hcrun.reports.sources import Sources

if TYPE_CHECKING:
    from hcrun.api.client import HealthchecksClient

_AT_ONCE = 8  # calls to the server
_NAMED = 5  # of the checks that it does not tell of


def build_report(
    sources: Sources,
    selection: tuple[Sequence[str], ...],
    period: Period,
    before: Period,
    now: float,
    days: int,
) -> Report:
    """What the server does not tell is among the report's problems.

    Raises HcrunError when it tells nothing, and there is no journal, or no check is chosen.
    """
    store, client = sources.journal, sources.client
    problems: list[str] = []
    remotes = None
    if client:
        try:
            remotes = client.checks()
        except ApiError as error:
            if store is None:
                raise
            problems.append(f"{error}; the states are those of this host's journal")
    recorded = Recorded.read(store, period, before, days, now) if store else NOTHING
    names = queries.names(store) if store else set()
    subjects = chosen(sources.subjects(remotes, names), *selection)
    if any(selection) and not subjects and not problems:
        raise none_left(selection)
    slugs = [subject.slug for subject in subjects]
    flips = _flips(client, subjects, problems) if client and remotes is not None else {}
    begin = days_to_tell(period, before, days).begin
    changes = {}
    if store:
        gaps = {s.slug: float(plan.gap) for s in subjects if (plan := plan_for(s))}
        changes = queries.changes(store, begin, now, gaps)
    windows = _windows(store, begin, now) if store else {}
    services = [
        service(
            subject,
            period,
            before,
            recorded,
            flips.get(subject.key),
            changes.get(subject.slug, ()),
            windows.get(subject.key or subject.slug, ()),
            now,
            days,
        )
        for subject in subjects
    ]
    return Report(
        period=period,
        before=before,
        zone=periods.zone(),
        made=now,
        host=os.uname().nodename,
        server=client.url if client and remotes is not None else "",
        no_server=sources.no_server or "the server did not answer",
        journal=store.path if store else "",
        recorded_from=min(recorded.firsts.values(), default=None),
        problems=tuple(problems),
        services=tuple(sorted(services, key=urgency)),
        outlook=tuple(forecasts(store, now, slugs)) if store and slugs else (),
    )


def _windows(store: Database, since: float, now: float) -> dict[str, list[Window]]:
    """By key of the check, and by its name for where there is no server to tell the key."""
    found: dict[str, list[Window]] = {}
    for window in maintenance.between(store, since, now, now):
        found.setdefault(window.key, []).append(window)
        found.setdefault(window.name, []).append(window)
    return found


def _flips(
    client: HealthchecksClient, subjects: Iterable[MonitoredCheck], problems: list[str]
) -> dict[str, list[Flip]]:
    """The changes of each check that the server has; what it does not tell is a problem.

    After some calls without an answer no more are made: each would wait for its time-outs.
    """
    asked = [subject for subject in subjects if subject.remote]
    found: dict[str, list[Flip]] = {}
    failed: list[str] = []
    unanswered: list[MonitoredCheck] = []

    def ask(subject: MonitoredCheck) -> tuple[MonitoredCheck, list[Flip] | None]:
        assert subject.remote
        if len(unanswered) >= _AT_ONCE:
            return subject, None
        try:
            # The server finds a check by its uuid faster than by its unique key.
            return subject, client.flips(subject.remote.uuid or subject.key)
        except ApiError as error:
            failed.append(f"{subject.slug}: {error}")
            if not error.status:
                unanswered.append(subject)
            return subject, None

    with (
        ThreadPoolExecutor(_AT_ONCE) as pool,
        click.progressbar(
            pool.map(ask, asked),
            length=len(asked),
            label="asking the server",
            file=sys.stderr,
            hidden=not sys.stderr.isatty(),
        ) as answers,
    ):
        for subject, answer in answers:
            if answer is not None:
                found[subject.key] = answer
    named = sorted(failed)[:_NAMED]
    problems += named
    if more := len(asked) - len(found) - len(named):
        problems.append(f"{more} more checks: the server did not tell of them either")
    return found
