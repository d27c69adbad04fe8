"""Tells the journal and the server of one run, beside the command and after it.

    Reporter()  settings, journal, start ping; in a thread, the command runs meanwhile
    ended()     journal first, then the end ping, then a few results still to be delivered

Nothing here raises but for bugs: what goes wrong is in `notes`.
"""

from __future__ import annotations

import time
from resource import RUSAGE_SELF, getrusage

from hcrun.errors import HcrunError, JournalError
from hcrun.excerpt import excerpt
from hcrun.journal.delivery import BACKLOG, Report, deliver_pending, redactor, retry_policy
from hcrun.journal.run import Run, command_line, in_a_line, user_name
from hcrun.ping import client
from hcrun.ping.target import resolve
from hcrun.results import PENDING, REJECTED, SENT, SKIP
from hcrun.run.background import BackgroundCall
from hcrun.run.job import judge
from hcrun.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.journal.journal import Journal
    from hcrun.redact import Redactor
    from hcrun.run.job import Job, Outcome, Verdict
    from hcrun.run.signals import SignalForwarder

_START_SHARE = 0.5  # of the deadline, for a start ping that is still on its way


class Reporter:
    """The story of one run. Made beside the command, in a thread: it may take its time."""

    def __init__(
        self,
        job: Job,
        command: list[str],
        run_id: str,
        started: float,
        relay: SignalForwarder,
        with_start: bool,
    ) -> None:
        self.job = job
        self.relay = relay
        self.notes: list[str] = []
        self.journal: Journal | None = None  # None also once it has failed
        self._over = False
        self._start: BackgroundCall | None = None
        # What the kernel counts as the command's memory includes what hcrun had when it started it.
        self._least_memory = getrusage(RUSAGE_SELF).ru_maxrss * 1024
        self.settings = Settings.load()
        self._policy = retry_policy(self.settings)
        self.run = Run(run_id, started)
        self._report = Report(self.run)
        self.target = self._report.target = resolve(job.check, self.settings, job.create)
        self.redactor = redactor(self.settings, self.target, job.redact)
        self.run.check = self.target.label
        self.run.user = user_name()
        self.run.command = command_line(command, self.redactor)
        self._begin()
        if with_start and self.target.url:
            self._start = BackgroundCall(self._ping_start)

    def _begin(self) -> None:
        try:
            from hcrun.journal.journal import Journal
            from hcrun.paths import state_directory

            journal = Journal(state_directory())
            if journal.set_aside:
                self.notes.append(f"the journal was corrupt and is now {journal.set_aside}")
            self._report.begin(journal)
            self.journal = journal
        except (HcrunError, ImportError) as error:  # ImportError: a Python without sqlite3
            self._without_journal(error)

    def _without_journal(self, error: Exception) -> None:
        self.notes.append(f"not recorded: {error}")
        self.journal = None

    def _ping_start(self) -> None:
        deadline = time.monotonic() + 10 * client.FIRST_TRY
        self._report.send_start(self._policy, deadline, lambda: self._over)

    # After it

    def ended(self, outcome: Outcome) -> None:
        """Record the end of the run, and tell the server."""
        self._over = True
        verdict = judge(self.job, outcome, self._failures_before())
        describe(self.job, outcome, verdict, self.run, self.redactor, self._least_memory)
        self._record_and_deliver()

    def skipped(self, why: str) -> None:
        """The run did not happen: say so in the check's log."""
        self.run.ended, self.run.duration = self.run.started, 0.0
        self.run.result, self.run.why = SKIP, why
        self._record_and_deliver()

    def _failures_before(self) -> int | None:
        if self.job.fail_after == 1 or self.journal is None:
            return None
        try:
            return self.journal.failures_before(self._report.identity, self.job.fail_after)
        except JournalError as error:
            self._without_journal(error)
            return None

    def _record_and_deliver(self) -> None:
        journal = self.journal
        try:
            if journal:
                self._report.finish(journal)
                journal.find_lost(time.time())
        except JournalError as error:
            self._without_journal(error)
        self.notes += self.settings.problems
        self.notes += [self.target.why] if self.target.why else []
        if self.target.url:
            self._ping_end()
        kept = bool(journal and self._record_delivery(journal))
        if self.target.url:
            self._note_answer(kept)
        if self.journal:
            self._tidy(self.journal)

    def _ping_end(self) -> None:
        """A start must not arrive after its end, so its answer or its time-out is awaited."""
        deadline = time.monotonic() + self.job.deadline
        if self._start:
            self._start.wait(self.job.deadline * _START_SHARE, self.relay)
        end = BackgroundCall(
            lambda: self._report.send_end(self.journal, self._policy, deadline, self._leaving)
        )
        end.wait(deadline - time.monotonic(), self.relay)
        self._report.reply = end.result

    def _leaving(self) -> bool:
        return self.relay.told_to_end

    def _record_delivery(self, journal: Journal) -> bool:
        """Record the run with the answer of the server; returns whether its result is kept.

        If the journal fails this is tried again, as others take a run without an end for lost.
        """
        report = self._report
        try:
            report.finish(journal)
            report.record_delivery(journal)
        except JournalError as error:
            if self.journal:
                self._without_journal(error)
                return self._record_delivery(journal)
            if not report.recorded:
                from hcrun.journal import end_marker

                return end_marker.leave(journal.path, self.run, report.delivery)
        return True

    def _note_answer(self, kept: bool) -> None:
        reply = self._report.reply
        why = client.explain(reply, self.target) if reply else "no answer in time"
        if self._report.delivery == REJECTED:
            self.notes.append(f"not pinged: {why}")
        elif self._report.delivery == PENDING:
            next_step = "a later run or `hcctl flush` delivers it" if kept else "it is lost"
            self.notes.append(f"result not delivered: {why}; {next_step}")

    def _tidy(self, journal: Journal) -> None:
        """Deliver what the server missed, for about a second, and now and then prune."""
        if self._report.delivery == SENT:
            until = time.monotonic() + BACKLOG
            server = self._report.server
            others = BackgroundCall(
                lambda: deliver_pending(journal, until, self._leaving, server=server)
            )
            others.wait(BACKLOG + 0.5, self.relay)
        try:
            journal.release(self._report.row)
        except JournalError as error:
            self.notes.append(f"the journal was not pruned: {error}")


def describe(
    job: Job, outcome: Outcome, verdict: Verdict, run: Run, redactor: Redactor, least_memory: int
) -> None:
    """Fill in what is known at the end of a run.

    `least_memory`: what the kernel says of any command, as it counts in what hcrun itself had
    when it started it; a smaller figure is not known.
    """
    run.duration, run.ended = outcome.duration, outcome.ended
    run.status = outcome.status
    run.cpu_user, run.cpu_system = outcome.cpu_user, outcome.cpu_system
    run.memory = outcome.memory if outcome.memory > least_memory else 0
    run.result = verdict.result
    run.why = in_a_line(redactor.text(verdict.why))
    if job.output:
        kept = outcome.output
        run.excerpt = excerpt(kept.head, kept.omitted, kept.tail, redactor)
