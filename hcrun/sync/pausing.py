"""Takes checks out of service for a maintenance window, and back.

A ping resumes a paused check unless its manual_resume is set, and jobs go on pinging during
maintenance: so that is set first, and what it was is in the journal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hcrun.api.client import HealthchecksClient
from hcrun.api.models import RemoteCheck
from hcrun.errors import ApiError, HcrunError
from hcrun.journal import maintenance
from hcrun.journal.database import Database
from hcrun.journal.maintenance import Window, check_key


@dataclass(frozen=True)
class Planned:
    """What a window is for; `until` is None when it is left open."""

    began: float
    until: float | None
    reason: str
    user: str


def name_of(check: RemoteCheck) -> str:
    return check.slug or check.name or check.uuid[:8]


def choose(
    checks: Collection[RemoteCheck], names: Iterable[str], tags: Collection[str]
) -> list[RemoteCheck]:
    """Those with all of the tags, if there are any, by name; then those called so.

    A name may be a slug, a uuid or the check's name. Raises HcrunError for one that no check
    has, and for one that several have.
    """
    found = [check for check in checks if tags and set(tags) <= set(check.tags)]
    found.sort(key=name_of)
    for name in names:
        same = (
            [check for check in checks if check.slug == name]
            or [check for check in checks if check.uuid == name.lower()]
            or [check for check in checks if check.name == name]
        )
        if len(same) != 1:
            count = f"{len(same)} checks" if same else "no check"
            raise HcrunError(
                f"the server has {count} called {name}",
                hint="give the slug; hcctl status shows all" if not same else "give the uuid",
            )
        found += [check for check in same if check not in found]
    return found


def pause(
    client: HealthchecksClient,
    store: Database,
    check: RemoteCheck,
    planned: Planned,
    before: Window | None,
) -> tuple[str, str]:
    """What was done with the check, in a word, and what is to be known of it.

    `before` is its window that is still going. Raises ApiError; unless the server has refused, the
    window then stays, as the check may have changed: pausing again or resuming puts that right.
    """
    by_pings = not check.manual_resume
    if before and check.status == "paused":
        maintenance.extend(store, before.id, planned.until, planned.reason)
        return "extended", ""
    if before:  # somebody has resumed it, and manual_resume is still ours
        maintenance.end(store, before.id, planned.began)
        by_pings = by_pings or before.resumed_by_pings
    ours = check.status != "paused"
    window = Window(
        id=0,
        key=check_key(check.uuid),
        name=name_of(check),
        began=planned.began,
        until=planned.until,
        ended=None,
        reason=planned.reason,
        user=planned.user,
        ours=ours,
        resumed_by_pings=ours and by_pings,
    )
    number = maintenance.begin(store, window)
    if not ours:
        return "noted", "it was paused already, and will stay so"
    try:
        if not check.manual_resume:
            client.update(check.uuid, {"manual_resume": True})
        client.pause(check.uuid)
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
    """The same for the end of a window; `check` is None when the server has it no more."""
    word, more = "resumed", ""
    if check is None:
        word, more = "ended", "the server has this check no more"
    elif not window.ours:
        word, more = "ended", "it was paused before, and stays so"
    elif check.status != "paused":
        word, more = "ended", "it is not paused any more"
    else:
        try:
            client.resume(check.uuid)
        except ApiError as error:
            if error.status != 409:
                raise
            word, more = "ended", "it is not paused any more"  # since it was asked for
    if check and window.resumed_by_pings and check.manual_resume:
        client.update(check.uuid, {"manual_resume": False})
    maintenance.end(store, window.id, now)
    return word, more
