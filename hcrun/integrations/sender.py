"""Sender: sends the pings of this process one after the other, so that none overtakes another."""

import time

from hcrun.errors import ApiError, HcrunError, JournalError
from hcrun.integrations.log import warn
from hcrun.integrations.task_run import TaskRun
from hcrun.integrations.worker import Worker
from hcrun.journal.backlog import deliver_pending
from hcrun.journal.delivery import ASKING, BACKLOG, ONE_TRY, silent_place
from hcrun.journal.journal import Journal
from hcrun.journal.second import named
from hcrun.ping import client
from hcrun.ping.http import Reply
from hcrun.ping.target import Target, resolve
from hcrun.reports.late import Judge
from hcrun.results import PENDING, REJECTED, SENT
from hcrun.settings import Settings

_LATE = 5.0  # seconds after which the start ping of a run that has ended is not sent any more
_LAST_START = 1.0  # seconds for a start ping while the process waits to exit
_MANY = 1000  # steps in the queue; further results stay in the journal for later
_DEADLINE = 20.0  # seconds for one result, as in hcrun
_PAUSE, _LONGEST_PAUSE = 30.0, 900.0  # seconds without a ping after a server has failed
_NO_CHECK = 404


class Sender:
    """Owns a thread. `leaving_at` (monotonic): the process waits no longer than until then.

    `second`: for the second server, on which it creates no check.
    """

    def __init__(self, second: bool = False) -> None:
        self._second = second
        self.worker = Worker("hcrun-sender", warn, self._idle)
        self.leaving_at = float("inf")
        # Those of the latest run, once the recorder has loaded and opened them:
        self.policy = client.Policy(3, 1.0)
        self.settings = Settings({}, {})
        self.journal: Journal | None = None
        self.journal_is_complete = True  # it contains the ends of all runs of this process
        self.is_behind = False  # a result of this process is not delivered yet
        # A server, or a ping URL that only this address refuses -> no ping until then, monotonic.
        self._silent: dict[str, float] = {}
        self._pause = _PAUSE
        # Results that are not in the journal, by check: only the newest is worth sending.
        self._unsent: dict[int, TaskRun] = {}

    # Called by the recorder

    def send_start(self, task: TaskRun) -> None:
        if self.worker.waiting() < _MANY:
            self.worker.put(lambda: self._start(task))

    def send_end(self, task: TaskRun) -> None:
        self.worker.put(lambda: self._end(task))

    def catch_up(self) -> None:
        """Deliver the pending results of the journal."""
        self.worker.put(lambda: self._deliver_pending(_DEADLINE))

    # Steps

    def _start(self, task: TaskRun) -> None:
        late = task.over and time.monotonic() - task.began > _LATE
        if late or self._is_silent(task) or not self._find(task):
            return
        patience = _LAST_START if self._leaving() else client.FIRST_TRY
        task.send_start(ONE_TRY, min(time.monotonic() + patience, self.leaving_at))

    def _end(self, task: TaskRun) -> None:
        self._unsent.pop(task.identity, None)  # older
        crowded = task.recorded and self.worker.waiting() > _MANY
        if crowded or self._is_silent(task) or not self._find(task):
            self._record(task)
            return
        self._send(task)
        if task.delivery == SENT:
            self._pause = _PAUSE
            self._deliver_pending(BACKLOG, task.server)

    def _send(self, task: TaskRun, note: str = "") -> None:
        """Send a result and record the answer. `note` is the first line of a result sent again."""
        deadline = min(time.monotonic() + _DEADLINE, max(self.leaving_at, time.monotonic() + 0.5))
        task.reply = task.send_end(task.journal, self.policy, deadline, self._leaving, note)
        target = task.target
        is_new = task.reply.status == _NO_CHECK and task.monitor.new and not target.by_uuid
        if is_new and not self._second:
            try:
                if self._uuid_of(task):
                    task.reply = task.send_end(task.journal, ONE_TRY, deadline, self._leaving, note)
            except HcrunError as error:
                self._warn(target, f"not created: {error}")
        if task.delivery == REJECTED:
            self._warn(target, f"not pinged: {self._why(task)}")
        elif task.delivery == PENDING:
            if not note:
                self._warn(target, f"not delivered yet: {self._why(task)}")
            self._leave_alone(silent_place(target.url, task.reply), task.reply)
        self._record(task)

    def _find(self, task: TaskRun) -> bool:
        """Return whether the ping URL is known: the Management API knows that of a mere name."""
        target = task.target
        if target.url:
            return True
        try:
            uuid = self._uuid_of(task)
        except HcrunError as error:
            self._warn(target, f"not delivered yet: {error}")
            self._leave_alone(target.label, Reply())
            return False
        if not uuid:
            task.reply = Reply(_NO_CHECK)
            task.reply.text = "not found"
            self._warn(target, f"not pinged: {self._why(task)}")
            return False
        target.url, target.by_uuid = resolve(uuid, self.settings).url, True
        return True

    def _why(self, task: TaskRun) -> str:
        how = "create it there" if self._second else "give its name as check_name= to create it"
        return client.explain(task.reply or Reply(), task.target, how)

    def _warn(self, target: Target, what: str) -> None:
        text = f"{target.label}: {what}"
        warn(f"second server: {named(text)}" if self._second else text)

    def _uuid_of(self, task: TaskRun) -> str:
        """Ask the Management API, which creates the check if its monitor says so."""
        from hcrun.integrations import creation  # loads the catalogue; few applications need it

        return creation.uuid_of(task.target.label, self.settings, task.monitor.new)

    def _record(self, task: TaskRun) -> None:
        """Record the delivery. A result that is still pending stays in the journal or in memory."""
        if task.recorded and task.journal:
            try:
                task.record_delivery(task.journal)
                task.journal.release(task.row)
            except JournalError as error:  # not released, it is not sent again by this process
                warn(f"not recorded: {error}")
        elif task.delivery == PENDING:
            self._unsent[task.identity] = task
        if task.delivery == PENDING:
            self.is_behind = True
            self._wake()

    # Results to be delivered later

    def _idle(self) -> None:
        """Try the remaining results again, after a pause."""
        judge = Judge(self.settings, ASKING)
        for identity, task in list(self._unsent.items()):
            if not self._is_silent(task) and self._find(task):
                try:
                    task.action, note = judge.ping(task.run, task.target)
                except ApiError:
                    continue
                del self._unsent[identity]
                self._send(task, note)
        self._deliver_pending(_DEADLINE)

    def _deliver_pending(self, seconds: float, server: str = "") -> None:
        """Send pending results of the journal for `seconds`, and the rest after a pause."""
        seconds = min(seconds, self.leaving_at - time.monotonic())
        self.is_behind = bool(self._unsent)
        try:
            if self.journal and self.journal_is_complete:
                deliver_pending(self.journal, self.settings, seconds, server=server)
            if self.journal and self.journal.has_undelivered():
                self.is_behind = True
        except JournalError as error:
            warn(f"not recorded: {error}")
        if self.is_behind:
            self._wake()

    def _wake(self) -> None:
        if self.worker.wake_at is None:
            self.worker.wake_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    # Servers

    def _is_silent(self, task: TaskRun) -> bool:
        places = (task.server, task.target.url or task.target.label)
        return time.monotonic() < max(self._silent.get(place, 0.0) for place in places)

    def _leave_alone(self, place: str, reply: Reply) -> None:
        pause = client.Policy(1, self._pause).pause(1, reply)
        self._silent[place] = time.monotonic() + pause

    def _leaving(self) -> bool:
        return self.leaving_at < float("inf")
