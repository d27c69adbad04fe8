"""A run on its way to the second server. Only runs with HEALTHCHECKS_PING_URL_2 import this."""

import time
from _collections_abc import Callable

from hcrun.journal.backlog import deliver_pending
from hcrun.journal.delivery import ASKING, BACKLOG, Report, retry_policy
from hcrun.journal.journal import Journal
from hcrun.journal.run import Run
from hcrun.journal.second import BY_SLUG, SecondSettings, named, open_second, second_target
from hcrun.ping import client
from hcrun.results import PENDING, REJECTED, SENT
from hcrun.run.background import BackgroundCall
from hcrun.run.job import Job
from hcrun.run.signals import SignalForwarder
from hcrun.settings import Settings


class Second:
    """One run on its way to the second server. Only bugs raise: problems are in `notes`."""

    def __init__(self, run: Run, job: Job, settings: Settings, forwarder: SignalForwarder) -> None:
        self.notes: list[str] = []
        self._settings = SecondSettings(settings)
        self._policy = retry_policy(settings)
        self._forwarder = forwarder
        self._job = job
        self._journal: Journal | None = None
        self._report = Report(run)
        self.target = self._report.target = second_target(job.check, self._settings, job.create)
        self._ended = False
        self._start: BackgroundCall | None = None
        self._end: BackgroundCall | None = None
        self._until = 0.0  # monotonic

    def begin(self, sends_start: bool) -> None:
        """Record that the run is in progress, and send the start ping."""
        if not self.target.url:
            if self.target.why not in ("", BY_SLUG):  # `--dry-run` and doctor tell the latter
                self.notes.append(self.target.why)
            return
        try:
            journal = open_second(self._settings)
            self._report.begin(journal)
            self._journal = journal
        except Exception as error:
            self._give_up_journal(error)
        if sends_start:
            deadline = time.monotonic() + 10 * client.FIRST_TRY
            self._start = BackgroundCall(
                lambda: self._report.send_start(self._policy, deadline, lambda: self._ended)
            )

    def _give_up_journal(self, error: Exception) -> None:
        self.notes.append(f"not recorded: {error}")
        self._journal = None

    def end(self) -> None:
        """Record the result, and send it while the first server gets it."""
        self._ended = True
        if self.target.url:
            self._until = time.monotonic() + self._job.deadline
            self._end = BackgroundCall(self._deliver)

    def wait(self) -> list[str]:
        """Wait until the result is delivered or time is up; returns the notes."""
        if self._end:
            is_over = self._end.wait(self._until - time.monotonic() + ASKING, self._asked_to_end)
            if self._end.problem:
                self.notes.append(self._end.problem)
            if not is_over:
                self.notes.append("no answer in time; a later run or `hcctl flush` delivers it")
        return [f"second server: {note}" for note in self.notes]

    @property
    def _asked_to_end(self) -> Callable[[], bool]:
        return self._forwarder.asked_to_end

    def _deliver(self) -> None:
        report = self._report
        try:
            if self._journal:
                report.finish(self._journal)
                self._journal.find_lost(time.time())
        except Exception as error:
            self._give_up_journal(error)
        if self._start:
            self._start.wait(self._job.deadline / 2, self._asked_to_end)
        report.reply = report.send_end(self._journal, self._policy, self._until, self._asked_to_end)
        if report.delivery != SENT:
            self._note_delivery()
        try:
            if self._journal:
                self._settle(self._journal)
        except Exception as error:
            self._give_up_journal(error)

    def _note_delivery(self) -> None:
        assert self._report.reply
        why = named(client.explain(self._report.reply, self.target))
        if self._report.delivery == REJECTED:
            self.notes.append(f"not pinged: {why}")
        elif self._report.delivery == PENDING:
            kept = "a later run or `hcctl flush` delivers it" if self._journal else "it is lost"
            self.notes.append(f"result not delivered: {why}; {kept}")

    def _settle(self, journal: Journal) -> None:
        """Record the answer, and deliver earlier results if the server is there."""
        report = self._report
        report.record_delivery(journal)
        if report.delivery == SENT and journal.has_undelivered(report.server):
            deliver_pending(
                journal, self._settings, BACKLOG, self._asked_to_end, server=report.server
            )
        journal.release(report.row)
