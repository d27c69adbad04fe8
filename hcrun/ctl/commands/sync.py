"""`hcctl sync`: the checks of the catalogue, made on the server."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator

import click

from hcrun.alerts import channel_ids
from hcrun.api.client import HealthchecksClient
from hcrun.catalog import Catalog, Check, load
from hcrun.ctl.connect import connect
from hcrun.ctl.options import catalog_option, select, selection_options
from hcrun.errors import HcrunError, JournalError, UsageError
from hcrun.locks import FileLock
from hcrun.paths import state_directory
from hcrun.sync import apply
from hcrun.sync import env_file as envfile
from hcrun.sync.plan import ACTIONS, Change, Plan, compare
from hcrun.text import counted, listed, shortened

_COLOURS = {"create": "green", "update": "yellow", "adopt": "yellow", "delete": "red"}
_OF_A_NEW_CHECK = ("every", "schedule", "zone", "grace", "channels")
_LONGEST = 60  # characters of a value that is shown


@click.command()
@catalog_option
@selection_options
@click.option(
    "--plan",
    "--dry-run",
    "plan_only",
    is_flag=True,
    help="Say what would be changed, and change nothing. Exit status 2 when something would be.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Delete the checks that sync once made and that are no longer in the catalogue.",
)
@click.option("--yes", is_flag=True, help="Do not ask before something is deleted.")
@click.option(
    "--env-file",
    metavar="FILE",
    default="",
    help="Write HC_CHECK_<NAME>=uuid of the checks there, mode 0600, for what pings by itself.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
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
    """Make the server's checks those of the catalogue.

    What is missing is created, what differs is updated, what is there under the same slug is
    adopted. A paused check stays paused, and what the catalogue does not know of stays as it is.
    Cut off anywhere, it can simply be run again. Exit status 1 when something failed; the rest
    was done.

    \b
    Examples:
      hcctl sync --plan
      hcctl sync --env-file /etc/hcrun/healthchecks.env
      hcctl sync --environment staging --prune

    \b
    --json has
      create, update, adopt, delete      slug -> field -> [before, after]
      failed       slug -> why
      extra        slugs of checks that --prune would delete
      unchanged    how many checks
      calls        how many requests to the server
    """
    found = load(catalog)
    chosen = select(found, tags, tiers, environments)
    if env_file:
        envfile.check(env_file)
    client = connect()
    with contextlib.nullcontext() if plan_only else _alone():
        plan = _plan(client, found, chosen, prune)
        result = apply.begin(plan)
        if plan_only:
            result.done = list(plan.changes)
        else:
            _ask(plan, yes)
            with _progress(plan.changes) as changes:
                apply.apply(client, changes, result)
        if as_json:
            click.echo(json.dumps(_plain(plan, result, client.calls), indent=2))
        else:
            _show(plan, result, client.calls, 0 if plan_only else 1)
        if env_file and not plan_only:  # last: where it fails, what was done has been said
            envfile.write(env_file, result.uuids)
    if result.failed:
        every = len(plan.changes) + len(plan.ambiguous)
        raise HcrunError(
            f"{len(result.failed)} of {every} failed", hint="see above, and sync again"
        )
    if plan_only and plan.changes:
        sys.exit(2)


def _plan(client: HealthchecksClient, catalog: Catalog, checks: list[Check], prune: bool) -> Plan:
    """Asks for the checks, and for the channels only when that can make a difference."""
    remote = client.checks()
    known = [check.slug for check in catalog.checks]
    names = {name for check in checks for name in check.channels}
    ids = channel_ids.noted(client, names) if names else {}
    if ids is not None:
        plan = compare(checks, remote, ids, known, prune)
        if not (names and plan.needs_channels):
            return plan
    ids = channel_ids.usable(channel_ids.ask(client, catalog), names)
    return compare(checks, remote, ids, known, prune)


def _ask(plan: Plan, yes: bool) -> None:
    deleted = [change.slug for change in plan.changes if change.action == "delete"]
    if not deleted or yes:
        return
    gone = listed(deleted)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"--prune would delete {gone}, and all that is known of it",
            hint="look at hcctl sync --plan --prune, then add --yes",
        )
    click.confirm(f"Delete {gone}, and all that is known of it?", abort=True, err=True)


def _alone() -> FileLock:
    """Lock out other syncs of this user on this host. Raises HcrunError if one is running."""
    path = os.path.join(state_directory(), "sync.lock")
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return FileLock(path)
    except BlockingIOError:
        raise HcrunError("another sync is running", where=path, hint="wait for its end") from None
    except OSError as error:
        hint = "STATE_DIRECTORY chooses another place"
        raise JournalError(error.strerror or str(error), where=path, hint=hint) from None


@contextlib.contextmanager
def _progress(changes: tuple[Change, ...]) -> Iterator[Iterable[Change]]:
    if len(changes) > 1 and sys.stderr.isatty():
        with click.progressbar(changes, label="hcctl sync", file=sys.stderr) as bar:
            yield bar
    else:
        yield changes


def _show(plan: Plan, result: apply.Result, calls: int, tense: int) -> None:
    for change in result.done:
        words = click.style(f"{ACTIONS[change.action][tense]:8}", fg=_COLOURS[change.action])
        more = _differences(change)
        click.echo(f"{words} {change.slug}" + (f": {more}" if more else ""))
    for one in plan.extra:
        click.echo(
            f"extra    {one.slug or one.name}: no longer in the catalogue; --prune deletes it",
        )
    for why, slugs in _grouped(result.failed).items():
        click.echo(f"{click.style('failed', fg='red')}   {', '.join(slugs)}: {why}", err=True)
    counts = [
        f"{count} {words[1] if tense else 'to ' + words[0]}"
        for action, words in ACTIONS.items()
        if (count := sum(change.action == action for change in result.done))
    ]
    counts += [f"{plan.unchanged} unchanged"]
    counts += [f"{len(result.failed)} failed"] if result.failed else []
    click.echo(f"{', '.join(counts)} ({counted(calls, 'call')})")


def _grouped(failed: dict[str, str]) -> dict[str, list[str]]:
    """What failed for the same reason is said once."""
    found: dict[str, list[str]] = {}
    for slug, why in failed.items():
        found.setdefault(why, []).append(slug)
    return found


def _differences(change: Change) -> str:
    if change.action == "create":
        shown = [
            f"{f} {_short(after)}" for f, _, after in change.differences if f in _OF_A_NEW_CHECK
        ]
    else:
        shown = [f"{f} {_short(old)} -> {_short(new)}" for f, old, new in change.differences]
    return ", ".join(shown)


def _short(text: str) -> str:
    return shortened(text, _LONGEST)


def _plain(plan: Plan, result: apply.Result, calls: int) -> dict[str, object]:
    found: dict[str, object] = {
        action: {
            change.slug: {field: [old, new] for field, old, new in change.differences}
            for change in result.done
            if change.action == action
        }
        for action in ACTIONS
    }
    return found | {
        "failed": result.failed,
        "extra": [one.slug for one in plan.extra],
        "unchanged": plan.unchanged,
        "calls": calls,
    }
