"""Pauses checks for a maintenance window, and resumes them.

A ping resumes a paused check unless its manual_resume is set, and jobs keep pinging during
maintenance: so manual_resume is set first, and the journal keeps its former value.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from hcrun.api.client import HealthchecksClient
from hcrun.api.models import Check as RemoteCheck
from hcrun.errors import ApiError, HcrunError
from hcrun.journal import maintenance
from hcrun.journal.database import Database
from hcrun.journal.maintenance import Window, check_key


def choose(
    checks: Collection[RemoteCheck], names: Iterable[str], tags: Collection[str]
) -> list[RemoteCheck]:
    """The checks with all of the tags, if any are given, by name; then those with these names.

    A name is a slug, a uuid or the name of a check. Raises HcrunError if not exactly one check
    has it.
    """
    chosen = [check for check in checks if tags and set(tags) <= set(check.tags)]
    chosen.sort(key=lambda check: check.label)
    for name in names:
        same = (
            [check for check in checks if check.slug == name]
            or [check for check in checks if check.uuid == name.lower()]
            or [check for check in checks if check.name == name]
        )
        if len(same) != 1:
            count = f"{len(same)} checks" if same else "no check"
            raise HcrunError(
                f"the server has {count} named {name}",
                hint="give the uuid" if same else "hcctl status lists all checks",
            )
        chosen += [check for check in same if check not in chosen]
    return chosen


def pause(
    client: HealthchecksClient,
    store: Database,
    check: RemoteCheck,
    planned: Window,
    before: Window | None,
) -> tuple[str, str]:
    """Pause a check; returns what was done, in a word, and a remark or "".

    `planned` is a window without a check, `before` the one that the check is in. Raises ApiError;
    the window then stays unless the server has rejected the request, because the check may be
    paused.
    """
    by_pings = not check.manual_resume
    if before and check.status == "paused":
        maintenance.extend(store, before.id, planned.until, planned.reason)
        return "extended", ""
    if before:  # resumed by other means; manual_resume is still set
        maintenance.end(store, before.id, planned.began)
        by_pings = by_pings or before.resumed_by_pings
    ours = check.status != "paused"
    key, name = check_key(check.uuid), check.label
    window = replace(planned, key=key, name=name, ours=ours, resumed_by_pings=ours and by_pings)
    number = maintenance.begin(store, window)
    if not ours:
        return "noted", "it was already paused and will stay paused"
    try:
        if not check.manual_resume:
            client.update_check(check.uuid, manual_resume=True)
        client.pause_check(check.uuid)
    except ApiError as error:
        if 400 <= error.status < 500:
            maintenance.delete(store, number)
        raise
    return "paused", ""


def resume(
    client: HealthchecksClient,
    store: Database,
    check: RemoteCheck | None,
    window: Window,
    now: float,
) -> tuple[str, str]:
    """End a window, as `pause`; `check` is None if it no longer exists."""
    word, more = "resumed", ""
    if check is None:
        word, more = "ended", "the check no longer exists"
    elif not window.ours:
        word, more = "ended", "it was paused before and stays paused"
    elif check.status != "paused":
        word, more = "ended", "it is no longer paused"
    else:
        client.resume_check(check.uuid)
    if check and window.resumed_by_pings and check.manual_resume:
        client.update_check(check.uuid, manual_resume=False)
    maintenance.end(store, window.id, now)
    return word, more
