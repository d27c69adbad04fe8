"""`hcctl report`: how a day, a week, a month was."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import click

from hcrun.api import HealthchecksClient
from hcrun.ctl.look import Sources, open_sources
from hcrun.ctl.options import catalog_option, selection_options
from hcrun.ctl.reporting import html, plain, text
from hcrun.errors import ApiError
from hcrun.files import write
from hcrun.looking import period as periods
from hcrun.looking import runs
from hcrun.looking.period import Period
from hcrun.looking.report import (
    NOTHING,
    Recorded,
    Report,
    days_to_tell,
    plan_for,
    service,
    urgency,
)
from hcrun.looking.subjects import Subject, chosen
from hcrun.remote import Flip

_FORMATS = {
    "text": text.text,
    "markdown": text.markdown,
    "json": plain.to_json,
    "html": html.html,
}
_DAYS = {"html": 90}  # the others tell of the budget's 30 days
_AT_ONCE = 8  # calls to the server


@click.command()
@click.argument("period", metavar="day|week|month|FROM..TO")
@selection_options
@catalog_option
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(_FORMATS)),
    default="text",
    show_default=True,
    help="html is one page that needs nothing else.",
)
@click.option("--output", metavar="FILE", help="Write it there instead of printing it.")
@click.option("--local", is_flag=True, help="Ask no server: this host's journal only.")
def report(
    period: str,
    tags: tuple[str, ...],
    tiers: tuple[str, ...],
    environments: tuple[str, ...],
    catalog: str,
    kind: str,
    output: str | None,
    local: bool,
) -> None:
    """How the last full day, week or month was, or some days, beside those before."""
    now = time.time()
    wanted, before = periods.read(period, periods.day_of(now))
    sources = open_sources(catalog, local)
    made = _report(sources, (tags, tiers, environments), wanted, before, now, _DAYS.get(kind, 30))
    for problem in made.problems:
        click.echo(f"hcctl: {problem}", err=True)
    words = _FORMATS[kind](made)
    if output:
        write(output, words)
    else:
        click.echo(words, nl=False)
    sys.exit(1 if made.problems else 0)


def _report(
    sources: Sources,
    selection: tuple[Sequence[str], ...],
    period: Period,
    before: Period,
    now: float,
    days: int,
) -> Report:
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
    recorded = Recorded.read(store, period, before, days) if store else NOTHING
    names = runs.names(store) if store else set()
    subjects = chosen(sources.subjects(remotes, names), *selection)
    flips = _flips(client, subjects, problems) if client and remotes is not None else {}
    changes = {}
    if store:
        gaps = {s.slug: float(plan.gap) for s in subjects if (plan := plan_for(s))}
        changes = runs.changes(store, days_to_tell(period, before, days).begin, now, gaps)
    services = [
        service(
            subject,
            period,
            before,
            recorded,
            flips.get(subject.slug),
            changes.get(subject.slug, ()),
            (),
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
        recorded_from=recorded.since,
        problems=tuple(problems),
        services=tuple(sorted(services, key=urgency)),
    )


def _flips(
    client: HealthchecksClient, subjects: Iterable[Subject], problems: list[str]
) -> dict[str, list[Flip]]:
    """The changes of each check that the server has; what it does not tell is a problem."""
    asked = [subject for subject in subjects if subject.remote]
    found: dict[str, list[Flip]] = {}

    def ask(subject: Subject) -> tuple[str, list[Flip] | ApiError]:
        assert subject.remote
        try:
            return subject.slug, client.flips(subject.remote.uuid or subject.remote.unique_key)
        except ApiError as error:
            return subject.slug, error

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
        for slug, answer in answers:
            if isinstance(answer, ApiError):
                problems.append(f"{slug}: {answer}")
            else:
                found[slug] = answer
    return found
