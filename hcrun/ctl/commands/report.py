"""`hcctl report`: availability, SLOs and error budgets of a day, week or month."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import click

from hcrun.ctl.connect import open_sources
from hcrun.ctl.options import catalog_option, selection_options, use_project
from hcrun.ctl.table import options
from hcrun.errors import HcrunError
from hcrun.files import write
from hcrun.reports import period as periods
from hcrun.reports.build import build_report
from hcrun.reports.checks import Selection
from hcrun.reports.render import as_json, html, mail, slack, text
from hcrun.reports.report import Report, Scope
from hcrun.settings import Settings

_FORMATS = {
    "text": text.text,
    "markdown": text.markdown,
    "json": as_json.to_json,
    "html": html.html,
}


@dataclass(frozen=True)
class _Options:
    period: str
    tags: tuple[str, ...]
    tiers: tuple[str, ...]
    environments: tuple[str, ...]
    catalog: str
    format_: str
    output: str | None
    mail_to: str | None
    slack: bool
    local: bool
    fleet: bool


@click.command()
@click.argument("period", metavar="day|week|month|FROM..TO")
@selection_options
@catalog_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(_FORMATS)),
    default="text",
    show_default=True,
    help="html is one self-contained page; docs/reports.md has the keys of json.",
)
@click.option("--output", metavar="FILE", help="Write the report to FILE instead of stdout.")
@click.option(
    "--mail",
    "mail_to",
    metavar="[TO]",
    is_flag=False,
    flag_value="",
    help="Mail the report as text and HTML instead.  [default: HEALTHCHECKS_REPORT_EMAIL]",
)
@click.option("--slack", is_flag=True, help="Send a summary to Slack instead.")
@click.option("--local", is_flag=True, help="Use the recorded runs only, not the server.")
@options("fleet")
def report(**given: Any) -> None:
    wanted = _Options(**given)
    now = time.time()
    period, before = periods.read(wanted.period, date.fromtimestamp(now))
    use_project(wanted.catalog, wanted.environments)
    sources = open_sources(wanted.catalog, wanted.local, fleet=wanted.fleet)
    senders = _senders(sources.settings, wanted)
    days = 90 if wanted.format_ == "html" or wanted.mail_to is not None else 30
    selection = Selection(wanted.tags, wanted.tiers, wanted.environments)
    made = build_report(sources, selection, Scope(period, before, now, days))
    for problem in made.problems:
        click.echo(f"hcctl: {problem}", err=True)
    if wanted.output:
        write(wanted.output, _FORMATS[wanted.format_](made))
    elif not senders:
        click.echo(_FORMATS[wanted.format_](made), nl=False)
    failed = bool(made.problems)
    for send, done in senders:
        try:
            send(made)
            click.echo(done)
        except HcrunError as error:
            click.echo(f"hcctl: {error}", err=True)
            failed = True
    sys.exit(1 if failed else 0)


def _senders(settings: Settings, options: _Options) -> list[tuple[Callable[[Report], None], str]]:
    """Functions that send the report, each with the message to print when it has.

    Raises HcrunError if a setting is wrong, before any figure is computed.
    """
    senders: list[tuple[Callable[[Report], None], str]] = []
    if options.mail_to is not None:
        senders.append(mail.sender(settings, options.mail_to))
    if options.slack:
        senders.append((partial(slack.send, slack.webhook(settings)), "sent to Slack"))
    if settings.problems:
        raise HcrunError(settings.problems[0])
    return senders
