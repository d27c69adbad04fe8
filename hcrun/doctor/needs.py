"""Needs of the catalogue: whether one failure sends one alert, and whether that ends."""

from collections.abc import Iterable, Iterator

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import ALL, Catalog
from hcrun.catalog.schedule import period
from hcrun.doctor.finding import Finding, any_of, finding, ok
from hcrun.run.options import parse
from hcrun.schedulers.invocation import longest_run, user
from hcrun.sync.hold import Leases
from hcrun.text import counted


def evaluate(catalog: Catalog, checks: Iterable[RemoteCheck], now: float) -> Iterator[Finding]:
    """`checks` are those of the server."""
    dependants = [check for check in catalog.checks if check.needs]
    if not dependants:
        return
    leases = Leases(catalog, checks, lambda *_: [], now)
    holder = leases.holder
    if holder and holder.status in ("up", "grace"):
        held = counted(len(dependants), "check")
        yield ok(f"{holder.slug} holds back the alerts of {held} with needs")
    else:
        state = f"{holder.slug} is {holder.status}" if holder else "nothing runs hcctl hold"
        yield finding("no-hold", number=len(dependants), state=state)
    found: dict[str, list[str]] = {
        name: [] for name in ("untold", "strange-need", "early", "waiting", "longer-grace")
    }
    for check in dependants:
        for need in catalog.roots(check.needs):
            job, pair = parse([*need.options, "check", "--", "true"]), f"{check.slug} ({need.slug})"
            if ALL not in need.channels and not set(check.channels) <= set(need.channels):
                found["untold"].append(pair)
            if check.command and not (need.command and user(check) == user(need)):
                found["strange-need"].append(pair)
            known = period(need.schedule) * job.fail_after + (longest_run(need) or 0.0)
            if known + leases.interval > check.grace:
                found["early"].append(pair)
        if remote := leases.remote.get(check.slug):
            if remote.started or remote.manual_resume:
                found["waiting"].append(check.slug)
            if remote.grace > leases.grace(check):
                found["longer-grace"].append(check.slug)
    for name, slugs in found.items():
        yield from any_of(name, slugs)
