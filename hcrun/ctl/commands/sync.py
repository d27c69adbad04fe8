"""`hcctl sync`: creates and updates the checks of the catalogue on the server."""

import contextlib
import json
import os
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import click

from hcrun import files
from hcrun.alerts import channels
from hcrun.api.client import HealthchecksClient
from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import ALL, Catalog, Check, load
from hcrun.ctl.connect import connect
from hcrun.ctl.options import confirm, select, use_project
from hcrun.ctl.table import options
from hcrun.errors import HcrunError, JournalError
from hcrun.journal.journal import open_existing
from hcrun.journal.renaming import rename
from hcrun.locks import FileLock
from hcrun.paths import state_directory
from hcrun.reports.checks import Selection, environment_of
from hcrun.settings import Settings
from hcrun.sync import apply
from hcrun.sync import env_file as env_files
from hcrun.sync.hold import Leases
from hcrun.sync.plan import PAST, Change, Plan, compare
from hcrun.text import counted, listed, one_line, shortened

_COLOURS = {"create": "green", "delete": "red"}  # others are yellow
_OF_A_NEW_CHECK = ("every", "schedule", "zone", "grace", "channels")
_MAX_LENGTH = 60  # characters of a value that is shown


@click.command()
@options("catalog", "selection", "sync")
def sync(
    catalog: str,
    plan_only: bool,
    prune: bool,
    prune_max: int,
    yes: bool,
    env_file: str,
    as_json: bool,
    **selected: tuple[str, ...],
) -> None:
    use_project(catalog, selected["environments"])
    loaded = load(catalog, obeyed=True)
    chosen = select(loaded, Selection(**selected))
    if env_file:
        env_files.check(env_file)
    client = connect()
    with contextlib.nullcontext() if plan_only else _alone():
        plan, unusable = _plan(client, loaded, chosen, prune)
        result = apply.Result(failed=dict(plan.ambiguous), uuids=dict(plan.uuids))
        refusals = [str(error) for error in (unusable, _too_many(plan, prune_max)) if error]
        if plan_only:
            result.done = list(plan.changes)
            for refusal in refusals:
                click.echo(f"hcctl: sync would refuse this: {refusal}", err=True)
        elif refusals:
            raise HcrunError(f"{'; '.join(refusals)}. Nothing was changed")
        else:
            _ask(plan, yes)
            with _progress(plan.changes) as changes:
                apply.apply(client, changes, result)
            _rename_runs(result)
        if as_json:
            click.echo(json.dumps(_as_json(plan, result, client.calls), indent=2))
        else:
            _show(plan, result, client.calls, plan_only)
        if env_file and not plan_only:  # last: if it fails, the changes have been shown
            files.write(env_file, env_files.render(result.uuids), 0o600)
        if not (as_json or plan_only or result.stopped):
            _show_next(result, catalog, env_file)
    every = len(plan.changes) + len(plan.ambiguous)
    if result.stopped:
        left = [*result.failed, *result.left(plan.changes)]
        message = f"{result.stopped}: {len(result.done)} of {every} changes are done,"
        hint = "run hcctl sync again: it makes only those that are missing"
        error = HcrunError(f"{message} {len(left)} are not: {listed(left)}", hint=hint)
        click.echo(f"hcctl: {error}", err=True)
        sys.exit(128 + signal.SIGINT if result.stopped == apply.INTERRUPTED else 1)
    if result.failed:
        message = f"{len(result.failed)} of {every} failed"
        raise HcrunError(message, hint="see above, and sync again")
    if plan_only and plan.changes:
        sys.exit(2)


def _plan(
    client: HealthchecksClient, catalog: Catalog, checks: list[Check], prune: bool
) -> tuple[Plan, HcrunError | None]:
    """Compare, and say which channels cannot be used.

    The server is asked for its channels only if that can make a difference.
    """
    remote = client.list_checks()
    leases = Leases(catalog, remote, client.list_flips, time.time())
    checks = [replace(check, grace=leases.grace(check)) for check in checks]
    names = {name for check in checks for name in check.channels}
    ids = channels.cached_ids(client, names) if names else {}
    if ids is not None:
        plan = compare(checks, remote, ids, catalog.checks, prune)
        if not plan.needs_channels:
            return plan, _elsewhere(plan, catalog, remote)
    there = client.list_channels()
    found = channels.ask(client, catalog, there)
    ids = {name: name for name in names} | {ALL: ",".join(one.id for one in there)}
    ids |= {one.name: one.id for one in there}
    ids |= {one.name: one.ids for one in found if not one.trouble}
    plan = compare(checks, remote, ids, catalog.checks, prune)
    wrong = [one for one in found if one.name in names and one.trouble]
    if wrong:
        hint = f'{channels.remedies(wrong)}, or use channels = "*", all channels of the project'
        return plan, HcrunError("; ".join(one.trouble for one in wrong), hint=hint)
    if ALL in names and not there:
        hint = "create one in the web interface, or with hcctl channels bootstrap"
        return plan, HcrunError("the project has no channels, so alerts reach nobody", hint=hint)
    return plan, _elsewhere(plan, catalog, remote)


