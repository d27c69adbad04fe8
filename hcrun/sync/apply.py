"""Applies the changes of a plan, one call each; a failure does not stop the others."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from hcrun.api.client import HealthchecksClient
from hcrun.errors import ApiError
from hcrun.sync.plan import Change, Plan

_BUSY = (429, 502, 503, 504)  # the server, or a proxy in front of it, is overloaded
_MAX_BUSY = 3  # changes in a row, each tried several times
NOT_TRIED = "not tried, because the server no longer answers"


@dataclass
class Result:
    """The result of a plan. `failed` has the reasons by slug, `uuids` those of all known checks."""

    done: list[Change] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    uuids: dict[str, str] = field(default_factory=dict)


def begin(plan: Plan) -> Result:
    """The result before any change: slugs that several checks have are failures."""
    failed = {
        slug: f"{count} checks of the server have this slug, so its pings answer 409;"
        " give all but one another slug"
        for slug, count in plan.ambiguous.items()
    }
    return Result([], failed, dict(plan.uuids))


def apply(client: HealthchecksClient, changes: Iterable[Change], result: Result) -> None:
    """Apply the changes one by one, until the server does not answer or rejects the key."""
    silent, busy, full = False, 0, ""
    for change in changes:
        if silent or (full and change.action == "create"):
            result.failed[change.slug] = NOT_TRIED if silent else full
            continue
        try:
            _apply(client, change, result)
        except ApiError as error:
            result.failed[change.slug] = str(error)
            busy = busy + 1 if error.status in _BUSY else 0
            silent = error.status in (0, 401) or busy == _MAX_BUSY
            if error.status == 403 and change.action == "create":  # the project's limit
                full = str(error)
        else:
            busy = 0
            result.done.append(change)
    created = [change.slug for change in result.done if change.action == "create"]
    if created and not silent:
        _find_duplicates(client, created, result)


def _apply(client: HealthchecksClient, change: Change, result: Result) -> None:
    if change.action == "create":
        result.uuids[change.slug] = client.create(change.fields).uuid
    elif change.action == "delete":
        client.delete(change.uuid)
    else:
        client.update(change.uuid, change.fields)


def _find_duplicates(client: HealthchecksClient, created: Iterable[str], result: Result) -> None:
    """Another host may have created the same checks at the same time: no lock spans two hosts."""
    slugs: list[str] = []
    with contextlib.suppress(ApiError):  # all is done; the next sync would see it
        slugs = [check.slug for check in client.checks()]
    for slug in created:
        if slugs.count(slug) > 1:
            result.failed[slug] = (
                "another host created this check at the same time; delete one of the two,"
                " and sync from one host only"
            )
