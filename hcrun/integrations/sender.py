"""Sends what there is to send, one ping after the other, so that none overtakes another."""

from __future__ import annotations

import time

from hcrun.errors import JournalError
from hcrun.integrations.log import warn
from hcrun.integrations.task_run import TaskRun
from hcrun.integrations.worker import Worker
from hcrun.journal.journal import Journal
from hcrun.journal.message import compose, opening
from hcrun.ping import client
from hcrun.ping.body import LIMIT
from hcrun.ping.wire import Reply
from hcrun.run.reporter import base, deliver_pending

_LATE = 5.0  # seconds: the start of a run that is over is then not worth a ping
_LAST_START = 1.0  # seconds for a start ping when the process waits for its end
_MANY = 1000  # steps that wait; more than this are left to the journal
_DEADLINE = 20.0  # seconds for one result, as of hcrun
_PAUSE, _LONGEST_PAUSE = 30.0, 900.0  # seconds to leave a server alone that took no result
_BACKLOG = 1.0  # seconds for results of others, after one of our own was taken
_PRUNE_EVERY = 50  # runs


class Sender:
    """Owns a thread; `leaving_at` (monotonic) is when the process will not wait any longer."""

    def __init__(self) -> None:
        self.worker = Worker("hcrun-courier", self._idle)
        self.leaving_at = float("inf")
        self.policy = client.Policy(3, 1.0)
        self.journal: Journal | None = None  # once the recorder has opened it
        self.journal_is_complete = True  # it has the ends of all runs of this process
        self._limits: dict[str, int] = {}  # bytes of a body, by server
        # Server, or ping URL that somebody else refuses -> until when to leave it alone, monotonic
        self._silent: dict[str, float] = {}
        self._pause = _PAUSE
        # What is in no journal, by ping URL: only the newest is worth sending.
        self._unsent: dict[str, TaskRun] = {}

    # Called by the recorder

    def send_start(self, going: TaskRun) -> None:
        if self.worker.waiting() < _MANY:
            self.worker.put(lambda: self._start(going))

    def send_end(self, going: TaskRun) -> None:
        self.worker.put(lambda: self._end(going))

    def catch_up(self, journal: Journal) -> None:
        """Deliver what is in the journal."""
        self.worker.put(lambda: self._deliver_pending(journal, _DEADLINE))

    # Steps

    def _start(self, going: TaskRun) -> None:
        late = going.over and time.monotonic() - going.began > _LATE
        if late or self._is_silent(going):
            return
        url = going.target.address("/start", going.run.run_id)
        patience = _LAST_START if self._leaving() else client.FIRST_TRY
        deadline = min(time.monotonic() + patience, self.leaving_at)
        reply = client.send(url, opening(going.run), client.Policy(1, 0.0), deadline)
        if client.accepted(reply):
            self._learn_limit(going, reply)
            going.rid = going.run.run_id

    def _end(self, going: TaskRun) -> None:
        self._unsent.pop(going.target.url, None)  # older
        crowded = going.recorded and self.worker.waiting() > _MANY
        if crowded or self._is_silent(going):
            self._keep(going)
            return
        reply = self._ping(going)
        if client.accepted(reply):
            self._pause = _PAUSE
            self._settle(going, "sent")
            if self.journal:
                self._deliver_pending(self.journal, _BACKLOG, base(going.target.url))
        elif client.rejected(reply):
            self._complain(going, "not pinged", reply)
            self._settle(going, "refused")
        else:
            self._complain(going, "not delivered yet", reply)
            self._leave_alone(going, reply)
            self._keep(going)

    def _ping(self, going: TaskRun, note: str = "") -> Reply:
        url = going.target.address(going.run.action, going.rid)
        text = compose(going.run, self._prepare(going), note)
        deadline = min(time.monotonic() + _DEADLINE, max(self.leaving_at, time.monotonic() + 0.5))
        reply = client.send(url, text, self.policy, deadline, self._leaving)
        if client.accepted(reply):
            self._learn_limit(going, reply)
        return reply

    def _prepare(self, going: TaskRun) -> int:
        """Let no other process overtake; returns how long the text may be, in bytes."""
        server = base(going.target.url)
        try:
            if self.journal and server not in self._limits:
                self._limits[server] = self.journal.body_limit(server)
            # Another process may be sending an older result of the check as its state just now.
            older = self.journal and self.journal.has_others_pending(going.identity)
            if self.journal and older and self.journal.lock_delivery(client.FIRST_TRY / 2):
                self.journal.unlock_delivery()
        except JournalError as error:
            warn(f"not recorded: {error}")
        return self._limits.get(server, LIMIT)

    def _learn_limit(self, going: TaskRun, reply: Reply) -> None:
        server = base(going.target.url)
        limit = client.body_limit(reply)
        if limit is None or limit == self._limits.get(server):
            return
        self._limits[server] = limit
        try:
            if self.journal:
                self.journal.keep_body_limit(server, limit)
        except JournalError as error:
            warn(f"not recorded: {error}")

    def _settle(self, going: TaskRun, delivery: str) -> None:
        going.settled = delivery
        if not going.recorded or not self.journal:
            return
        try:
            self.journal.settle(going.row, delivery)
            if going.row % _PRUNE_EVERY == 0:
                self.journal.prune(time.time())
            self.journal.release(going.row)
        except JournalError as error:  # not released, it is not sent again by this process
            warn(f"not recorded: {error}")

    def _keep(self, going: TaskRun) -> None:
        """For later: in the journal, else in memory."""
        if going.recorded and self.journal:
            self.journal.release(going.row)
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
            if client.accepted(reply) or client.rejected(reply):
                del self._unsent[url]
                self._settle(going, "sent" if client.accepted(reply) else "refused")
            else:
                self._leave_alone(going, reply)
        if self.journal:
            self._deliver_pending(self.journal, _DEADLINE)
        if self._unsent:
            self._wake()

    def _deliver_pending(self, journal: Journal, seconds: float, server: str = "") -> None:
        """Send for so long what is in the journal; when something is left, again later."""
        until = min(time.monotonic() + seconds, self.leaving_at)
        try:
            if self.journal_is_complete and journal.count_pending():
                deliver_pending(journal, until, lambda: False, server=server)
            if journal.count_pending():
                self._wake()
        except JournalError as error:
            warn(f"not recorded: {error}")

    def _wake(self) -> None:
        if self.worker.wake_at is None:
            self.worker.wake_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    # Servers

    def _is_silent(self, going: TaskRun) -> bool:
        url = going.target.url
        return time.monotonic() < max(self._silent.get(place, 0.0) for place in (base(url), url))

    def _leave_alone(self, going: TaskRun, reply: Reply) -> None:
        url = going.target.url
        place = base(url) if client.retryable(reply) else url
        pause = client.Policy(1, self._pause).pause(1, reply)
        self._silent[place] = time.monotonic() + pause

    def _leaving(self) -> bool:
        return self.leaving_at < float("inf")

    def _complain(self, going: TaskRun, what: str, reply: Reply) -> None:
        warn(f"{going.target.label}: {what}: {client.explain(reply, going.target)}")


def _late_note(going: TaskRun) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(going.run.ended))
    return f"Delivered late: this was so at {when}."
