"""`Pinger`: sends pings of one check, under the control of the caller."""

import time
from uuid import uuid4

from hcrun.errors import UsageError
from hcrun.excerpt import Excerpt
from hcrun.integrations.log import warn
from hcrun.integrations.recorder import find_target
from hcrun.journal.delivery import retry_policy
from hcrun.journal.message import fit
from hcrun.ping import client
from hcrun.ping.client import LIMIT
from hcrun.ping.target import validate
from hcrun.settings import Settings
from hcrun.text import clean

_LOGGING = 1.0  # seconds that a method waits for the handlers of the log


class Pinger:
    """Sends pings of a check, given as for `hcrun`: by name, UUID or ping URL.

        pinger = Pinger("backup")
        pinger.start()
        ...
        pinger.success("42 files")

    Each method waits for the server, with retries, for at most `deadline` seconds, and returns
    whether the server accepted the ping. It returns False, too, if pings are switched off. The
    logger `hcrun` says why a ping was not accepted. Nothing is kept for later; `monitor_task` does
    that. Secrets are removed from texts, and long texts are cut to what the server stores. Use one
    Pinger for one run at a time.

    Raises UsageError if the name cannot be that of a check. The methods raise only for wrong
    arguments.
    """

    def __init__(
        self, check: str, settings: Settings | None = None, *, deadline: float = 20.0
    ) -> None:
        validate(check)
        settings = settings or Settings.load()
        self.deadline = deadline
        self._target, self._redactor = find_target(check, settings, _LOGGING)
        self._policy = retry_policy(settings)
        self._rid = ""
        self._limit = LIMIT

    def start(self, text: str = "") -> bool:
        """Report the start of a run. The end must follow within the check's grace time."""
        rid = str(uuid4())
        accepted = self._send("/start", text, rid)
        # Without an accepted start ping, the server knows no run with this rid.
        self._rid = rid if accepted else ""
        return accepted

    def success(self, text: str = "") -> bool:
        return self._end("", text)

    def fail(self, text: str = "") -> bool:
        return self._end("/fail", text)

    def exit_status(self, status: int, text: str = "") -> bool:
        """Report success for 0, failure for 1 to 255. Raises UsageError for other numbers."""
        if not 0 <= status <= 255:
            raise UsageError(
                f"invalid exit status {status}", where="exit_status", hint="use 0 to 255"
            )
        return self._end(f"/{status}", text)

    def log(self, text: str) -> bool:
        """Add a line to the check's log. The state of the check does not change."""
        return self._send("/log", text, self._rid)

    def _end(self, action: str, text: str) -> bool:
        rid, self._rid = self._rid, ""
        return self._send(action, text, rid)

    def _send(self, action: str, text: str, rid: str) -> bool:
        target = self._target
        if not target.url:
            return False
        hidden = self._redactor.text(clean(text.encode("utf-8", "replace")))
        body = fit(Excerpt(hidden), self._limit)
        until = time.monotonic() + self.deadline
        reply = client.send(target.address(action, rid), body, self._policy, until)
        if not client.accepted(reply):
            warn(f"{target.label}: not pinged: {client.explain(reply, target)}", _LOGGING)
            return False
        self._limit = client.body_limit(reply) or self._limit
        return True
