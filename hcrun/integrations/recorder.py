"""What the application says of its runs -> the journal, and on to the sender."""

from __future__ import annotations

import threading
import time

from hcrun.errors import JournalError
from hcrun.excerpt import excerpt
from hcrun.integrations.log import warn
from hcrun.integrations.sender import Sender
from hcrun.integrations.task_run import TaskRun
from hcrun.journal import end_marker
from hcrun.journal.delivery import redactor, retry_policy
from hcrun.journal.journal import Journal
from hcrun.journal.run import in_a_line, user_name
from hcrun.paths import state_directory
from hcrun.ping.target import Target, resolve
from hcrun.redact import Redactor
from hcrun.settings import Settings

_MOST_UNFINISHED = 100  # runs
_TRY_AGAIN = 60.0  # seconds after which a journal that could not be opened may be there


class Recorder:
    """Its methods, but for those about forks, are steps of one thread."""

    def __init__(self, sender: Sender, may_record: bool) -> None:
        self.sender = sender
        self._may_record = may_record
        self._journal: Journal | None = None
        self._opening = threading.RLock()
        self._open_at = 0.0  # monotonic; not before
        self._settings: Settings | None = None
        self._known: dict[str, tuple[Target, Redactor]] = {}
        self._unfinished: list[TaskRun] = []  # over, but the journal did not take it yet
        self._user = user_name()

    # Steps

    def begin(self, task: TaskRun) -> None:
        """A run has begun."""
        target = self._describe(task)
        journal = self._open()
        try:
            if journal:
                self._record_ends(journal)  # of two runs the one recorded later is the newer
                task.begin(journal)
        except JournalError as error:
            warn(f"not recorded: {error}")
        if task.start and target.url:
            self.sender.send_start(task)

    def end(self, task: TaskRun) -> None:
        """It has ended, perhaps without a word about its beginning."""
        target = self._describe(task)
        _, hide = self._known[task.check]
        run = task.run
        run.why = in_a_line(hide.text(run.why))
        kept = task.output
        run.excerpt = excerpt(kept.head, kept.omitted, kept.tail, hide)
        if task.journaled:
            self._finish(task)
        if target.url:
            self.sender.send_end(task)
        elif task.recorded and self._journal:
            self._journal.release(task.row)

    def look(self) -> None:
        """Find runs whose process vanished, and deliver what others left."""
        journal = self._open()
        if journal and self._settings_now().enabled():
            try:
                journal.find_lost(time.time())
            except JournalError as error:
                warn(f"not recorded: {error}")
            self.sender.catch_up(journal)

    def _finish(self, task: TaskRun) -> None:
        """Record its end, after those that the journal did not take before.

        Until it has taken all, what waits in it is not sent: older results would be sent as the
        newest of their check.
        """
        self._unfinished = [*self._unfinished[1 - _MOST_UNFINISHED :], task]
        try:
            self._record_ends(self._open(), task)
        except JournalError as error:
            warn(f"not recorded: {error}")
            if task.row and self._journal:  # this process may end before the journal takes it
                end_marker.leave(self._journal.path, task.run, task.delivery)

    def _record_ends(self, journal: Journal | None, latest: TaskRun | None = None) -> None:
        """Of all that are over; the `latest` is still to be told by the sender."""
        try:
            while journal and self._unfinished:
                first = self._unfinished[0]
                if not first.row:
                    first.begin(journal)
                first.finish(journal)
                self._unfinished.pop(0)
                if first is latest:
                    break
                end_marker.forget(journal.path, first.run.run_id)
                first.record_delivery(journal)
                journal.release(first.row)
        finally:
            self.sender.journal_is_complete = not self._unfinished

    def _describe(self, task: TaskRun) -> Target:
        target, hide = self._known.get(task.check) or self._learn(task.check)
        run = task.run
        task.target = target
        run.check = target.label
        run.user = self._user
        run.command = in_a_line(hide.text(task.what))
        return target

    def _learn(self, check: str) -> tuple[Target, Redactor]:
        settings = self._settings_now()
        target = resolve(check, settings)
        for problem in [*settings.problems, target.why]:
            if problem:
                warn(problem)
        self._known[check] = found = (target, redactor(settings, target))
        return found

    def _settings_now(self) -> Settings:
        if self._settings is None:
            self._settings = Settings.load()
            self.sender.policy = retry_policy(self._settings)
        return self._settings

    def _open(self) -> Journal | None:
        if self._journal or time.monotonic() < self._open_at:
            return self._journal
        if not self._may_record:
            warn("not recorded: this process was forked while the journal was busy")
            return None
        with self._opening:
            try:
                self._journal = self.sender.journal = journal = Journal(state_directory())
                if journal.set_aside:
                    warn(f"the journal was corrupt and is now {journal.set_aside}")
                journal.find_lost(time.time())
            except JournalError as error:
                warn(f"not recorded: {error}")
                self._open_at = time.monotonic() + _TRY_AGAIN
        return self._journal

    # Forks, in whatever thread forks

    def before_fork(self, patience: float) -> bool:
        """Close the journal until `after_fork`; False when it could not be, in `patience` seconds.

        Then the forked process must not open it: SQLite would take the locks for its own.
        """
        if not self._opening.acquire(timeout=patience):
            return False
        if self._journal and not self._journal.before_fork(patience):
            self._opening.release()
            return False
        return True

    def after_fork(self) -> None:
        if self._journal:
            self._journal.after_fork()
        self._opening.release()
