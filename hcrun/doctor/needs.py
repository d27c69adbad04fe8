"""Needs of the catalogue: whether one failure sends one alert, and whether that ends."""

from collections.abc import Iterable, Iterator

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import ALL, Catalog
from hcrun.catalog.schedule import period
from hcrun.doctor.finding import Finding, error, ok, warning
from hcrun.run.options import parse
from hcrun.schedulers.invocation import longest_run, user
from hcrun.sync.hold import Leases
from hcrun.text import counted, listed

_WHY = "one failure may send several alerts, or one that comes late"
_HOLD = "run hcctl hold on one host, as [checks.hold] of the built-in catalogue does"


def evaluate(catalog: Catalog, checks: Iterable[RemoteCheck], now: float) -> Iterator[Finding]:
    """`checks` are those of the server."""
    dependants = [check for check in catalog.checks if check.needs]
    if not dependants:
        return
    leases = Leases(catalog, checks, lambda *_: [], now)
    with_needs = f"{counted(len(dependants), 'check')} with needs"
    holder = leases.holder
    if holder and holder.status in ("up", "grace"):
        yield ok(f"{holder.slug} holds back the alerts of {with_needs}")
    else:
        state = f"{holder.slug} is {holder.status}" if holder else "nothing runs hcctl hold"
        yield error(f"{with_needs}, but {state}", "while a need is down, they alert", _HOLD)
    untold, strange, early, waiting, longer = [], [], [], [], []
    for check in dependants:
        for need in catalog.roots(check.needs):
            job, pair = parse([*need.options, "check", "--", "true"]), f"{check.slug} ({need.slug})"
            if ALL not in need.channels and not set(check.channels) <= set(need.channels):
                untold.append(pair)
            if check.command and not (need.command and user(check) == user(need)):
                strange.append(pair)
            known = period(need.schedule) * job.fail_after + (longest_run(need) or 0.0)
            if known + leases.interval > check.grace:
                early.append(pair)
        if remote := leases.remote.get(check.slug):
            if remote.started or remote.manual_resume:
                waiting.append(check.slug)
            if remote.grace > leases.grace(check):
                longer.append(check.slug)
    for names, what, fix in (
        (untold, "alerts by channels that the need does not have", "give the need their channels"),
        (strange, "a need of another user, or without a command", "run both as one user"),
        (early, "less grace than an outage of the need takes to be known", "raise the grace"),
        (waiting, "needs, and a start ping or manual resume", "use the rendered line"),
        (longer, "more grace than in the catalogue, although all is well", "hcctl hold"),
    ):
        if names:
            yield warning(f"{what}: {listed(names)}", _WHY, f"{fix} (docs/dependencies.md)")
