"""`hcctl history`: the runs in this host's journal."""

import json
from collections.abc import Sequence
from typing import Any

import click

from hcrun.ctl.connect import open_fleet, report_corrupt
from hcrun.ctl.table import options
from hcrun.errors import HcrunError, JournalError
from hcrun.journal.journal import Journal
from hcrun.journal.run import Run
from hcrun.results import DROPPED, PENDING, REJECTED
from hcrun.schedulers.journals import open_all
from hcrun.units import iso, local

_COLOURS = {"success": "green", "fail": "red", "lost": "red"}
_COLOURS |= dict.fromkeys(("held", "blocked", "recovers", "log", "skip"), "yellow")
_UNDELIVERED = {
    PENDING: "not delivered yet",
    REJECTED: "refused by the server",
    DROPPED: "not delivered: dropped",
}


@click.command()
@click.argument("check", required=False, default="")
@click.option("--failed", is_flag=True, help="Only runs that failed or vanished.")
@click.option(
    "--output",
    "run_id",
    metavar="RUN",
    help="Show the output of one run: its id, the beginning of it, or `last`.",
)
@click.option(
    "-n",
    "--number",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Show this many runs.",
)
@options("fleet")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array (docs/journal.md).")
def history(
    check: str, failed: bool, run_id: str | None, number: int, fleet: bool, as_json: bool
) -> None:
    """Show the latest runs on this host, newest last.

    They are those of this user, and for root also those of the users whose jobs run here; with
    --fleet those of all hosts, without their outputs.

    \b
    Examples:
      hcctl history backup --failed
      hcctl history --output 3f2a
      hcctl history backup --failed --output last
    """
    journals = [open_fleet()] if fleet else open_all()
    one = run_id is not None
    if one and run_id != "last":
        runs = _one(journals, run_id or "")
    else:
        runs = _runs(journals, 1 if one else number, check=check, failed=failed)
    if as_json:
        click.echo(json.dumps([_as_json(run, delivery) for run, delivery in runs], indent=2))
    elif one and runs:
        _show_output(runs[0][0])
    else:
        _show_table(runs, check, journals, fleet=fleet)


def _runs(journals: Sequence[Journal], number: int, **wanted: Any) -> list[tuple[Run, str]]:
    """The latest ones of all journals; another user's that cannot be read is only reported."""
    found = []
    for journal in journals:
        report_corrupt(journal)
        try:
            found += journal.runs(**wanted, maximum=number)
        except JournalError as error:
            if len(journals) == 1:
                raise
            click.echo(f"hcctl: {error}", err=True)
    return sorted(found, key=lambda each: each[0].started, reverse=True)[:number]


def _one(journals: Sequence[Journal], run_id: str) -> list[tuple[Run, str]]:
    matches = _runs(journals, 2, run_id=run_id.lower())
    if not run_id or not matches:
        raise HcrunError(f"no run has the id {run_id!r}", hint="hcctl history shows the ids")
    if len(matches) > 1:
        raise HcrunError(
            f"several runs have an id that begins with {run_id}", hint="give more characters"
        )
    return matches


def _show_table(
    runs: list[tuple[Run, str]], check: str, journals: Sequence[Journal], *, fleet: bool
) -> None:
    if not runs:
        from hcrun.catalog.toml_source import suggestion  # both are slow to import
        from hcrun.journal.queries import first_starts

        known = {name for journal in journals for name in first_starts(journal)}
        hint = "" if check in known else suggestion(check, known)
        where = ", ".join(journal.path for journal in journals)
        what = f"no such runs{f' of {check}' if check else ''} in {where}"
        click.echo(f"{what}; {hint}" if hint else what, err=True)
        return
    of = {run: run.host if fleet else run.user for run, _ in runs}
    widest = max(map(len, of.values()))
    width = max(len(run.check) for run, _ in runs)
    for run, delivery in reversed(runs):
        several = fleet or len(journals) > 1
        started = local(run.started) + (f"  {of[run]:{widest}}" if several else "")
        result = click.style(f"{run.result or 'running':8}", fg=_COLOURS.get(run.result))
        more = f" ({_UNDELIVERED[delivery]})" if delivery in _UNDELIVERED else ""
        click.echo(f"{started}  {run.check:{width}}  {result} {run.why}{more}  {run.run_id[:8]}")


def _show_output(run: Run) -> None:
    kept = run.excerpt
    text = kept.head
    if kept.omitted:
        text += f"[... {kept.omitted:,} bytes left out ...]\n{kept.tail}"
    if text:
        click.echo(text, nl=not text.endswith("\n"))
    else:
        click.echo("this run printed nothing, or its output was not kept", err=True)


def _as_json(run: Run, delivery: str) -> dict[str, object]:
    """Durations in seconds, memory in bytes."""
    plain = ("check", "duration", "status", "why", "command", "user")
    kept = run.excerpt
    return {
        "run": run.run_id,
        "started": iso(run.started),
        "ended": iso(run.ended),
        **{name: getattr(run, name) for name in (*plain, "cpu_user", "cpu_system")},
        "result": run.result or None,
        "memory": run.memory or None,
        "delivery": delivery or None,
        "output": {"head": kept.head, "omitted": kept.omitted, "tail": kept.tail},
    }
