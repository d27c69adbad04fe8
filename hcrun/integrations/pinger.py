"""`Pinger`: the pings of one check, by hand."""

from __future__ import annotations

import time
from uuid import uuid4

from hcrun.errors import UsageError
from hcrun.excerpt import Excerpt
from hcrun.integrations.log import warn
from hcrun.journal.delivery import redactor, retry_policy
from hcrun.ping import client
from hcrun.ping.body import LIMIT, fit
from hcrun.ping.target import resolve, validate
from hcrun.settings import Settings
from hcrun.text import clean


class Pinger:
    """Pings a check: a name, UUID or ping URL, as `hcrun` takes it.

        pinger = Pinger("backup")
        pinger.start()
        ...
        pinger.success("42 files")

    Each method waits for the server, with retries, for at most `deadline` seconds, and returns
    whether the ping was taken: False also when pinging is switched off. Why it was not is said in
    the log `hcrun`. Nothing is kept for later: for that there is `monitor_task`. Texts are sent
    without secrets, and cut to what the server keeps. One Pinger is for one run at a time.

    Raises UsageError for what can be no check; its methods raise nothing but for wrong arguments.
    """

    def __init__(
        self, check: str, settings: Settings | None = None, *, deadline: float = 20.0
    ) -> None:
        validate(check)
        settings = settings or Settings.load()
        self.deadline = deadline
        self._target = resolve(check, settings)
        self._redactor = redactor(settings, self._target)
        self._policy = retry_policy(settings)
        self._rid = ""
        self._limit = LIMIT
        for problem in [*settings.problems, self._target.why]:
            if problem:
                warn(problem)

    def start(self, text: str = "") -> bool:
        """A run begins: its end is to follow within the check's grace."""
        rid = str(uuid4())
        accepted = self._send("/start", text, rid)
        # Without a start that was taken, an end with a rid would be that of no run.
        self._rid = rid if accepted else ""
        return accepted

    def success(self, text: str = "") -> bool:
        return self._end("", text)

    def fail(self, text: str = "") -> bool:
        return self._end("/fail", text)

    def exit_status(self, status: int, text: str = "") -> bool:
        """0 is a success, 1 to 255 a failure. Raises UsageError for others."""
        if not 0 <= status <= 255:
            raise UsageError(
                f"{status} is no exit status", where="exit_status", hint="give one of 0 to 255"
            )
        return self._end(f"/{status}", text)

    def log(self, text: str) -> bool:
        """A word in the check's log, which changes nothing else."""
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
            warn(f"{target.label}: not pinged: {client.explain(reply, target)}")
            return False
        self._limit = client.body_limit(reply) or self._limit
        return True
