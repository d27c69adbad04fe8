"""Sender: sends the pings of this process one after the other, so that none overtakes another."""

import time

from hcrun.errors import ApiError, JournalError
from hcrun.integrations.log import warn
from hcrun.integrations.task_run import TaskRun
from hcrun.integrations.worker import Worker
from hcrun.journal.backlog import deliver_pending
from hcrun.journal.delivery import ASKING, BACKLOG, ONE_TRY, silent_place
from hcrun.journal.journal import Journal
from hcrun.ping import client
from hcrun.ping.http import Reply
from hcrun.reports.late import Judge
from hcrun.results import PENDING, REJECTED, SENT
from hcrun.settings import Settings

_LATE = 5.0  # seconds after which the start ping of a run that has ended is not sent any more
_LAST_START = 1.0  # seconds for a start ping while the process waits to exit
_MANY = 1000  # steps in the queue; further results stay in the journal for later
_DEADLINE = 20.0  # seconds for one result, as in hcrun
_PAUSE, _LONGEST_PAUSE = 30.0, 900.0  # seconds without a ping after a server has failed


class Sender:
    """Owns a thread. `leaving_at` (monotonic): the process waits no longer than until then."""

    def __init__(self) -> None:
        self.worker = Worker("hcrun-sender", warn, self._idle)
        self.leaving_at = float("inf")
        self.policy = client.Policy(3, 1.0)
        self.settings = Settings({}, {})  # until the recorder has loaded them
        self.journal: Journal | None = None  # once the recorder has opened it
        self.journal_is_complete = True  # it contains the ends of all runs of this process
        # A server, or a ping URL that only this address refuses -> no ping until then, monotonic.
        self._silent: dict[str, float] = {}
        self._pause = _PAUSE
        # Results that are not in the journal, by ping URL: only the newest is worth sending.
        self._unsent: dict[str, TaskRun] = {}

    # Called by the recorder

    def send_start(self, task: TaskRun) -> None:
        if self.worker.waiting() < _MANY:
            self.worker.put(lambda: self._start(task))

    def send_end(self, task: TaskRun) -> None:
        self.worker.put(lambda: self._end(task))

    def catch_up(self, journal: Journal) -> None:
        """Deliver the pending results of the journal."""
        self.worker.put(lambda: self._deliver_pending(journal, _DEADLINE))

    # Steps

    def _start(self, task: TaskRun) -> None:
        late = task.over and time.monotonic() - task.began > _LATE
        if late or self._is_silent(task):
            return
        patience = _LAST_START if self._leaving() else client.FIRST_TRY
        task.send_start(ONE_TRY, min(time.monotonic() + patience, self.leaving_at))

    def _end(self, task: TaskRun) -> None:
        self._unsent.pop(task.target.url, None)  # older
        crowded = task.recorded and self.worker.waiting() > _MANY
        if crowded or self._is_silent(task):
            self._record(task)
            return
        self._send(task)
        if task.delivery == SENT:
            self._pause = _PAUSE
            if self.journal:
                self._deliver_pending(self.journal, BACKLOG, task.server)

    def _send(self, task: TaskRun, note: str = "") -> None:
        """Send a result and record the answer. `note` is the first line of a result sent again."""
        deadline = min(time.monotonic() + _DEADLINE, max(self.leaving_at, time.monotonic() + 0.5))
        task.reply = task.send_end(self.journal, self.policy, deadline, self._leaving, note)
        why = client.explain(task.reply, task.target)
        if task.delivery == REJECTED:
            warn(f"{task.target.label}: not pinged: {why}")
        elif task.delivery == PENDING:
            if not note:
                warn(f"{task.target.label}: not delivered yet: {why}")
            self._leave_alone(task, task.reply)
        self._record(task)

    def _record(self, task: TaskRun) -> None:
        """Record the delivery. A result that is still pending stays in the journal or in memory."""
        if task.recorded and self.journal:
            try:
                task.record_delivery(self.journal)
                self.journal.release(task.row)
            except JournalError as error:  # not released, it is not sent again by this process
                warn(f"not recorded: {error}")
        elif task.delivery == PENDING:
            self._unsent[task.target.url] = task
        if task.delivery == PENDING:
            self._wake()

    # Results to be delivered later

    def _idle(self) -> None:
        """Try the remaining results again, after a pause."""
        judge = Judge(self.settings, ASKING)
        for url, task in list(self._unsent.items()):
            if not self._is_silent(task):
                try:
                    task.action, note = judge.ping(task.run, task.target)
                except ApiError:
                    continue
                del self._unsent[url]
                self._send(task, note)
        if self.journal:
            self._deliver_pending(self.journal, _DEADLINE)
        if self._unsent:
            self._wake()

    def _deliver_pending(self, journal: Journal, seconds: float, server: str = "") -> None:
        """Send pending results for `seconds`, and the rest after a pause."""
        seconds = min(seconds, self.leaving_at - time.monotonic())
        try:
            if self.journal_is_complete:
                deliver_pending(journal, self.settings, seconds, server=server)
            if journal.has_undelivered():
                self._wake()
        except JournalError as error:
            warn(f"not recorded: {error}")

    def _wake(self) -> None:
        if self.worker.wake_at is None:
            self.worker.wake_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    # Servers

    def _is_silent(self, task: TaskRun) -> bool:
        places = (task.server, task.target.url)
        return time.monotonic() < max(self._silent.get(place, 0.0) for place in places)

    def _leave_alone(self, task: TaskRun, reply: Reply) -> None:
        pause = client.Policy(1, self._pause).pause(1, reply)
        self._silent[silent_place(task.target.url, reply)] = time.monotonic() + pause

    def _leaving(self) -> bool:
        return self.leaving_at < float("inf")
