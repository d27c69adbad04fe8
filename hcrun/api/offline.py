"""The management API when HEALTHCHECKS_ENABLED is false: asks nobody, and knows of nothing."""

from __future__ import annotations

import json
from typing import Any

from hcrun.api.answer import Answer
from hcrun.api.transport import Caller

_NOBODY = "00000000-0000-0000-0000-000000000000"  # the uuid of a check that was only asked for
_EMPTY = ("checks", "pings", "flips", "channels")


class Offline(Caller):
    """Answers as a server would that does what it is told, and forgets it."""

    def __init__(self) -> None:
        self.url = ""
        self.calls = 0

    def __call__(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        query: object = None,
        headers: object = None,
        repeatable: bool = True,
    ) -> Answer:
        del query, headers, repeatable
        last = path.rstrip("/").rpartition("/")[2]
        if method == "GET" and last in _EMPTY:
            return Answer(200, json.dumps({last: []}))
        if method == "GET" and last == "body":
            return Answer(200)
        if last in ("status", "metrics"):
            return Answer(200, "{}")
        uuid = _NOBODY if last == "checks" else path.split("/")[1]
        status = "paused" if last == "pause" else "new"
        return Answer(200, json.dumps(_check(uuid, status) | (body or {})))


def _check(uuid: str, status: str) -> dict[str, Any]:
    words = dict.fromkeys(("name", "slug", "tags", "desc", "channels", "methods"), "")
    state = {"uuid": uuid, "status": status, "started": False, "last_ping": None, "next_ping": None}
    return {**words, **state, "n_pings": 0, "timeout": 86400, "grace": 3600, "manual_resume": False}
