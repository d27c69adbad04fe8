"""Whether a result that is delivered late still shows the state of its check.

A result goes to the check's log if a newer one is known, here or on the server. So does a success
that is so old that the check should have run again since. A failure is reported however old it is.
"""

import os
import time
from functools import cached_property

from hcrun.errors import ApiError, CatalogError, SettingsError
from hcrun.journal.message import LATE, late_note
from hcrun.journal.run import Run
from hcrun.paths import CATALOG
from hcrun.ping.target import Target
from hcrun.results import SUCCESS
from hcrun.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:  # what is loaded costs each run that finds a late result
    from hcrun.api.client import HealthchecksClient
    from hcrun.api.models import Check as RemoteCheck
    from hcrun.reports.lateness import Timing

_NEWER = "A newer result of this check is known."
_NEWER_THERE = "The server has a newer result of this check."
_OLD = "The check should have run again since."
_UNKNOWN = 86400.0  # seconds for which a success counts if the schedule of its check is not known
_NOT_FOR_US = (401, 403, 404)  # no valid key, or a check of another project
_LOOKED_AT = 10  # results on the server


class Judge:
    """Judges the results of one delivery. The server is asked once for each check.

    patience: seconds for an answer. After a failure the server is not asked again.
    """

    def __init__(self, settings: Settings, patience: float) -> None:
        self._settings = settings
        self._patience = patience
        self._checks: dict[str, RemoteCheck | None] = {}
        self._failure: ApiError | None = None
        self._catalogued: dict[str, Timing] | None = None

    def ping(self, run: Run, target: Target, superseded: bool = False) -> tuple[str, str]:
        """The action of the ping, and a note for its text.

        Raises ApiError if the server was asked and did not answer: then a success must wait, as it
        might hide a newer failure. `superseded`: by a newer result in the journal.
        """
        why = _NEWER if superseded else self._why_logged(run, target)
        note = late_note(run)
        return ("/log", f"{note} {why}") if why else (run.action, note)

    def _why_logged(self, run: Run, target: Target) -> str:
        if run.action == "/log":
            return ""
        ended = run.ended or run.started
        remote = self._remote(target)
        if remote and self._has_newer(remote, ended, run.result == SUCCESS):
            return _NEWER_THERE
        if run.result != SUCCESS:
            return ""
        if time.time() >= self._next_due(run.check, ended, remote):
            return _OLD
        if self._failure and self._may_ask(target):
            raise self._failure
        return ""

    # The server

    @cached_property
    def _client(self) -> "HealthchecksClient | None":
        try:
            read_only = not self._settings.secret("HEALTHCHECKS_API_KEY")
            from hcrun.api.client import HealthchecksClient  # loads `json`

            settings = self._settings.over({"HEALTHCHECKS_RETRY_COUNT": "1"})
            client = HealthchecksClient(
                timeout=self._patience, read_only=read_only, _settings=settings
            )
            client.connect()
            return client
        except (SettingsError, ApiError):
            return None

    def uuid_of(self, slug: str) -> str:
        """The UUID of a check; "" if the server does not tell it."""
        try:
            check = self._client.get_check(slug) if self._client and not self._failure else None
        except ApiError as error:
            self._failure = error
            return ""
        return check.uuid if check else ""

    def _may_ask(self, target: Target) -> bool:
        # A slug under the ping key of a command line may be one of another project.
        return (target.by_uuid or not target.given) and self._client is not None

    def _remote(self, target: Target) -> "RemoteCheck | None":
        """The check as the server has it; None: it may not be asked, or did not answer."""
        if target.url not in self._checks and not self._failure and self._may_ask(target):
            self._checks[target.url] = self._look_up(target)
        return self._checks.get(target.url)

    def _look_up(self, target: Target) -> "RemoteCheck | None":
        assert self._client
        last = target.url.rpartition("/")[2]
        try:
            if target.by_uuid:
                return self._client.get_check(last)
            checks = self._client.list_checks(slug=last)
        except ApiError as error:
            if error.status not in _NOT_FOR_US:
                self._failure = error
            return None
        return checks[0] if len(checks) == 1 else None

    def _has_newer(self, remote: "RemoteCheck", ended: float, in_doubt: bool) -> bool:
        """Whether the server has a result of a run that ended later.

        It tells the second in which the last result arrived. With a read-write key it shows all
        results, more exactly, and which of them were late themselves. `in_doubt`: what to answer if
        it was the same second.
        """
        if remote.last_ping is None or remote.last_ping < int(ended):
            return False
        if not remote.uuid or not self._client:
            return in_doubt or remote.last_ping > ended
        try:
            pings = self._client.list_pings(remote.uuid)
            later = [p for p in pings if p.type in ("success", "fail") and p.date > ended]
            for ping in later[:_LOOKED_AT]:
                if _true_end(ping.body(), ping.date) > ended:
                    return True
        except ApiError:
            return in_doubt
        return False

    # Schedules

    def _next_due(self, name: str, ended: float, remote: "RemoteCheck | None") -> float:
        """When the run after this one is overdue, so that its success says nothing any more."""
        timing = self._timing(name, remote)
        if timing is None:
            return ended + _UNKNOWN
        try:
            due = timing.due(ended)
        except Exception:  # a schedule that only the server's version of a parser knows
            return ended + _UNKNOWN
        return float("inf") if due is None else due + timing.grace

    def _timing(self, name: str, remote: "RemoteCheck | None") -> "Timing | None":
        if not remote and not os.path.exists(CATALOG):
            return None
        from hcrun.catalog import load
        from hcrun.reports.lateness import Timing

        if remote:
            return Timing.of_remote(remote)
        if self._catalogued is None:
            try:
                checks = load(CATALOG, self._settings, obeyed=True).checks
            except (CatalogError, SettingsError):
                checks = ()
            self._catalogued = {check.slug: Timing.of_entry(check) for check in checks}
        return self._catalogued.get(name)


def _true_end(body: str, arrived: float) -> float:
    """When the run of a ping ended: `late_note` says it for a late one."""
    from datetime import UTC, datetime

    text = body.partition(LATE)[2][: len("2026-11-07 13:05:00")]
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return arrived
