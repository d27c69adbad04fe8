"""Carries the changes of a plan out, one call each, and goes on where one fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from hcrun.api.client import HealthchecksClient
from hcrun.errors import ApiError
from hcrun.sync.plan import Change, Plan

_BUSY = (429, 502, 503, 504)  # of a server, or a proxy before it, that does nothing for now
_MOST_BUSY = 3  # changes in a row, each tried several times
NOT_TRIED = "not tried, as the server could not be asked any more"


@dataclass
class Result:
    """What became of a plan. `failed` says why, by slug; `uuids` are those of all checks known."""

    done: list[Change] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    uuids: dict[str, str] = field(default_factory=dict)


def begin(plan: Plan) -> Result:
    """With what no change can mend: two checks with one slug."""
    failed = {
        slug: f"{count} checks of the server have this slug, and its pings answer 409;"
        " give all but one of them another slug"
        for slug, count in plan.ambiguous.items()
    }
    return Result([], failed, dict(plan.uuids))


def apply(client: HealthchecksClient, changes: Iterable[Change], result: Result) -> None:
    """Each change by itself. Without an answer, or with a wrong key, the rest is not tried."""
    lost, busy, full = False, 0, ""
    for change in changes:
        if lost or (full and change.action == "create"):
            result.failed[change.slug] = NOT_TRIED if lost else full
            continue
        try:
            _apply(client, change, result)
        except ApiError as error:
            result.failed[change.slug] = str(error)
            busy = busy + 1 if error.status in _BUSY else 0
            lost = error.status in (0, 401) or busy == _MOST_BUSY
            if error.status == 403 and change.action == "create":  # the project's limit
                full = str(error)
        else:
            busy = 0
            result.done.append(change)
    made = [change.slug for change in result.done if change.action == "create"]
    if made and not lost:
        _look_again(client, made, result)


def _apply(client: HealthchecksClient, change: Change, result: Result) -> None:
    if change.action == "create":
        result.uuids[change.slug] = client.create(change.fields).uuid
    elif change.action == "delete":
        client.delete(change.uuid)
    else:
        client.update(change.uuid, change.fields)


def _look_again(client: HealthchecksClient, made: Iterable[str], result: Result) -> None:
    """Another host may have made the same checks at the same moment: no lock spans two hosts."""
    slugs: list[str] = []
    with contextlib.suppress(ApiError):  # everything was done; the next sync would see it
        slugs = [check.slug for check in client.checks()]
    for slug in made:
        if slugs.count(slug) > 1:
            result.failed[slug] = (
                "was made by somebody else at the same moment, too; delete one of the two,"
                " and sync from one host only"
            )
