"""Recorder: writes the runs of the application into the journal and hands them to the sender."""

import os
import time
from _thread import RLock
from collections.abc import Callable, Mapping

from hcrun import settings
from hcrun.errors import JournalError, SettingsError
from hcrun.excerpt import excerpt
from hcrun.integrations.log import warn
from hcrun.integrations.sender import Sender
from hcrun.integrations.task_run import TaskRun
from hcrun.journal import end_marker
from hcrun.journal.delivery import redactor, retry_policy, server_of
from hcrun.journal.journal import Journal
from hcrun.journal.run import in_a_line, user_name
from hcrun.journal.second import BY_SLUG, URL, SecondSettings, directory_of_second, second_target
from hcrun.paths import directory_of
from hcrun.ping.target import Target, resolve
from hcrun.redact import Redactor
from hcrun.results import FAIL
from hcrun.settings import Settings

_MAX_UNFINISHED = 1000  # runs
_RETRY_AFTER = 60.0  # seconds before a journal that could not be opened is tried again


class Recorder:
    """All methods except those about forks run in one thread.

    `drop` is called for a run whose result is lost. `second` gets each run, too, if there is a
    second server.
    """

    def __init__(
        self,
        sender: Sender,
        drop: Callable[[TaskRun], None],
        may_record: bool,
        second: "SecondRecorder | None" = None,
    ) -> None:
        self.sender = sender
        self._second = second
        self._drop = drop
        self._may_record = may_record
        self._journals: dict[str, Journal] = {}  # by directory; a process opens each once
        self._opening = RLock()
        self._open_at = 0.0  # monotonic; not before
        self._unfinished: list[TaskRun] = []  # ended, but not yet in the journal
        self._user = user_name()
        # The settings of the latest run, and what they say: they may change between two tests.
        self._source: tuple[Mapping[str, str], dict[str, str]] | None = None
        self._known: dict[str, tuple[Target, Redactor]] = {}

    # Steps

    def begin(self, task: TaskRun) -> None:
        """Record and announce that a run has begun."""
        self._describe(task)
        task.journal = self._open()
        try:
            if task.journal:
                self._record_ends()  # the journal takes the run recorded last as the newest
                task.begin(task.journal)
        except JournalError as error:
            warn(f"not recorded: {error}")
        if task.monitor.auto_start and task.server:
            self.sender.send_start(task)
        if self._second and self._has_second():
            self._second.begin(task.twin())

    def end(self, task: TaskRun) -> None:
        """Record and send the result of a run, whose start may not have been recorded."""
        self._describe(task)
        _, hide = self._known[task.check]
        run = task.run
        run.why = in_a_line(hide.text(run.why))
        run.excerpt = excerpt(*task.output, hide)
        if task.journaled and self._keeps_journal():
            task.journal = task.journal or self._open()
            self._finish(task)
        if task.server:
            self.sender.send_end(task)
        elif task.recorded and task.journal:
            try:
                task.journal.release(task.row)
            except JournalError as error:
                warn(f"the journal was not pruned: {error}")
        if self._second and self._has_second():
            self._second.end(task.twin())

    def catch_up(self) -> None:
        """Find runs whose process vanished, and deliver what other processes left."""
        self._load_settings(settings.in_code)
        journal = self._open()
        if journal and self.sender.settings.enabled():
            try:
                journal.find_lost(time.time())
            except JournalError as error:
                warn(f"not recorded: {error}")
            self.sender.catch_up()
        if self._second and self._has_second():
            self._second.catch_up()

    def _has_second(self) -> bool:
        return bool(self.sender.settings.get(URL)) and self.sender.settings.enabled()

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
                self._drop(dropped)
        try:
            self._record_ends(task)
        except JournalError as error:
            warn(f"not recorded: {error}")
            if task.row and task.journal:  # this process may end before the journal works again
                end_marker.leave(task.journal.path, task.run, task.delivery)

    def _record_ends(self, latest: TaskRun | None = None) -> None:
        """Record all unfinished runs up to `latest`, whose result the sender sends next."""
        try:
            while self._unfinished:
                first = self._unfinished[0]
                journal = first.journal = first.journal or self._open()
                if not journal:
                    break
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

    def _describe(self, task: TaskRun) -> None:
        self._load_settings(task.in_code)
        if task.check not in self._known:
            self._known[task.check] = self._find_target(task.check)
        target, hide = self._known[task.check]
        run = task.run
        task.target = target
        run.check = target.label
        run.user = self._user
        run.command = in_a_line(hide.text(task.what))

    def _load_settings(self, in_code: Mapping[str, str]) -> None:
        source = (in_code, dict(os.environ))
        if source != self._source:
            self.sender.settings = self._loaded()
            self.sender.settings.in_code = in_code
            self.sender.policy = retry_policy(self.sender.settings)
            self.sender.journal = None
            self._known, self._source, self._open_at = {}, source, 0.0

    def _open(self) -> Journal | None:
        """The journal of the latest settings; None if there is none that can be used."""
        if self.sender.journal or time.monotonic() < self._open_at:
            return self.sender.journal
        if not self._keeps_journal():
            return None
        if not self._may_record:
            warn("not recorded: this process was forked while the journal was busy")
            return None
        with self._opening:
            try:
                directory = self._directory()
                if directory not in self._journals:
                    self._journals[directory] = _opened(directory)
                self.sender.journal = self._journals[directory]
            except JournalError as error:
                warn(f"not recorded: {error}")
                self._open_at = time.monotonic() + _RETRY_AFTER
                return None
        return self.sender.journal

    def _keeps_journal(self) -> bool:
        return self.sender.settings.in_code.get("STATE_DIRECTORY") != ""  # configure(journal=None)

    # What differs for a second server

    def _loaded(self) -> Settings:
        return Settings.load()

    def _find_target(self, check: str) -> tuple[Target, Redactor]:
        return find_target(check, self.sender.settings)

    def _directory(self) -> str:
        return directory_of(self.sender.settings)

    # Forks: these run in the thread that forks

    def before_fork(self, patience: float) -> bool:
        """Close the journal until `after_fork`, and wait for that at most `patience` seconds.

        Returns False if it is still open. Then the child must not open it, because SQLite in the
        child would release the locks of the parent.
        """
        if self._second and not self._second.before_fork(patience):
            return False
        if not self._close(patience):
            if self._second:
                self._second.after_fork()
            return False
        return True

    def _close(self, patience: float) -> bool:
        if not self._opening.acquire(timeout=patience):
            return False
        closed: list[Journal] = []
        for journal in self._journals.values():
            if not journal.before_fork(patience):
                for other in closed:
                    other.after_fork()
                self._opening.release()
                return False
            closed.append(journal)
        return True

    def after_fork(self) -> None:
        if self._second:
            self._second.after_fork()
        for journal in self._journals.values():
            journal.after_fork()
        self._opening.release()


