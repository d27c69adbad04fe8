"""Applies the changes of a plan, one call each; a failure does not stop the others."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from hcrun.api.client import HealthchecksClient
from hcrun.errors import ApiError
from hcrun.sync.plan import Change

_BUSY = (429, 502, 503, 504)  # the server, or a proxy in front of it, is overloaded
INTERRUPTED = "interrupted"
_MAX_BUSY = 3  # changes in a row, each tried several times


@dataclass
class Result:
    """The result of a plan. `failed` has the reasons by slug, `uuids` those of all known checks.

    `stopped` is why the rest was not tried; "": it was.
    """

    done: list[Change] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    uuids: dict[str, str] = field(default_factory=dict)
    stopped: str = ""

    def left(self, changes: Iterable[Change]) -> list[str]:
        """The slugs of the changes that were neither made nor tried."""
        known = {change.slug for change in self.done} | self.failed.keys()
        return [change.slug for change in changes if change.slug not in known]


def apply(client: HealthchecksClient, changes: Iterable[Change], result: Result) -> None:
    """Apply the changes one by one, until Ctrl-C, or the server takes no more of them."""
    busy, full = 0, ""
    try:
        for change in changes:
            if full and change.action == "create":
                result.failed[change.slug] = full
                continue
            try:
                _apply(client, change, result)
            except ApiError as error:
                result.failed[change.slug] = str(error)
                busy = busy + 1 if error.status in _BUSY else 0
                if error.status in (0, 401) or busy == _MAX_BUSY:
                    result.stopped = "the server takes no more changes"
                    return
                if error.status == 403 and change.action == "create":  # the project's limit
                    full = str(error)
            else:
                busy = 0
                result.done.append(change)
        created = [change.slug for change in result.done if change.action == "create"]
        if created:
            _find_duplicates(client, created, result)
    except KeyboardInterrupt:
        result.stopped = INTERRUPTED


def _apply(client: HealthchecksClient, change: Change, result: Result) -> None:
    if change.action == "create":
        result.uuids[change.slug] = client.create_with(change.fields).uuid
    elif change.action == "delete":
        client.delete_check(change.uuid)
    else:
        client.update_check(change.uuid, **change.fields)


def _find_duplicates(client: HealthchecksClient, created: Iterable[str], result: Result) -> None:
    """Another host may have created the same checks at the same time: no lock spans two hosts."""
    slugs: list[str] = []
    with contextlib.suppress(ApiError):  # all is done; the next sync would see it
        slugs = [check.slug for check in client.list_checks()]
    for slug in created:
        if slugs.count(slug) > 1:
            result.failed[slug] = (
                "another host created this check at the same time; delete one of the two,"
                " and sync from one host only"
            )