def _elsewhere(plan: Plan, catalog: Catalog, remotes: Iterable[RemoteCheck]) -> HcrunError | None:
    """The settings are those of another environment's project, whose checks have these slugs."""
    changed = {change.uuid for change in plan.changes if change.uuid}
    for remote in remotes:
        there = environment_of(remote.tags)
        here = {check.environment for check in catalog.checks if check.slug == remote.slug}
        apart = here - {there} & catalog.projects.keys() or there in catalog.projects
        if remote.uuid in changed and there in catalog.environments and here - {there} and apart:
            what = f"{remote.slug} on this server is a check of {there}, not of {listed(here)}"
            hint = "set env_file or suffix in [environments.NAME], or use the keys of that project"
            return HcrunError(what, hint=hint)
    return None


def _deleted(plan: Plan) -> list[str]:
    return [change.slug for change in plan.changes if change.action == "delete"]


def _too_many(plan: Plan, most: int) -> HcrunError | None:
    deleted = _deleted(plan)
    if len(deleted) <= most:
        return None
    what = f"--prune would delete {len(deleted)} checks, more than {most}: {listed(deleted)}"
    return HcrunError(what, hint=f"if that is right, add --prune-max {len(deleted)}")


def _rename_runs(result: apply.Result) -> None:
    """Rename the checks in this user's journal; `hcctl status` does so in those of others."""
    names = {change.was: change.slug for change in result.done if change.was}
    if names:
        with contextlib.suppress(JournalError):  # there is none, or the next command does it
            rename(open_existing(), names, Settings.load())


def _ask(plan: Plan, yes: bool) -> None:
    deleted = _deleted(plan)
    if deleted and not yes:
        names = f"{listed(deleted)} with its history"
        confirm(f"Delete {names}?", f"delete {names}")


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
    for change in () if result.stopped else result.done:
        action = change.action if plan_only else PAST[change.action]
        differences = _differences(change)
        click.echo(
            f"{click.style(f'{action:8}', fg=_COLOURS.get(change.action, 'yellow'))} {change.slug}"
            + (f": {differences}" if differences else "")
        )
    for check in plan.extra:
        name = check.label
        click.echo(f"extra    {name}: no longer in the catalogue; --prune deletes it")
    reasons: dict[str, list[str]] = {}
    for slug, why in result.failed.items():
        reasons.setdefault(why, []).append(slug)
    for why, slugs in reasons.items():
        click.echo(f"{click.style('failed', fg='red')}   {listed(slugs)}: {why}", err=True)
    totals = Counter(change.action for change in result.done)
    counts = [
        f"{totals[action]} {f'to {action}' if plan_only else past}"
        for action, past in PAST.items()
        if totals[action]
    ]
    counts += [f"{plan.unchanged} unchanged"]
    if result.failed:
        counts += [f"{len(result.failed)} failed"]
    if result.stopped:
        counts += [f"{len(result.left(plan.changes))} not tried"]
    click.echo(f"{', '.join(counts)} ({counted(calls, 'call')})")


def _show_next(result: apply.Result, catalog: str, env_file: str) -> None:
    """Say where the UUIDs are and, after the first sync, what to do with the new checks."""
    settings = Settings.load()
    if env_file:
        click.echo(f"HC_CHECK_<SLUG> of {counted(len(result.uuids), 'check')}: {env_file}")
    if not any(change.action == "create" for change in result.done):
        return
    of = f" --catalog {shlex.quote(catalog)}" if catalog else ""
    first = "hcctl channels test"
    if env_file:
        place = settings.path or "/etc/hcrun/hcrun.env"
        first = f"cat {shlex.quote(env_file)} >> {place}    # then restart what pings\n  {first}"
    elif not settings.secret("HEALTHCHECKS_PING_KEY"):
        first = (
            f"hcctl sync{of} --env-file healthchecks.env    # UUIDs: no ping key is set\n  {first}"
        )
    install = f"hcctl install crontab{of}    # or systemd"
    click.echo(f"next steps:\n  {first}\n  {install}\n  hcctl doctor{of}")


def _differences(change: Change) -> str:
    texts = []
    for name, before, after in change.differences:
        shown = shortened(one_line(after), _MAX_LENGTH)
        if change.action != "create":  # all of what is lost
            texts.append(f"{name} {one_line(before)} -> {shown}")
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
        "left": result.left(plan.changes),
        "extra": [check.slug for check in plan.extra],
        "unchanged": plan.unchanged,
        "calls": calls,
    }
