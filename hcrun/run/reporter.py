"""Reporter: records one run in the journal and reports it to the server.

    Reporter()  settings, journal, start ping: in a thread, while the command runs
    ended()     the journal first, then the end ping, then results that were not delivered earlier

Only bugs raise here: a problem becomes a line in `notes`.
"""

import time
from resource import RUSAGE_SELF, getrusage  # os.wait4 loads it anyway

from hcrun.errors import JournalError
from hcrun.excerpt import excerpt
from hcrun.journal.delivery import ASKING, BACKLOG, Report, redactor, retry_policy
from hcrun.journal.run import Run, command_line, in_a_line, user_name
from hcrun.ping import client
from hcrun.ping.target import resolve
from hcrun.results import BLOCKED, FAIL, HELD, PENDING, REJECTED, SENT, SKIP
from hcrun.run.background import BackgroundCall
from hcrun.run.job import Job, Outcome, Verdict, attempt_result, dampened, threshold
from hcrun.run.signals import SignalForwarder
from hcrun.settings import Settings
from hcrun.text import counted

TYPE_CHECKING = False
if TYPE_CHECKING:  # a Python without sqlite3 pings as well
    from hcrun.journal.journal import Journal
    from hcrun.run.second import Second

_START_SHARE = 0.5  # of the deadline, for a start ping without an answer


