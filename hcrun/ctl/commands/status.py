"""`hcctl status`: how every check is now."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

import click

from hcrun.api.models import RemoteCheck
from hcrun.ctl import output
from hcrun.ctl.connect import open_sources
from hcrun.ctl.options import catalog_option, selection_options
from hcrun.ctl.status_rows import clock, columns, date, summary, to_json
from hcrun.ctl.watch import watch
from hcrun.errors import ApiError, UsageError
from hcrun.reports.checks import chosen, none_left
from hcrun.reports.forecast import Forecast
from hcrun.reports.render.as_json import outlook_of
from hcrun.reports.sources import Sources
from hcrun.reports.status import NOTHING, CheckStatus, Recorded, rows, worst
from hcrun.text import printable

_EVERY = 5.0  # seconds between two looks
_PATIENCE = 5.0  # seconds for an answer of the server: somebody waits


@click.command()
@selection_options
@catalog_option
@click.option("--down", is_flag=True, help="Show only what is down.")
@click.option("--local", is_flag=True, help="Ask no server: this host's journal only.")
@click.option("--watch", "watching", is_flag=True, help="Look again every 5 seconds, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(
    tags: tuple[str, ...],
    tiers: tuple[str, ...],
    environments: tuple[str, ...],
    catalog: str,
    down: bool,
    local: bool,
    watching: bool,
    as_json: bool,
) -> None:
    """How every check is now, by tier, worst first.

    State and pings are the server's (one call; HEALTHCHECKS_READ_KEY is enough). Success of the
    runs of 7 days, durations of the last hour, failures of 24 hours and the last one are of the
    runs on this host. Without a server all of it is this host's, and says so.

    \b
    Examples:
      hcctl status
      hcctl status --tier 1 --environment production --down
      hcctl status --watch
      hcctl status --json | jq -r '.checks[] | select(.status == "down") | .slug'

    \b
    Exit status:
      0  everything is up
      1  something is late, was never pinged, is paused or not delivered, or the server
         did not answer, or there is no check like that
      2  something is down (or the command line is wrong)

    \b
    --json has at, server, journal, journal_since, problem (null: none), outlook (check, subject,
    text, seconds_left until it is full, sigmas above the usual) and checks; each has
      slug, name, tier, environment, tags
      status                 up, grace (late), down, new (never pinged), paused
      source                 server, journal: where the status is from
      started                whether a run is going
      last_ping, next_expected      seconds since the epoch
      seconds_since_ping
      success_rate_7d        0 to 1
      mean_duration_1h, p95_duration_1h     seconds
      error_count_24h, undelivered
      maintenance            until, reason: as `hcctl pause` on this host recorded it
      last_failure           started, result, why, said (its last line)
    null is what is not known: nothing of it was recorded on this host.
    """
    if watching and as_json:
        raise UsageError("--watch and --json do not go together", hint="leave one of them out")
    selection = (tags, tiers, environments)
    look = _Look(open_sources(catalog, local, _PATIENCE), selection, down)
    if watching:
        watch(look.screen, _EVERY)
        return
    look.again()
    if look.problem:
        click.echo(f"hcctl: {look.problem}; {look.instead}", err=True)
    if any(selection) and not look.rows and not look.problem:
        raise none_left(selection)
    if as_json:
        click.echo(json.dumps(look.as_json(), indent=2))
    else:
        for line in [*look.table(), *look.words()]:
            click.echo(line)
    sys.exit(look.exit_status())


class _Look:
    """What was seen the last time, and of the server the last that it said."""

    def __init__(
        self, sources: Sources, selection: tuple[Sequence[str], ...], only_down: bool
    ) -> None:
        self._sources = sources
        self._selection = selection
        self._only_down = only_down
        self._remotes: list[RemoteCheck] | None = None
        self._asked = 0.0
        self.problem = ""
        self.now = 0.0
        self.recorded = NOTHING
        self.rows: list[CheckStatus] = []

    def again(self) -> None:
        self.now = time.time()
        self.problem = ""
        if self._sources.client:
            try:
                self._remotes = self._sources.client.checks()
                self._asked = self.now = time.time()
            except ApiError as error:
                if self._remotes is None and self._sources.journal is None:
                    raise
                self.problem = str(error)
        if self._sources.journal:
            self.recorded = Recorded.read(self._sources.journal, self.now)
        subjects = self._sources.subjects(self._remotes, self.recorded.names)
        self.rows = rows(chosen(subjects, *self._selection), self.recorded, self.now)

    @property
    def instead(self) -> str:
        """What is shown when the server does not answer."""
        if self._remotes is None:
            return "what follows is this host's journal only"
        return f"what follows is what it said at {clock(self._asked)}"

    def exit_status(self) -> int:
        return max(worst(self.rows), 1 if self.problem else 0)

    @property
    def _shown(self) -> list[CheckStatus]:
        return [row for row in self.rows if row.state == "down" or not self._only_down]

    def screen(self) -> list[str]:
        self.again()
        words = self.words()
        if self.problem:
            room = output.width()
            words.append(click.style(f"{self.problem}; {self.instead}"[:room], fg="red"))
        lines = [*words, "", *self.table()]
        bare = click.get_current_context().color is False
        return [click.unstyle(line) for line in lines] if bare else lines

    def table(self) -> list[str]:
        """By tier, each with a line of its own above it."""
        shown = self._shown
        if not shown:
            return []
        cells = columns(self.now, self._remotes is not None)
        laid_out = output.layout(cells, shown, output.width())
        head, body = output.lines(laid_out, shown)
        lines = [click.style(head, bold=True)]
        tier = None
        for row, line in zip(shown, body, strict=True):
            if row.subject.tier != tier and any(row.subject.tier for row in shown):
                tier = row.subject.tier
                lines.append(click.style(self._tier(tier), dim=True))
            lines.append(line)
        return lines

    def _tier(self, name: str) -> str:
        known = self._sources.catalog.tiers.get(name)
        told = f"tier {printable(name)}" if name else "no tier"
        return told + (f", {known.level}" if known and known.level != known.name else "")

    def words(self) -> list[str]:
        """How many are how, and where that comes from."""
        return [summary(self.rows), *self._expected(), *self._origin()]

    def _expected(self) -> list[str]:
        return [
            f"to expect: {printable(each.check)}: {printable(each.text)}" for each in self._outlook
        ]

    @property
    def _outlook(self) -> list[Forecast]:
        names = {row.subject.slug for row in self.rows}
        return [each for each in self.recorded.outlook if each.check in names]

    def _origin(self) -> list[str]:
        client, journal = self._sources.client, self._sources.journal
        if client and self._remotes is not None:
            state = f"{client.url} at {clock(self._asked)}"
        else:
            state = "this host's journal"
            if not client:
                state += f" ({self._sources.no_server})"
        since = self.recorded.since
        if not journal:
            runs = f"not known, {self._sources.no_journal}"
        elif since is None:
            runs = f"none yet in {journal.path}"
        else:
            runs = f"{journal.path}, since {date(since)}"
        return [click.style(f"state: {state}; runs of this host: {runs}", dim=True)]

    def as_json(self) -> dict[str, object]:
        client, journal = self._sources.client, self._sources.journal
        return {
            "at": self.now,
            "server": client.url if client and self._remotes is not None else None,
            "journal": journal.path if journal else None,
            "journal_since": self.recorded.since,
            "problem": self.problem or None,
            "outlook": [outlook_of(each) for each in self._outlook],
            "checks": [to_json(row, self.now) for row in self._shown],
        }
