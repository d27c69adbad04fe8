"""The crontabs and timers of this host: whether they run, ping a check, and at the right time."""

from collections.abc import Collection, Iterator, Sequence

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import Catalog
from hcrun.doctor import jobs, times
from hcrun.doctor.checks import in_use
from hcrun.doctor.finding import Finding, error, grouped, note, ok, warning
from hcrun.doctor.settings import check_names
from hcrun.ping.target import is_uuid
from hcrun.schedulers.installed import Crontabs, Line, Timers
from hcrun.settings import Settings
from hcrun.text import counted, listed


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
        *evaluate_unwatched(lines),
    ]


def evaluate_files(crontabs: Crontabs, timers: Timers, ours: Sequence[Line]) -> Iterator[Finding]:
    for path, why in crontabs.ignored.items():
        affected = any(line.where.startswith(f"{path} line ") for line in ours)
        make = error if affected else warning
        yield make(f"cron ignores {path}: {why}", "none of its lines runs", "correct or delete it")
    for name, dead in grouped((to_enable, timer) for timer, to_enable in timers.dead.items()):
        yield error(
            f"{counted(len(dead), 'timer')} not enabled: {listed(dead)}",
            "their jobs never run",
            f"systemctl enable --now {name}",
        )
    if unread := crontabs.unread + timers.unread:
        yield note(f"cannot read {listed(unread)}", "there may be jobs in it", "run this as root")


def evaluate_lines(ours: Sequence[Line]) -> Iterator[Finding]:
    for wrong, places in grouped((line.wrong, line.where) for line in ours):
        fix = "correct the line; hcrun --help shows the options"
        yield error(f"{listed(places)}: {wrong}", "hcrun does not run the command", fix)
    for program, places in grouped((line.missing, line.where) for line in ours):
        yield error(
            f"{listed(places)}: {program} does not exist",
            "nothing runs, and only the log of cron says so",
            "write its full path (command -v hcrun shows it), or set PATH above the line",
        )


def evaluate_targets(
    ours: Sequence[Line],
    catalog: Catalog,
    checks: Sequence[RemoteCheck] | None,
    named: Collection[str],
) -> Iterator[Finding]:
    """Lines whose check does not exist."""
    ran = [(line.job, line) for line in ours if line.job]
    if checks is not None:
        known = {check.slug for check in checks} | {check.uuid for check in checks} | set(named)
        known |= {check.slug for check in catalog.checks}  # evaluate_catalog reports those
        unknown = [
            (job.check, line.where)
            for job, line in ran
            # A UUID may belong to another project, and a read-only key shows none.
            if not (job.create or "://" in job.check or _is_known(job.check, known))
        ]
        for name, places in grouped(unknown):
            yield error(
                f"{listed(places)}: the server has no check named {name}",
                "its pings answer 404, and nobody is alerted",
                f"add {name} to the catalogue and run hcctl sync, or use hcrun --create",
            )


def _is_known(name: str, known: Collection[str]) -> bool:
    name = name.lower().rstrip("/")
    return name in known or is_uuid(name)


def evaluate_idle(
    ours: Sequence[Line], catalog: Catalog, checks: Sequence[RemoteCheck] | None
) -> Iterator[Finding]:
    """Checks with a command that neither this host nor, it seems, another one runs."""
    if not in_use(catalog, checks or []):
        return
    run = {line.job.check for line in ours if line.job}
    run |= {check.slug for check in checks or [] if check.status in ("up", "grace")}
    if idle := [c.slug for c in catalog.checks if c.command and c.slug not in run]:
        why = "no other host seems to run them"
        if checks is None:
            why = "doctor cannot tell whether another host runs them"
        yield warning(
            f"{counted(len(idle), 'check')} that no crontab line or timer runs: {listed(idle)}",
            why,
            "hcctl install crontab, or hcctl install systemd",
        )


def evaluate_unwatched(lines: Sequence[Line]) -> Iterator[Finding]:
    """Jobs without hcrun. A note, because packages bring some."""
    if plain := [line.where for line in lines if not (line.job or line.wrong)]:
        yield note(
            f"crontab lines and timers without hcrun: {listed(plain)}",
            "nobody is alerted when they fail or do not run",
            "hcctl import FILE proposes checks for them",
        )
