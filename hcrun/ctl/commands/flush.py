"""`hcctl flush`: delivers results that could not be delivered earlier."""

import time
from collections import Counter

import click

from hcrun.ctl.connect import open_journal
from hcrun.errors import HcrunError
from hcrun.journal.backlog import Pending, deliver_pending
from hcrun.journal.delivery import delivery_state
from hcrun.ping import client
from hcrun.ping.http import Reply
from hcrun.ping.target import Target
from hcrun.results import REJECTED, SENT
from hcrun.settings import Settings
from hcrun.text import counted

_PATIENCE = 600.0  # seconds in all


@click.command()
def flush() -> None:
    """Deliver all results that could not be delivered earlier.

    The latest result of each check is sent as a normal ping, unless the server knows a newer one
    or it is too old; others go to the check's log. All show their true times. Runs whose hcrun
    vanished are reported as failed.

    Exit status 1 if results are left, or the server rejected some.
    """
    settings = Settings.load()
    if not settings.enabled():
        raise HcrunError("HEALTHCHECKS_ENABLED is false", hint="no ping was sent")
    journal = open_journal()
    journal.find_lost(time.time())
    left = journal.count_pending()
    if not left:
        click.echo("nothing to deliver")
        return
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


def _say(pending: Pending, target: Target, reply: Reply) -> None:
    run = pending.run
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.ended))
    line = f"{run.check}, {when}, {run.result}"
    if delivery_state(reply) == SENT:
        click.echo(f"{line}: sent" + (" to the check's log" if pending.logged else ""))
    else:
        click.echo(f"{line}: {client.explain(reply, target)}", err=True)
