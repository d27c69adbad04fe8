"""`hcctl` alone: where things stand on this host, and the next step."""

import time
from collections import Counter
from collections.abc import Iterator

import click

from hcrun import catalog
from hcrun.ctl.connect import connect
from hcrun.ctl.status_rows import WORDS
from hcrun.doctor.settings import check_names
from hcrun.errors import HcrunError
from hcrun.journal import queries
from hcrun.ping.target import resolve
from hcrun.schedulers.installed import read_crontabs, read_timers
from hcrun.schedulers.journals import open_all
from hcrun.settings import Settings
from hcrun.text import counted, printable
from hcrun.units import span

_FIRST = "write HEALTHCHECKS_PING_KEY=... to ~/.config/hcrun/hcrun.env; see hcctl docs first-alert"
Fact = tuple[str, str, str]  # about what, what, and what to do about it: the first is the next step


def show() -> None:
    facts = list(_facts(Settings.load()))
    for about, text, _ in facts:
        click.echo(f"{about:9}  {printable(text)}")
    step = next((step for _, _, step in facts if step), "hcctl status")
    click.echo(f"\nnext step: {step}\nall commands: hcctl --help")


def _facts(settings: Settings) -> Iterator[Fact]:
    ready = not settings.enabled() or check_names(settings) or not resolve("x", settings).why
    if settings.problems:
        yield "settings", settings.problems[0], "hcctl doctor"
    else:
        said = "" if ready else "; no ping key"
        yield "settings", f"{settings.path or 'no env file'}{said}", "" if ready else _FIRST
    there: set[str] | None = None
    try:
        checks = connect(read_only=True, timeout=5.0).list_checks()
        there = {check.slug for check in checks}
        count = Counter(WORDS.get(check.status, check.status) for check in checks)
        text = ", ".join(f"{count[state]} {state}" for state in sorted(count)) or "no checks"
        yield (
            "server",
            f"{settings.api_url()}: {text}",
            "hcctl status --down" if count["down"] else "",
        )
    except HcrunError as error:
        yield "server", str(error), ""
    jobs = sum(bool(line.job) for line in read_crontabs().lines + read_timers().lines)
    yield _journal()
    yield _catalogue(there, "" if jobs else "hcctl init")
    text = f"{counted(jobs, 'line')} of crontabs and timers run hcrun"
    yield "jobs", text, "" if jobs else "hcctl install crontab"


def _journal() -> Fact:
    try:
        journals = open_all()
        runs = [journal.query("SELECT count(*), max(started) FROM runs")[0] for journal in journals]
        waiting = sum(sum(queries.pending(journal).values()) for journal in journals)
    except HcrunError as error:
        return "journal", str(error), "hcrun -v --create NAME -- COMMAND"
    ago = time.time() - max(last or 0 for _, last in runs)
    text = f"{counted(sum(number for number, _ in runs), 'run')}, the last one {span(ago)} ago"
    text += f"; {counted(waiting, 'result')} not delivered" if waiting else ""
    return "journal", text, "hcctl flush" if waiting else ""


def _catalogue(there: set[str] | None, without: str) -> Fact:
    if catalog.default_path() == catalog.SHIPPED:
        return "catalogue", f"no {catalog.SYSTEM}", without
    try:
        loaded = catalog.load()
    except HcrunError as error:
        return "catalogue", str(error).partition("\n")[0], "hcctl check"
    missing = sum(check.slug not in there for check in loaded.checks) if there is not None else 0
    text = f"{loaded.path}: {counted(len(loaded.checks), 'check')}"
    text += f", {missing} not on the server" if missing else ""
    return "catalogue", text, "hcctl sync --plan" if missing else ""
