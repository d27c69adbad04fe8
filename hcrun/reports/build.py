"""Builds a report from the server, the journal and the catalogue."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING

import click

from hcrun.alerts import drills
from hcrun.api.models import Flip
from hcrun.errors import ApiError
from hcrun.journal import queries
from hcrun.reports import period as periods
from hcrun.reports.checks import MonitoredCheck, Selection
from hcrun.reports.forecast import forecasts
from hcrun.reports.joining import joined
from hcrun.reports.report import Recorded, Report, Scope, check_report
from hcrun.reports.sources import Sources
from hcrun.reports.tenants import by_tenant

if TYPE_CHECKING:
    from hcrun.api.client import HealthchecksClient

_PARALLEL = 8  # calls to the server
_NAMED = 5  # of the checks whose status changes could not be read


def build_report(sources: Sources, selection: Selection, scope: Scope) -> Report:
    """The report. What the server does not answer is among its problems.

    Raises HcrunError if it does not answer and there is no journal, or no check is selected.
    """
    client = sources.client
    problems: list[str] = []
    remotes = None
    if client:
        try:
            remotes = client.list_checks()
        except ApiError as error:
            if not sources.journals:
                raise
            problems.append(f"{error}; the states are from {sources.whose}'s journal")
    names = chain.from_iterable(sources.read(queries.first_starts))
    checks = selection.select(sources.checks(remotes, names))
    if any(selection) and not checks and not problems:
        raise selection.no_match()
    slugs = [check.slug for check in checks]
    if any(selection):
        sources.read(lambda journal: queries.narrow(journal, slugs))
    read = sources.read(lambda journal: Recorded.read(journal, scope, checks))
    recorded = joined(read, Recorded())
    ahead = sources.read(lambda journal: forecasts(journal, scope.now, slugs)) if slugs else ()
    remedies: dict[str, tuple[int, int]] = {}
    for each in sources.read(
        lambda journal: queries.remedies(journal, scope.period.begin, scope.end)
    ):
        remedies |= {slug: each[slug] for slug in slugs if slug in each}
    tenants = sources.read(lambda journal: by_tenant(journal, scope.before, scope.period, slugs))
    problems += sources.problems
    flips: dict[str, list[Flip]] = {}
    if client and remotes is not None:
        flips, flip_problems = _flips(client, [check for check in checks if check.remote])
        problems += flip_problems
    reports = [check_report(check, scope, recorded, flips.get(check.key)) for check in checks]
    return Report(
        scope=scope,
        zone=periods.zone(),
        host=os.uname().nodename,
        server=client.api_url if client and remotes is not None else "",
        no_server=sources.no_server or "the server did not answer",
        journal=sources.journal,
        recorded_from=min(recorded.firsts.values(), default=None),
        problems=tuple(problems),
        checks=tuple(sorted(reports, key=lambda report: report.urgency)),
        forecasts=tuple(chain.from_iterable(ahead)),
        remedies=remedies,
        tenants=tuple(chain.from_iterable(tenants)),
        drills=drills.latest(sources.catalog.drills.values()),
        whose=sources.whose,
    )


def _flips(
    client: "HealthchecksClient", checks: Sequence[MonitoredCheck]
) -> tuple[dict[str, list[Flip]], list[str]]:
    """The status changes of each check, by key, and the problems.

    After several calls without an answer no more are made: each would wait for its timeouts.
    """
    found: dict[str, list[Flip]] = {}
    failed: list[str] = []
    unanswered: list[MonitoredCheck] = []

    def ask(check: MonitoredCheck) -> None:
        assert check.remote
        if len(unanswered) >= _PARALLEL:
            return
        try:
            # The server finds a check by its uuid faster than by its unique key.
            found[check.key] = client.list_flips(check.remote.uuid or check.key)
        except ApiError as error:
            failed.append(f"{check.slug}: {error}")
            if not error.status:
                unanswered.append(check)

    with (
        ThreadPoolExecutor(_PARALLEL) as pool,
        click.progressbar(
            pool.map(ask, checks),
            length=len(checks),
            label="asking the server",
            file=sys.stderr,
            hidden=not sys.stderr.isatty(),
        ) as answers,
    ):
        for _ in answers:
            pass
    problems = sorted(failed)[:_NAMED]
    if more := len(checks) - len(found) - len(problems):
        problems.append(f"{more} more checks: cannot read their status changes")
    return found, problems
