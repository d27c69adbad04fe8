"""`hcctl flush`: delivers results that could not be delivered earlier, or drops them."""

import sys
import time
from collections import Counter

import click

from hcrun.ctl.connect import open_journal
from hcrun.ctl.options import confirm
from hcrun.errors import HcrunError
from hcrun.journal import discard
from hcrun.journal.backlog import Pending, Undelivered, deliver_pending, undelivered
from hcrun.journal.delivery import delivery_state, server_of
from hcrun.journal.journal import Journal
from hcrun.journal.second import SecondSettings, has_second, open_second
from hcrun.ping import client
from hcrun.ping.http import Reply
from hcrun.ping.target import Target, resolve
from hcrun.results import REJECTED, SENT
from hcrun.settings import HOSTED, Settings
from hcrun.text import checksum, counted, listed
from hcrun.units import local

_PATIENCE = 600.0  # seconds in all


@click.command()
@click.option("--readdress", is_flag=True, help="Send results to the changed ping URLs.")
@click.option("--drop", is_flag=True, help="Give up all results that wait, and list them.")
@click.option("--yes", is_flag=True, help="Drop without asking.")
def flush(readdress: bool, drop: bool, yes: bool) -> None:
    settings = Settings.load()
    if not settings.enabled() and not drop:
        raise HcrunError("HEALTHCHECKS_ENABLED is false", hint="no ping was sent")
    backlogs: list[tuple[Journal, Settings]] = [(open_journal(), settings)]
    if has_second(settings):
        backlogs.append((open_second(settings), SecondSettings(settings)))
    for journal, _ in backlogs:
        journal.adopt()
        journal.find_lost(time.time())
    backlogs = [(journal, own) for journal, own in backlogs if journal.count_pending()]
    if not backlogs:
        click.echo(f"nothing to {'drop' if drop else 'deliver'}")
        return
    if drop:
        for journal, _ in backlogs:
            show_waiting(journal)
        if not yes:
            confirm("Drop these results?", "drop them")
        dropped = sum(discard.drop(journal) for journal, _ in backlogs)
        click.echo(f"{counted(dropped, 'result')} dropped")
        return
    errors = []
    for journal, own in backlogs:
        if own is settings:
            _follow_settings(journal, settings, readdress)
        try:
            _deliver(journal, own)
        except HcrunError as error:  # one server costs the other nothing
            errors.append(error)
    for other in errors[1:]:
        click.echo(f"hcctl: {other}", err=True)
    if errors:
        raise errors[0]


def _deliver(journal: Journal, settings: Settings) -> None:
    states: Counter[str] = Counter()

    def seen(pending: Pending, target: Target, reply: Reply) -> None:
        states[delivery_state(reply)] += 1
        _say(pending, target, reply)

    if not deliver_pending(journal, settings, _PATIENCE, seen=seen):
        raise HcrunError("another hcrun is delivering results", hint="try again in a minute")
    left = journal.count_pending()
    if left:
        raise HcrunError(
            f"{left} of {left + states[SENT]} results are not delivered",
            hint="see above, then run hcctl flush again",
        )
    if journal.damaged:
        raise HcrunError(
            f"{counted(journal.damaged, 'undelivered result')} in the journal"
            f" {'is' if journal.damaged == 1 else 'are'} damaged",
            hint="hcctl journal check repairs or removes damaged records",
        )
    if states[REJECTED]:
        raise HcrunError(
            f"{states[REJECTED]} of {states.total()} results were rejected, and are not sent again",
            hint="see above",
        )


def show_waiting(journal: Journal, name: str = "") -> None:
    """Print what waits: a line for each check and result."""
    for check, server, result, count, first, last in discard.waiting(journal, name):
        when = local(first) if count == 1 else f"{local(first)} to {local(last)}"
        click.echo(f"{check}: {counted(count, 'result')} ({result}), {when}, for {server}")


def _follow_settings(journal: Journal, settings: Settings, readdress: bool) -> None:
    """Change the ping URLs of results whose settings have changed, if the user agrees."""
    changes: dict[tuple[str, str], list[tuple[Undelivered, str]]] = {}
    for check in undelivered(journal):
        target = resolve(check.given or check.name, settings)
        if check.only_named or (target.url and checksum(target.url) == check.identity):
            continue
        # Without the setting they would go to the hosted server, for which they were not meant.
        hosted = target.url.startswith(f"{HOSTED}/")
        if target.url and (settings.get("HEALTHCHECKS_PING_URL") or not hosted):
            places = (check.server, server_of(target.url))
            changes.setdefault(places, []).append((check, target.url))
        elif not check.url:
            why = target.why or "set HEALTHCHECKS_PING_URL to send them elsewhere"
            click.echo(f"{check.name}: its results were meant for {check.server}; {why}", err=True)
    for (before, now), checks in changes.items():
        where = now if now != before else f"their present ping URLs on {now}"
        names = listed(check.name for check, _ in checks)
        kept = f"results of {names} were meant for {before}"
        asked = sys.stdin.isatty() and sys.stderr.isatty()
        if readdress or (asked and click.confirm(f"{kept}. Send them to {where}?", err=True)):
            for check, url in checks:
                discard.readdress(journal, check, checksum(url), url)
        elif not asked:
            click.echo(f"{kept}; add --readdress to send them to {where}", err=True)


def _say(pending: Pending, target: Target, reply: Reply) -> None:
    run = pending.run
    line = f"{run.check}, {local(run.ended or run.started)}, {run.result}"
    if delivery_state(reply) == SENT:
        click.echo(f"{line}: sent" + (" to the check's log" if pending.logged else ""))
    else:
        click.echo(f"{line}: {client.explain(reply, target)}", err=True)
