"""Recorder: writes the runs of the application into the journal and hands them to the sender."""

import threading
import time

from hcrun.errors import JournalError
from hcrun.excerpt import excerpt
from hcrun.integrations.dropped import Dropped
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
from hcrun.results import FAIL
from hcrun.settings import Settings

_MAX_UNFINISHED = 1000  # runs
_RETRY_AFTER = 60.0  # seconds before a journal that could not be opened is tried again


class Recorder:
    """All methods except those about forks run in one thread."""

    def __init__(self, sender: Sender, dropped: Dropped, may_record: bool) -> None:
        self.sender = sender
        self._dropped = dropped
        self._may_record = may_record
        self._journal: Journal | None = None
        self._opening = threading.RLock()
        self._open_at = 0.0  # monotonic; not before
        self._known: dict[str, tuple[Target, Redactor]] = {}
        self._unfinished: list[TaskRun] = []  # ended, but not yet in the journal
        self._user = user_name()
        self._settings: Settings | None = None

    # Steps

    def begin(self, task: TaskRun) -> None:
        """Record and announce that a run has begun."""
        target = self._describe(task)
        journal = self._open()
        try:
            if journal:
                self._record_ends(journal)  # the journal takes the run recorded last as the newest
                task.begin(journal)
        except JournalError as error:
            warn(f"not recorded: {error}")
        if task.start and target.url:
            self.sender.send_start(task)

    def end(self, task: TaskRun) -> None:
        """Record and send the result of a run, whose start may not have been recorded."""
        target = self._describe(task)
        _, hide = self._known[task.check]
        run = task.run
        run.why = in_a_line(hide.text(run.why))
        run.excerpt = excerpt(*task.output, hide)
        if task.journaled:
            self._finish(task)
        if target.url:
            self.sender.send_end(task)
        elif task.recorded and self._journal:
            try:
                self._journal.release(task.row)
            except JournalError as error:
                warn(f"the journal was not pruned: {error}")

    def catch_up(self) -> None:
        """Find runs whose process vanished, and deliver what other processes left."""
        journal = self._open()
        if journal and self._load_settings().enabled():
            try:
                journal.find_lost(time.time())
            except JournalError as error:
                warn(f"not recorded: {error}")
            self.sender.catch_up(journal)

    def _finish(self, task: TaskRun) -> None:
        """Record the end of a run, after the ends that could not be recorded before.

        Until all ends are recorded, the sender sends no pending results from the journal: an older
        result would look like the latest of its check.
        """
        self._unfinished.append(task)
        if len(self._unfinished) > _MAX_UNFINISHED:
            other = (each for each in self._unfinished if each.run.result != FAIL)
            dropped = next(other, self._unfinished[0])
            self._unfinished.remove(dropped)
            if not dropped.row:  # no marker has its end
                self._dropped.add(dropped.run.result)
        try:
            self._record_ends(self._open(), task)
        except JournalError as error:
            warn(f"not recorded: {error}")
            if task.row and self._journal:  # this process may end before the journal works again
                end_marker.leave(self._journal.path, task.run, task.delivery)

    def _record_ends(self, journal: Journal | None, latest: TaskRun | None = None) -> None:
        """Record all unfinished runs up to `latest`, whose result the sender sends next."""
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
        if task.check not in self._known:
            self._known[task.check] = find_target(task.check, self._load_settings())
        target, hide = self._known[task.check]
        run = task.run
        task.target = target
        run.check = target.label
        run.user = self._user
        run.command = in_a_line(hide.text(task.what))
        return target

    def _load_settings(self) -> Settings:
        if self._settings is None:  # no cached_property: until 3.11 a fork may leave its lock held
            self._settings = self.sender.settings = Settings.load()
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
                journal.adopt()
                journal.find_lost(time.time())
            except JournalError as error:
                warn(f"not recorded: {error}")
                self._open_at = time.monotonic() + _RETRY_AFTER
        return self._journal

    # Forks: these run in the thread that forks

    def before_fork(self, patience: float) -> bool:
        """Close the journal until `after_fork`, and wait for that at most `patience` seconds.

        Returns False if it is still open. Then the child must not open it, because SQLite in the
        child would release the locks of the parent.
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


def find_target(check: str, settings: Settings, patience: float = 0.0) -> tuple[Target, Redactor]:
    """Return the ping URL of a check and what hides its secrets; log what is wrong (see `warn`)."""
    target = resolve(check, settings)
    for problem in filter(None, [*settings.problems, target.why]):
        warn(problem, patience)
    return target, redactor(settings, target)