class SecondRecorder(Recorder):
    """For the second server: with a journal of its own, so that neither waits for the other."""

    def begin(self, task: TaskRun) -> None:
        self._describe(task)
        if task.server:
            super().begin(task)

    def end(self, task: TaskRun) -> None:
        self._describe(task)
        if task.server:
            super().end(task)

    def _loaded(self) -> Settings:
        return SecondSettings(Settings.load())

    def _find_target(self, check: str) -> tuple[Target, Redactor]:
        settings = SecondSettings(self.sender.settings)
        target = second_target(check, settings)
        if target.why not in ("", BY_SLUG):  # doctor tells the latter
            warn(f"second server: {target.why}")
        return target, redactor(settings, target)

    def _directory(self) -> str:
        return directory_of_second(self.sender.settings)


def _opened(directory: str) -> Journal:
    journal = Journal(directory)
    if journal.set_aside:
        warn(f"the journal was corrupt and is now {journal.set_aside}")
    journal.adopt()
    journal.find_lost(time.time())
    return journal


def find_target(check: str, settings: Settings) -> tuple[Target, Redactor]:
    """Return the ping URL of a check and what hides its secrets; log what is wrong."""
    target = resolve(check, settings)
    if target.why and _only_the_api_knows(target.label, settings):
        target = Target(target.label)
        target.server = server_of(settings.ping_url())
    for problem in filter(None, [*settings.problems, target.why]):
        warn(problem)
    return target, redactor(settings, target)


def _only_the_api_knows(name: str, settings: Settings) -> bool:
    """Whether there is no ping key, but a key of the Management API."""
    own = "HC_CHECK_" + name.upper().replace("-", "_")
    try:
        known = settings.secret(own) or settings.secret("HEALTHCHECKS_PING_KEY")
        return not known and bool(settings.secret("HEALTHCHECKS_API_KEY"))
    except SettingsError:
        return False
