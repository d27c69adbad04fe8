"""The crontabs and timers of this host: whether they run, ping a check, and at the right time."""

from collections.abc import Collection, Iterator, Sequence

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import Catalog
from hcrun.doctor import jobs, times
from hcrun.doctor.checks import in_use
from hcrun.doctor.finding import Finding, any_of, finding, grouped, ok
from hcrun.doctor.settings import check_names
from hcrun.ping.target import is_uuid
from hcrun.schedulers.installed import Crontabs, Line, Timers
from hcrun.settings import Settings


def evaluate(
    crontabs: Crontabs,
    timers: Timers,
    catalog: Catalog,
    checks: Sequence[RemoteCheck] | None,
    settings: Settings,
    root: str,
) -> list[Finding]:
    """`checks` is None if the server has not shown its checks."""
    lines = crontabs.lines + timers.lines
    ours = [line for line in lines if line.job or line.wrong]
    live = [line for line in ours if line.source not in crontabs.ignored]
    live = [line for line in live if line.source not in timers.dead]
    return [
        *([ok(f"crontab lines and timers that run hcrun: {len(ours)}")] if ours else []),
        *evaluate_files(crontabs, timers, ours),
        *evaluate_lines(ours),
        *jobs.evaluate(ours, settings, root),
        *evaluate_targets(ours, catalog, checks, check_names(settings)),
        *evaluate_idle(ours, catalog, checks),
        *jobs.evaluate_services(ours, settings, catalog, checks or []),
        *times.evaluate(live, crontabs.zone, catalog, checks or []),
        # A note, because packages bring some.
        *any_of("unwatched", [one.where for one in lines if not (one.job or one.wrong)]),
    ]


def evaluate_files(crontabs: Crontabs, timers: Timers, ours: Sequence[Line]) -> Iterator[Finding]:
    for path, why in crontabs.ignored.items():
        affected = any(line.where.startswith(f"{path} line ") for line in ours)
        severity = "error" if affected else "warning"
        yield finding("ignored-file", severity=severity, path=path, why=why)
    for name, dead in grouped((to_enable, timer) for timer, to_enable in timers.dead.items()):
        yield finding("not-enabled", names=dead, unit=name)
    yield from any_of("unread", crontabs.unread + timers.unread)


def evaluate_lines(ours: Sequence[Line]) -> Iterator[Finding]:
    for wrong, places in grouped((line.wrong, line.where) for line in ours):
        yield finding("wrong-line", names=places, wrong=wrong)
    for program, places in grouped((line.missing, line.where) for line in ours):
        yield finding("missing-program", names=places, program=program)


def evaluate_targets(
    ours: Sequence[Line],
    catalog: Catalog,
    checks: Sequence[RemoteCheck] | None,
    named: Collection[str],
) -> Iterator[Finding]:
    """Lines whose check does not exist."""
    if checks is None:
        return
    known = {check.slug for check in checks} | {check.uuid for check in checks} | set(named)
    known |= {check.slug for check in catalog.checks}  # evaluate_catalog reports those
    jobs_of = [(line.job, line.where) for line in ours if line.job and not line.job.create]
    for check, places in grouped((job.check, where) for job, where in jobs_of):
        name = check.lower().rstrip("/")
        # A UUID may belong to another project, and a read-only key shows none.
        if not (name in known or "://" in name or is_uuid(name)):
            yield finding("unknown-check", names=places, check=check)


def evaluate_idle(
    ours: Sequence[Line], catalog: Catalog, checks: Sequence[RemoteCheck] | None
) -> Iterator[Finding]:
    """Checks with a command that neither this host nor, it seems, another one runs."""
    if not in_use(catalog, checks or []):
        return
    run = {line.job.check for line in ours if line.job}
    run |= {check.slug for check in checks or [] if check.status in ("up", "grace")}
    why = "no other host seems to run them"
    if checks is None:
        why = "doctor cannot tell whether another host runs them"
    idle = [check.slug for check in catalog.checks if check.command and check.slug not in run]
    yield from any_of("idle", idle, why=why)
