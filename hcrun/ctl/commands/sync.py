"""`hcctl sync`: creates and updates the checks of the catalogue on the server."""

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

import click

from hcrun import files
from hcrun.alerts import channels
from hcrun.api.client import HealthchecksClient
from hcrun.catalog import Catalog, Check, load
from hcrun.ctl.connect import connect
from hcrun.ctl.options import catalog_option, select, selection_options
from hcrun.errors import HcrunError, JournalError, UsageError
from hcrun.locks import FileLock
from hcrun.paths import state_directory
from hcrun.reports.checks import Selection
from hcrun.sync import apply
from hcrun.sync import env_file as env_files
from hcrun.sync.plan import PAST, Change, Plan, compare
from hcrun.text import counted, listed, shortened

_COLOURS = {"create": "green", "update": "yellow", "adopt": "yellow", "delete": "red"}
_OF_A_NEW_CHECK = ("every", "schedule", "zone", "grace", "channels")
_MAX_LENGTH = 60  # characters of a value that is shown


@click.command()
@catalog_option
@selection_options
@click.option(
    "--plan",
    "--dry-run",
    "plan_only",
    is_flag=True,
    help="Show the changes without making them. Exit status 2 if there are any.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Delete checks that sync created and that are no longer in the catalogue.",
)
@click.option("--yes", is_flag=True, help="Delete without asking.")
@click.option(
    "--env-file",
    metavar="FILE",
    default="",
    help="Write HC_CHECK_<NAME>=uuid of the checks to FILE, mode 0600.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def sync(
    catalog: str,
    tags: tuple[str, ...],
    tiers: tuple[str, ...],
    environments: tuple[str, ...],
    plan_only: bool,
    prune: bool,
    yes: bool,
    env_file: str,
    as_json: bool,
) -> None:
    """Make the checks on the server those of the catalogue.

    Creates missing checks, updates those that differ, and adopts those that have the slug of a
    check of the catalogue. A paused check stays paused, and all other checks and fields stay as
    they are. It can be run again after any interruption.

    Exit status 1 if a change failed; the others were made.

    \b
    Examples:
      hcctl sync --plan
      hcctl sync --env-file /etc/hcrun/healthchecks.env
      hcctl sync --environment staging --prune

    \b
    --json prints
      create, update, adopt, delete   by slug and field: [before, after]
      failed      by slug: the reason
      extra       the slugs of checks that --prune would delete
      unchanged   the number of checks
      calls       the number of requests to the server
    """
    loaded = load(catalog, obeyed=True)
    chosen = select(loaded, Selection(tags, tiers, environments))
    if env_file:
        env_files.check(env_file)
    client = connect()
    with contextlib.nullcontext() if plan_only else _alone():
        plan = _plan(client, loaded, chosen, prune)
        result = apply.begin(plan)
        if plan_only:
            result.done = list(plan.changes)
        else:
            _ask(plan, yes)
            with _progress(plan.changes) as changes:
                apply.apply(client, changes, result)
        if as_json:
            click.echo(json.dumps(_as_json(plan, result, client.calls), indent=2))
        else:
            _show(plan, result, client.calls, plan_only)
        if env_file and not plan_only:  # last: if it fails, the changes have been shown
            files.write(env_file, env_files.render(result.uuids), 0o600)
    if result.failed:
        every = len(plan.changes) + len(plan.ambiguous)
        message = f"{len(result.failed)} of {every} failed"
        raise HcrunError(message, hint="see above, and sync again")
    if plan_only and plan.changes:
        sys.exit(2)


def _plan(client: HealthchecksClient, catalog: Catalog, checks: list[Check], prune: bool) -> Plan:
    """Compare; the server is asked for its channels only if that can make a difference."""
    remote = client.checks()
    known = [check.slug for check in catalog.checks]
    names = {name for check in checks for name in check.channels}
    ids = channels.cached_ids(client, names) if names else {}
    if ids is not None:
        plan = compare(checks, remote, ids, known, prune)
        if not (names and plan.needs_channels):
            return plan
    ids = channels.usable_ids(channels.ask(client, catalog), names)
    return compare(checks, remote, ids, known, prune)


def _ask(plan: Plan, yes: bool) -> None:
    deleted = [change.slug for change in plan.changes if change.action == "delete"]
    if not deleted or yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"--prune would delete {listed(deleted)} with its history",
            hint="not a terminal: add --yes to delete without asking",
        )
    click.confirm(f"Delete {listed(deleted)} with its history?", abort=True, err=True)


def _alone() -> FileLock:
    """Lock out other syncs of this user on this host. Raises HcrunError if one is running."""
    path = os.path.join(state_directory(), "sync.lock")
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return FileLock(path)
    except BlockingIOError:
        raise HcrunError("another sync is running", where=path, hint="wait until it ends") from None
    except OSError as error:
        hint = "set STATE_DIRECTORY to a directory that you can write"
        raise JournalError(error.strerror or str(error), where=path, hint=hint) from None


@contextlib.contextmanager
def _progress(changes: tuple[Change, ...]) -> Iterator[Iterable[Change]]:
    if len(changes) > 1 and sys.stderr.isatty():
        with click.progressbar(changes, label="hcctl sync", file=sys.stderr) as bar:
            yield bar
    else:
        yield changes


def _show(plan: Plan, result: apply.Result, calls: int, plan_only: bool) -> None:
    for change in result.done:
        action = change.action if plan_only else PAST[change.action]
        differences = _differences(change)
        click.echo(
            f"{click.style(f'{action:8}', fg=_COLOURS[change.action])} {change.slug}"
            + (f": {differences}" if differences else "")
        )
    for check in plan.extra:
        name = check.slug or check.name
        click.echo(f"extra    {name}: no longer in the catalogue; --prune deletes it")
    reasons: dict[str, list[str]] = {}
    for slug, why in result.failed.items():
        reasons.setdefault(why, []).append(slug)
    for why, slugs in reasons.items():
        click.echo(f"{click.style('failed', fg='red')}   {', '.join(slugs)}: {why}", err=True)
    totals = Counter(change.action for change in result.done)
    counts = [
        f"{totals[action]} {f'to {action}' if plan_only else past}"
        for action, past in PAST.items()
        if totals[action]
    ]
    counts += [f"{plan.unchanged} unchanged"]
    if result.failed:
        counts += [f"{len(result.failed)} failed"]
    click.echo(f"{', '.join(counts)} ({counted(calls, 'call')})")


def _differences(change: Change) -> str:
    texts = []
    for name, before, after in change.differences:
        shown = shortened(after, _MAX_LENGTH)
        if change.action != "create":
            texts.append(f"{name} {shortened(before, _MAX_LENGTH)} -> {shown}")
        elif name in _OF_A_NEW_CHECK:
            texts.append(f"{name} {shown}")
    return ", ".join(texts)


def _as_json(plan: Plan, result: apply.Result, calls: int) -> dict[str, object]:
    changes: dict[str, dict[str, dict[str, list[str]]]] = {action: {} for action in PAST}
    for change in result.done:
        fields = {name: [before, after] for name, before, after in change.differences}
        changes[change.action][change.slug] = fields
    return {
        **changes,
        "failed": result.failed,
        "extra": [check.slug for check in plan.extra],
        "unchanged": plan.unchanged,
        "calls": calls,
    }
