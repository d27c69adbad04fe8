"""Sends what there is to send, one ping after the other, so that none overtakes another."""

from __future__ import annotations

import time

from hcrun import ping
from hcrun.app.complain import complain
from hcrun.app.going import Going
from hcrun.app.worker import Worker
from hcrun.body import LIMIT, compose, opening
from hcrun.errors import JournalError
from hcrun.journal import Journal
from hcrun.reporter import base, deliver_pending, retry_policy
from hcrun.settings import Settings
from hcrun.wire import Reply

_LATE = 5.0  # seconds: the start of a run that is over is then not worth a ping
_LAST_START = 1.0  # seconds for a start ping when the process waits for its end
_MANY = 1000  # steps that wait; more than this are left to the journal
_DEADLINE = 20.0  # seconds for one result, as of hcrun
_PAUSE, _LONGEST_PAUSE = 30.0, 900.0  # seconds to leave a server alone that took no result
_BACKLOG = 1.0  # seconds for results of others, after one of our own was taken
_PRUNE_EVERY = 50  # runs


class Courier:
    """Owns a thread; `leaving_at` (monotonic) is when the process will not wait any longer."""

    def __init__(self) -> None:
        self.worker = Worker("hcrun-courier", self._idle)
        self.leaving_at = float("inf")
        self._policy = ping.Policy(3, 1.0)
        self._limits: dict[str, int] = {}  # bytes of a body, by server
        self._silent: dict[str, float] = {}  # server -> until when to leave it alone, monotonic
        self._pause = _PAUSE
        self._journal: Journal | None = None
        # What no journal keeps, by ping URL: only the newest is worth sending.
        self._unsent: dict[str, Going] = {}

    def configure(self, settings: Settings) -> None:
        self._policy = retry_policy(settings)

    # Called by the recorder

    def send_start(self, going: Going) -> None:
        if self.worker.waiting() < _MANY:
            self.worker.put(lambda: self._start(going))

    def send_end(self, going: Going, journal: Journal | None) -> None:
        self.worker.put(lambda: self._end(going, journal))

    def catch_up(self, journal: Journal) -> None:
        """Find what vanished, deliver what waits."""
        self.worker.put(lambda: self._catch_up(journal))

    # Steps

    def _start(self, going: Going) -> None:
        late = going.over and time.monotonic() - going.began > _LATE
        if late or self._is_silent(going):
            return
        url = going.target.address("/start", going.run.run_id)
        patience = _LAST_START if self._leaving() else ping.FIRST_TRY
        deadline = min(time.monotonic() + patience, self.leaving_at)
        reply = ping.send(url, opening(going.run), ping.Policy(1, 0.0), deadline)
        if ping.taken(reply):
            going.rid = going.run.run_id

    def _end(self, going: Going, journal: Journal | None) -> None:
        self._unsent.pop(going.target.url, None)  # older
        crowded = going.row and self.worker.waiting() > _MANY
        if crowded or self._is_silent(going):
            self._keep(going, journal)
            return
        if going.row and journal:
            self._await_older(going, journal)
        reply = self._ping(going)
        if ping.taken(reply):
            self._pause = _PAUSE
            self._settle(going, journal, "sent")
            if journal:
                self._deliver_pending(journal, _BACKLOG, base(going.target.url))
        elif ping.transient(reply):
            complain(
                f"{going.target.label}: not delivered yet: {ping.explain(reply, going.target)}"
            )
            self._leave_alone(going, reply)
            self._keep(going, journal)
        else:
            complain(f"{going.target.label}: not pinged: {ping.explain(reply, going.target)}")
            self._settle(going, journal, "refused")

    def _await_older(self, going: Going, journal: Journal) -> None:
        """Another process may be sending an older result of the check as its state just now."""
        try:
            older = journal.has_older_pending(going.row, going.identity)
            if older and journal.lock_delivery(ping.FIRST_TRY / 2):
                journal.unlock_delivery()
        except JournalError as error:
            complain(f"not recorded: {error}")

    def _ping(self, going: Going, note: str = "") -> Reply:
        server = base(going.target.url)
        url = going.target.address(going.run.action, going.rid)
        text = compose(going.run, self._limits.get(server, LIMIT), note)
        deadline = min(time.monotonic() + _DEADLINE, max(self.leaving_at, time.monotonic() + 0.5))
        reply = ping.send(url, text, self._policy, deadline, self._leaving)
        limit = ping.body_limit(reply) if ping.taken(reply) else None
        if limit is not None:
            self._limits[server] = limit
        return reply

    def _settle(self, going: Going, journal: Journal | None, delivery: str) -> None:
        if not going.row or not journal:
            return
        try:
            journal.settle(going.row, delivery)
            if going.row % _PRUNE_EVERY == 0:
                journal.prune(time.time())
        except JournalError as error:
            complain(f"not recorded: {error}")
        journal.release(going.row)

    def _keep(self, going: Going, journal: Journal | None) -> None:
        """For later: in the journal, else in memory."""
        if going.row and journal:
            self._journal = journal
            journal.release(going.row)
        else:
            self._unsent[going.target.url] = going
        self._wake()

    # Later

    def _idle(self) -> None:
        """The pause is over: try what is left."""
        for url, going in list(self._unsent.items()):
            if self._is_silent(going):
                continue
            reply = self._ping(going, _late_note(going))
            if ping.transient(reply):
                self._leave_alone(going, reply)
            else:
                del self._unsent[url]
        if self._journal:
            self._deliver_pending(self._journal, _DEADLINE)
        if self._unsent:
            self._wake()

    def _catch_up(self, journal: Journal) -> None:
        try:
            journal.find_lost(time.time())
        except JournalError as error:
            complain(f"not recorded: {error}")
        else:
            self._deliver_pending(journal, _DEADLINE)

    def _deliver_pending(self, journal: Journal, seconds: float, server: str = "") -> None:
        """Send for so long what is in the journal; when something is left, again later."""
        self._journal = journal
        until = min(time.monotonic() + seconds, self.leaving_at)
        try:
            if journal.count_pending():
                deliver_pending(journal, until, lambda: False, server=server)
            if journal.count_pending():
                self._wake()
        except JournalError as error:
            complain(f"not recorded: {error}")

    def _wake(self) -> None:
        if self.worker.wake_at is None:
            self.worker.wake_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    # Servers

    def _is_silent(self, going: Going) -> bool:
        return time.monotonic() < self._silent.get(base(going.target.url), 0.0)

    def _leave_alone(self, going: Going, reply: Reply) -> None:
        pause = ping.Policy(1, self._pause).pause(1, reply)
        self._silent[base(going.target.url)] = time.monotonic() + pause

    def _leaving(self) -> bool:
        return self.leaving_at < float("inf")


def _late_note(going: Going) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(going.run.ended))
    return f"Delivered late: this was so at {when}."
