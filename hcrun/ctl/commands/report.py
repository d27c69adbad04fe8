"""`hcctl report`: how a day, a week, a month was."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click

from hcrun.ctl.connect import open_sources
from hcrun.ctl.options import catalog_option, selection_options
from hcrun.errors import HcrunError
from hcrun.files import write
from hcrun.reports import period as periods
from hcrun.reports.build import build_report
from hcrun.reports.render import as_json, html, mail, slack, text
from hcrun.reports.report import Report
from hcrun.settings import Settings

_FORMATS = {
    "text": text.text,
    "markdown": text.markdown,
    "json": as_json.to_json,
    "html": html.html,
}


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
@click.option(
    "--mail",
    "to",
    metavar="[TO]",
    is_flag=False,
    flag_value="",
    help="Mail it, as text and page, instead.  [default: HEALTHCHECKS_REPORT_EMAIL]",
)
@click.option("--slack", "to_slack", is_flag=True, help="Send what matters of it to Slack instead.")
@click.option("--local", is_flag=True, help="Ask no server: this host's journal only.")
def report(
    period: str,
    tags: tuple[str, ...],
    tiers: tuple[str, ...],
    environments: tuple[str, ...],
    catalog: str,
    kind: str,
    output: str | None,
    to: str | None,
    to_slack: bool,
    local: bool,
) -> None:
    """How the last full day, week or month was, or some days, beside those before.

    Of each check: availability against what it promises, down time, outages, the error budget of
    30 days and how fast it burns, runs and durations; then what failed most, flaps, came late or
    never ran. Days are those of this host's time zone (TZ), a week begins on Monday.

    \b
    Examples:
      hcctl report week
      hcctl report 2026-11-01..2026-11-15 --tier 1 --format markdown
      hcctl report month --format html --output /srv/www/checks.html
      hcctl report week --mail ops@example.com --slack

    \b
    Where it is from:
      The server's changes of state, one call a check (HEALTHCHECKS_READ_KEY is enough); where it
      has none, the runs in this host's journal and their schedule. Before the first change
      nothing is known; what is not known is left out of all ratios, and told. A pause looks like
      an outage to the server: what `hcctl pause` recorded on this host is told apart as planned
      maintenance. Runs, durations and failures are of the runs on this host.

    \b
    --mail needs EMAIL_HOST and DEFAULT_FROM_EMAIL, and knows EMAIL_PORT, EMAIL_HOST_USER,
    EMAIL_HOST_PASSWORD, EMAIL_USE_TLS (true) and EMAIL_USE_SSL (false), as the server does.
    --slack needs SLACK_WEBHOOK_URL. Secrets may be given as NAME_FILE.

    \b
    --format json has period, before (first, last, begin, end), zone, made, host, server,
    journal, recorded_from, problems, notes, outlook (as hcctl status) and checks; each has
      slug, name, tier, environment, tags, slo (kind, percent)
      source                 server, journal: where its states are from; known_from: since when
      now, before            availability, success_ratio: 0 to 1; up_, down_, maintenance_,
                             unknown_seconds; outages; longest_outage; runs by result;
                             p50, p95: seconds; now also promise_kept, burn_rate
      budget                 of 30 days: unit, total, allowed, bad, left (1: all of it)
      flapping, never_ran, late, maintenance, last_failure (as hcctl status)
    Times are seconds since the epoch; null is what is not known.

    Exit status 1: the server did not tell all of it (the report says what), there is no check
    like that, or it could not be written or sent.
    """
    now = time.time()
    wanted, before = periods.read(period, periods.day_of(now))
    sources = open_sources(catalog, local)
    send = _senders(sources.settings, to, to_slack)
    days = 90 if kind == "html" or to is not None else 30
    made = build_report(sources, (tags, tiers, environments), wanted, before, now, days)
    for problem in made.problems:
        click.echo(f"hcctl: {problem}", err=True)
    if output:
        write(output, _FORMATS[kind](made))
    elif not send:
        click.echo(_FORMATS[kind](made), nl=False)
    failed = bool(made.problems)
    for one in send:
        try:
            click.echo(one(made))
        except HcrunError as error:
            click.echo(f"hcctl: {error}", err=True)
            failed = True
    sys.exit(1 if failed else 0)


def _senders(settings: Settings, to: str | None, to_slack: bool) -> list[Callable[[Report], str]]:
    """Each sends it and says so; raises HcrunError for wrong settings before anything is made."""
    send: list[Callable[[Report], str]] = []
    if to is not None:
        server, wanted = mail.mail_server(settings), mail.recipients(to, settings)

        def by_mail(made: Report) -> str:
            mail.send(server, mail.message(made, server.sender, wanted))
            return f"sent to {', '.join(wanted)}"

        send.append(by_mail)
    if to_slack:
        url = slack.webhook(settings)

        def by_slack(made: Report) -> str:
            slack.send(url, slack.text(made))
            return "sent to Slack"

        send.append(by_slack)
    if settings.problems:
        raise HcrunError(settings.problems[0])
    return send