class Reporter:
    """One run's record and pings. `sends_start`: send a start ping now."""

    def __init__(
        self,
        job: Job,
        command: list[str],
        run_id: str,
        started: float,
        forwarder: SignalForwarder,
        sends_start: bool,
    ) -> None:
        self.job = job
        self.forwarder = forwarder
        self.notes: list[str] = []
        self.summary: list[str] = []  # with --verbose, a line
        self.journal: Journal | None = None  # None also after it has failed
        self._ended = False
        self._had_damage = False
        self._start: BackgroundCall | None = None
        # The kernel's figure for the command includes what hcrun itself had when it started it,
        # so a figure below this one is unknown.
        self._minimum_memory = getrusage(RUSAGE_SELF).ru_maxrss * 1024
        self.settings = Settings.load()
        self._policy = retry_policy(self.settings)
        self.run = Run(run_id, started)
        self._report = Report(self.run)
        self.target = self._report.target = resolve(job.check, self.settings, job.create)
        self._second = self._second_server()
        self.redactor = redactor(self.settings, self.target, job.redact)
        self.run.check = self.target.label
        self.run.user = user_name()
        self.run.command = command_line(command, self.redactor)
        self._open_journal()
        if sends_start and self.target.url:
            self._start = BackgroundCall(self._ping_start)
        if self._second:
            self._second.begin(sends_start)

    def _second_server(self) -> "Second | None":
        if not self.settings.get("HEALTHCHECKS_PING_URL_2") or not self.settings.enabled():
            return None
        try:
            from hcrun.run.second import Second  # few have two servers

            second = Second(self.run, self.job, self.settings, self.forwarder)
        except Exception as error:  # a Python without sqlite3
            self.notes.append(f"second server: {error}")
            return None
        self.target.secrets += second.target.secrets
        return second

    def _open_journal(self) -> None:
        try:
            from hcrun.journal.journal import Journal  # may raise ImportError
            from hcrun.paths import directory_of

            journal = Journal(directory_of(self.settings))
            try:
                journal.adopt(self.run.run_id)
                self._report.begin(journal)
            except JournalError:
                if not journal.set_aside:
                    raise
                self._report.begin(journal)  # in a new file
            self.journal = journal
        except Exception as error:  # a Python without sqlite3; whatever a damaged file makes of it
            self._give_up_journal(error)

    def _give_up_journal(self, error: Exception) -> None:
        """Record nothing more, unless the damaged file was set aside: the next one is new."""
        if self.journal and self.journal.set_aside and not self._had_damage:
            self._had_damage = True
            return
        self.notes.append(f"not recorded: {error}")
        self.journal = None

    def _ping_start(self) -> None:
        deadline = time.monotonic() + 10 * client.FIRST_TRY
        self._report.send_start(self._policy, deadline, lambda: self._ended)

    def ended(self, outcome: Outcome) -> None:
        """Record and report how the run ended."""
        self._ended = True
        run = self.run
        run.duration, run.ended = outcome.duration, outcome.ended
        run.status = outcome.status
        run.cpu_user, run.cpu_system = outcome.cpu_user, outcome.cpu_system
        run.memory = outcome.memory if outcome.memory > self._minimum_memory else 0
        verdict = attempt_result(self.job, outcome)
        verdict = dampened(self.job, verdict, self._in_a_row(verdict.result))
        if verdict.result == FAIL and self.job.needs:
            verdict = self._blame(verdict)
        if self.job.remedy:
            verdict.why += self._remedied(verdict.result)
        run.result, run.why = verdict.result, in_a_line(self.redactor.text(verdict.why))
        if self.job.output:
            run.excerpt = excerpt(*outcome.output, self.redactor)
        self._record_and_deliver()
        if self.job.remedy and run.result in (FAIL, HELD):
            self._remedy()

    def _remedied(self, result: str) -> str:
        """Say whether a remedy has helped."""
        try:
            if self.journal:
                from hcrun.run.remedy import helped  # only with --remedy

                return helped(self.journal, self._report.identity, result)
        except Exception as error:
            self._give_up_journal(error)
        return ""

    def _remedy(self) -> None:
        """Run the remedy if it is due. The failure is delivered by now."""
        try:
            if self.journal:
                from hcrun.run.remedy import apply  # only with --remedy

                note = apply(self.job, self.journal, self._report, self.redactor, self.forwarder)
                self.notes += [note] if note else []
            else:
                self.notes.append("the remedy was not run: the journal cannot be used")
        except Exception as error:  # whatever is wrong, the failure is reported
            self.notes.append(f"the remedy was not run: {error}")

    def skipped(self, why: str) -> None:
        """Record the run as not run, with a note in the check's log."""
        self.run.ended, self.run.duration = self.run.started, 0.0
        self.run.result, self.run.why = SKIP, why
        self._record_and_deliver()

    def _in_a_row(self, result: str) -> int | None:
        """How many runs before this one ended so, for `dampened`."""
        wanted = threshold(self.job, result)
        if wanted == 1 or self.journal is None:
            return None
        try:
            return self.journal.in_a_row(self._report.identity, result, wanted)
        except Exception as error:
            self._give_up_journal(error)
            return None

    def _blame(self, verdict: Verdict) -> Verdict:
        """Return BLOCKED if a check that this one needs is failing."""
        try:
            if self.journal and not self.forwarder.asked_to_end():
                from hcrun.catalog.blame import blamed  # rare

                why = blamed(self.job, self.run, self.journal, self.settings, self.forwarder)
                return Verdict(BLOCKED, f"{why}: {verdict.why}") if why else verdict
        except Exception as error:  # whatever is wrong, the failure is reported
            self.notes.append(f"--needs has no effect: {error}")
        return verdict

    def _record_and_deliver(self) -> None:
        journal = self.journal
        if self._second:
            self._second.end()
        try:
            if journal:
                self._report.finish(journal)
                journal.find_lost(time.time())
        except Exception as error:
            self._give_up_journal(error)
        self.notes += self.settings.problems
        # Without the env file that root does not use, that there is no key is no news.
        if self.target.why and not self.settings.refused:
            self.notes.append(self.target.why)
        if self.target.url:
            self._ping_end()
        kept = bool(journal and self._record_delivery(journal))
        if self.target.url:
            self._note_delivery(kept)
        if self.journal:
            self._clear_backlog(self.journal)
        if journal:
            self._note_damage(journal)
        if self._second:
            self.notes += self._second.wait()
        if self.job.verbose:
            self.summary.append(self._summarize())

    def _summarize(self) -> str:
        """What --verbose tells of every run."""
        run, told, see = self.run, "recorded on this host only", ""
        if server := self._report.server:
            words = {SENT: "reported to", PENDING: "not delivered yet to", REJECTED: "refused by"}
            told = f"{words[self._report.delivery]} {server}"
        if self.journal:
            see = f"; to see its output, run hcctl history --output {run.run_id[:8]}"
        return f"{run.check}: {run.result}: {run.why}; {told}{see}"

    def _ping_end(self) -> None:
        """Send the result after the start ping, which must not arrive after it."""
        deadline = time.monotonic() + self.job.deadline
        asked_to_end = self.forwarder.asked_to_end
        if self._start:
            self._start.wait(self.job.deadline * _START_SHARE, asked_to_end)
        end = BackgroundCall(
            lambda: self._report.send_end(self.journal, self._policy, deadline, asked_to_end)
        )
        end.wait(deadline - time.monotonic(), asked_to_end)
        self._report.reply = end.result

    def _record_delivery(self, journal: "Journal") -> bool:
        """Record the run's end and the server's answer; returns whether the result is kept.

        Tries again after an error: other runs take a run without an end for lost.
        """
        report = self._report
        try:
            report.finish(journal)
            report.record_delivery(journal)
        except Exception as error:
            if self.journal:
                self._give_up_journal(error)
                return self._record_delivery(journal)
            if not report.recorded:
                from hcrun.journal import end_marker  # only if the journal is broken

                return end_marker.leave(journal.path, self.run, report.delivery)
        return True

    def _note_delivery(self, kept: bool) -> None:
        reply = self._report.reply
        why = client.explain(reply, self.target) if reply else "no answer in time"
        if reply and reply.note and self._report.delivery == SENT:
            self.notes.append(reply.note)
        if self._report.created:
            from hcrun.run import created  # once in the life of a check

            slug = self.target.url.rpartition("/")[2]
            self.notes += created.notes(self.job, slug)
        if self._report.delivery == REJECTED:
            self.notes.append(f"not pinged: {why}")
        elif self._report.delivery == PENDING:
            consequence = "a later run or `hcctl flush` delivers it" if kept else "it is lost"
            self.notes.append(f"result not delivered: {why}; {consequence}")

    def _clear_backlog(self, journal: "Journal") -> None:
        """Deliver earlier results for about a second if the server answers, and prune."""
        server = self._report.server
        try:
            if self._report.delivery == SENT and journal.has_undelivered(server):
                from hcrun.journal.backlog import deliver_pending  # rare

                asked_to_end = self.forwarder.asked_to_end
                backlog = BackgroundCall(
                    lambda: deliver_pending(
                        journal, self.settings, BACKLOG, asked_to_end, server=server
                    )
                )
                backlog.wait(BACKLOG + ASKING + 1.0, asked_to_end)
            journal.release(self._report.row)
        except Exception as error:
            self.notes.append(f"the journal was not pruned: {error}")

    def _note_damage(self, journal: "Journal") -> None:
        if journal.set_aside:
            self.notes.append(
                f"the journal was corrupt and is now {journal.set_aside}; `hcctl journal check`"
                " saves its undelivered results"
            )
        if journal.damaged:
            self.notes.append(
                f"not sent: {counted(journal.damaged, 'damaged record')} of undelivered results;"
                " `hcctl journal check` repairs or removes damaged records"
            )
