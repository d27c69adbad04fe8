"""What the application says of its runs -> the journal, and on to the courier."""

from __future__ import annotations

import os
import threading
import time
from binascii import crc32

from hcrun.errors import JournalError
from hcrun.excerpt import excerpt
from hcrun.integrations.log import warn
from hcrun.integrations.sender import Sender
from hcrun.integrations.task_run import TaskRun
from hcrun.journal import end_marker
from hcrun.journal.journal import Journal
from hcrun.journal.run import in_a_line, user_name
from hcrun.paths import state_directory
from hcrun.ping.target import Target, resolve
from hcrun.redact import Redactor
from hcrun.run.reporter import redactor, retry_policy
from hcrun.settings import Settings

_MOST_UNFINISHED = 100  # runs
_TRY_AGAIN = 60.0  # seconds after which a journal that could not be opened may be there


class Recorder:
    """Its methods, but for those about forks, are steps of one thread."""

    def __init__(self, courier: Sender, may_record: bool) -> None:
        self.courier = courier
        self._may_record = may_record
        self._journal: Journal | None = None
        self._opening = threading.RLock()
        self._open_at = 0.0  # monotonic; not before
        self._settings: Settings | None = None
        self._known: dict[str, tuple[Target, Redactor]] = {}
        self._unfinished: list[TaskRun] = []  # over, but the journal did not take it yet
        self._user = user_name()

    # Steps

    def begin(self, going: TaskRun) -> None:
        """A run has begun."""
        target = self._describe(going)
        journal = self._open()
        try:
            if journal:
                self._record_ends(journal)  # of two runs the one recorded later is the newer
                self._insert(going, journal)
        except JournalError as error:
            warn(f"not recorded: {error}")
        if going.start and target.url:
            self.courier.send_start(going)

    def end(self, going: TaskRun) -> None:
        """It has ended, perhaps without a word about its beginning."""
        target = self._describe(going)
        _, hide = self._known[going.check]
        run = going.run
        run.why = in_a_line(hide.text(run.why))
        kept = going.output
        run.excerpt = excerpt(kept.head, kept.omitted, kept.tail, hide)
        if going.journaled:
            self._finish(going)
        if target.url:
            self.courier.send_end(going)
        elif going.recorded and self._journal:
            self._journal.release(going.row)

    def look(self) -> None:
        """Find runs whose process vanished, and deliver what others left."""
        journal = self._open()
        if journal and self._settings_now().flag("HEALTHCHECKS_ENABLED", True):
            try:
                journal.find_lost(time.time())
            except JournalError as error:
                warn(f"not recorded: {error}")
            self.courier.catch_up(journal)

    def _finish(self, going: TaskRun) -> None:
        """Record its end, after those that the journal did not take before.

        Until it has taken all, what waits in it is not sent: older results would be sent as the
        newest of their check.
        """
        self._unfinished = [*self._unfinished[1 - _MOST_UNFINISHED :], going]
        try:
            self._record_ends(self._open(), going)
        except JournalError as error:
            warn(f"not recorded: {error}")
            if going.row and self._journal:  # this process may end before the journal takes it
                end_marker.leave(self._journal.path, going.run, "pending")

    def _record_ends(self, journal: Journal | None, latest: TaskRun | None = None) -> None:
        """Of all that are over; the `latest` is still to be told by the courier."""
        try:
            while journal and self._unfinished:
                first = self._unfinished[0]
                if not first.row:
                    self._insert(first, journal)
                journal.finish(first.row, first.run)
                self._unfinished.pop(0)
                first.recorded = True
                if first is latest:
                    break
                end_marker.forget(journal.path, first.run.run_id)
                if first.settled:
                    journal.settle(first.row, first.settled)
                journal.release(first.row)
        finally:
            self.courier.journal_is_complete = not self._unfinished

    def _describe(self, going: TaskRun) -> Target:
        target, hide = self._known.get(going.check) or self._learn(going.check)
        run = going.run
        going.target = target
        run.check = target.label
        run.host = os.uname().nodename
        run.user = self._user
        run.command = in_a_line(hide.text(going.what))
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
            self.courier.policy = retry_policy(self._settings)
        return self._settings

    def _insert(self, going: TaskRun, journal: Journal) -> None:
        url = going.target.url
        going.identity = crc32((url or going.target.label).encode())
        going.row = journal.begin(going.run, os.getpid(), going.identity, url)

    def _open(self) -> Journal | None:
        if self._journal or time.monotonic() < self._open_at:
            return self._journal
        if not self._may_record:
            warn("not recorded: this process was forked while the journal was busy")
            return None
        with self._opening:
            try:
                self._journal = self.courier.journal = journal = Journal(state_directory())
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
