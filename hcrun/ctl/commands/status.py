"""`hcctl status`: the present state of every check."""

import json
import sys
import time

import click

from hcrun.api.models import Check as RemoteCheck
from hcrun.ctl import output
from hcrun.ctl.connect import open_sources
from hcrun.ctl.options import catalog_option, selection_options, use_project
from hcrun.ctl.status_rows import clock, columns, moment, summary
from hcrun.ctl.table import options
from hcrun.ctl.watch import watch
from hcrun.errors import ApiError, UsageError
from hcrun.reports.checks import Selection
from hcrun.reports.forecast import Forecast
from hcrun.reports.joining import joined
from hcrun.reports.render import as_json
from hcrun.reports.sources import Sources
from hcrun.reports.status import OK, WARNING, CheckStatus, Recorded, check_status, urgency
from hcrun.text import printable
from hcrun.units import iso

_INTERVAL = 5.0  # seconds between two refreshes of --watch
_TIMEOUT = 5.0  # seconds for an answer of the server: somebody is waiting


@click.command()
@selection_options
@catalog_option
@click.option("--down", is_flag=True, help="Show only checks that are down.")
@click.option("--local", is_flag=True, help="Use the recorded runs only, not the server.")
@options("fleet")
@click.option("--watch", "watching", is_flag=True, help="Refresh every 5 seconds, until Ctrl-C.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object (docs/reports.md).")
def status(
    catalog: str,
    down: bool,
    local: bool,
    fleet: bool,
    watching: bool,
    json_: bool,
    **selected: tuple[str, ...],
) -> None:
    """Show the state of every check, by tier, worst first.

    States and pings are the server's (one call; HEALTHCHECKS_READ_KEY is enough). The success rate
    of 7 days, the durations of the last hour, the failures of 24 hours and the last failure come
    from the runs recorded on this host. Without a server, all of it does.

    \b
    Examples:
      hcctl status
      hcctl status --tier 1 --environment production --down
      hcctl status --watch
      hcctl status --json | jq -r '.checks[] | select(.status == "down") | .slug'

    \b
    Exit status:
      0  everything is up
      1  a check is late, paused, blocked or was never pinged, a result is
         not delivered, the server did not answer, or no check was selected
      2  a check is down (or the command line is wrong)
    """
    if watching and json_:
        raise UsageError("--watch and --json cannot be combined", hint="leave one of them out")
    use_project(catalog, selected["environments"])
    sources = open_sources(catalog, local, _TIMEOUT, fleet=fleet)
    view = _View(sources, Selection(**selected), down)
    if watching:
        watch(view.screen, _INTERVAL)
        return
    view.refresh()
    if view.problem:
        click.echo(f"hcctl: {view.problem}; {view.fallback}", err=True)
    for problem in view.unread:
        click.echo(f"hcctl: {problem}", err=True)
    if any(view.selection) and not view.rows and not view.problem:
        raise view.selection.no_match()
    if json_:
        click.echo(json.dumps(view.as_json(), indent=2))
    else:
        for line in [*view.table(), *view.footer()]:
            click.echo(line)
    sys.exit(
        max([WARNING if view.problem or view.unread else OK, *(row.level for row in view.rows)])
    )


class _View:
    """The present status, and the last answer of the server."""

    def __init__(self, sources: Sources, selection: Selection, only_down: bool) -> None:
        self.selection = selection
        self._sources = sources
        self._only_down = only_down
        self._remotes: list[RemoteCheck] | None = None
        self._asked = 0.0
        self.problem = ""
        self.now = 0.0
        self.recorded = Recorded()
        self.rows: list[CheckStatus] = []
        self.unread = sources.problems  # journals of other users

    def refresh(self) -> None:
        """Raises ApiError if there is nothing to show."""
        self.now = time.time()
        self.problem = ""
        if self._sources.client:
            try:
                self._remotes = self._sources.client.list_checks()
                self._asked = self.now = time.time()
            except ApiError as error:
                if self._remotes is None and not self._sources.journals:
                    raise
                self.problem = str(error)
        read = self._sources.read(lambda journal: Recorded.read(journal, self.now))
        self.recorded = joined(read, Recorded())
        checks = self._sources.checks(self._remotes, self.recorded.firsts)
        rows = [
            check_status(check, self.recorded, self.now) for check in self.selection.select(checks)
        ]
        self.rows = sorted(rows, key=urgency)

    @property
    def fallback(self) -> str:
        """What is shown if the server does not answer."""
        if self._remotes is None:
            return f"the following is from {self._sources.whose}'s journal only"
        return f"the following is the server's answer of {clock(self._asked)}"

    @property
    def _shown(self) -> list[CheckStatus]:
        return [row for row in self.rows if row.state == "down" or not self._only_down]

    @property
    def _since(self) -> float | None:
        return min(self.recorded.firsts.values(), default=None)

    @property
    def _forecasts(self) -> list[Forecast]:
        names = {row.check.slug for row in self.rows}
        return [each for each in self.recorded.forecasts if each.check in names]

    def screen(self) -> list[str]:
        """The lines for --watch."""
        self.refresh()
        head = self.footer()
        if self.problem:
            problem = f"{self.problem}; {self.fallback}"
            head.append(click.style(problem[: output.width()], fg="red"))
        lines = [*head, "", *self.table()]
        no_color = click.get_current_context().color is False
        return [click.unstyle(line) for line in lines] if no_color else lines

    def table(self) -> list[str]:
        """The checks by tier, with a heading for each tier."""
        shown = self._shown
        if not shown:
            return []
        layout = columns(self.now, self._remotes is not None)
        head, *body = output.lines(layout, shown, output.width())
        lines = [click.style(head, bold=True)]
        has_tiers = any(row.check.tier for row in shown)
        tier = None
        for row, line in zip(shown, body, strict=True):
            if has_tiers and row.check.tier != tier:
                tier = row.check.tier
                lines.append(click.style(self._heading(tier), dim=True))
            lines.append(line)
        return lines

    def _heading(self, tier: str) -> str:
        known = self._sources.catalog.tiers.get(tier)
        heading = f"tier {printable(tier)}" if tier else "no tier"
        return heading + (f", {known.level}" if known and known.level != known.name else "")

    def footer(self) -> list[str]:
        """The summary, the forecasts, and the sources."""
        forecasts = [
            f"forecast: {printable(each.check)}: {printable(each.text)}" for each in self._forecasts
        ]
        return [summary(self.rows), *forecasts, click.style(self._origin(), dim=True)]

    def _origin(self) -> str:
        client, journal = self._sources.client, self._sources.journal
        if client and self._remotes is not None:
            states = f"{client.api_url} at {clock(self._asked)}"
        else:
            states = f"{self._sources.whose}'s journal"
            states += "" if client else f" ({self._sources.no_server})"
        since = self._since
        if not journal:
            runs = f"no data, {self._sources.no_journal}"
        elif since is None:
            runs = f"none yet in {journal}"
        else:
            runs = f"{journal}, since {moment(since)}"
        return f"states: {states}; runs of {self._sources.whose}: {runs}"

    def as_json(self) -> dict[str, object]:
        client, journal = self._sources.client, self._sources.journal
        return {
            "at": iso(self.now),
            "server": client.api_url if client and self._remotes is not None else None,
            "journal": journal or None,
            "journal_since": iso(self._since),
            "problem": self.problem or None,
            "forecast": [each._asdict() for each in self._forecasts],
            "checks": [as_json.check_status(row, self.now) for row in self._shown],
        }
