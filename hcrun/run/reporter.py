"""Tells the journal and the server of one run, beside the command and after it.

    Reporter()  settings, journal, start ping; in a thread, the command runs meanwhile
    ended()     journal first, then the end ping, then a few results still to be delivered

Nothing here raises but for bugs: what goes wrong is in `notes`.
"""

from __future__ import annotations

import os
import time
from binascii import crc32
from resource import RUSAGE_SELF, getrusage

from hcrun.errors import HcrunError, JournalError
from hcrun.excerpt import excerpt
from hcrun.journal.message import compose, opening
from hcrun.journal.run import Run, command_line, in_a_line, user_name
from hcrun.ping import client
from hcrun.ping.body import LIMIT
from hcrun.ping.target import Target, resolve
from hcrun.redact import Redactor, secret_values
from hcrun.results import SKIP
from hcrun.run.background import BackgroundCall
from hcrun.run.job import judge
from hcrun.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hcrun.journal.journal import Journal, Pending
    from hcrun.ping.wire import Reply
    from hcrun.run.job import Job, Outcome, Verdict
    from hcrun.run.signals import SignalForwarder

_START_SHARE = 0.5  # of the deadline, for a start ping that is still on its way
_BACKLOG = 1.0  # seconds for results of other runs
_PRUNE_EVERY = 50  # runs


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
        self.journal: Journal | None = None
        self._row = 0
        self._recorded = False
        self._over = False
        self._start: BackgroundCall | None = None
        # What the kernel counts as the command's memory includes what hcrun had when it started it.
        self._least_memory = getrusage(RUSAGE_SELF).ru_maxrss * 1024
        self.settings = Settings.load()
        self._policy = retry_policy(self.settings)
        self.target = resolve(job.check, self.settings, job.create)
        self.redactor = redactor(self.settings, self.target, job)
        self._identity = crc32((self.target.url or self.target.label).encode())
        self.run = Run(run_id, started)
        self.run.check = self.target.label
        self.run.host = os.uname().nodename
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
            self._row = journal.begin(self.run, os.getpid(), self._identity, self.target.url)
            self.journal = journal
        except (HcrunError, ImportError) as error:  # ImportError: a Python without sqlite3
            self._without_journal(error)

    def _without_journal(self, error: Exception) -> None:
        self.notes.append(f"not recorded: {error}")
        self.journal = None

    def _ping_start(self) -> Reply:
        url = self.target.address("/start", self.run.run_id)
        deadline = time.monotonic() + 10 * client.FIRST_TRY
        return client.send(url, opening(self.run), self._policy, deadline, lambda: self._over)

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
            return self.journal.failures_before(self._identity, self.job.fail_after)
        except JournalError as error:
            self._without_journal(error)
            return None

    def _record_and_deliver(self) -> None:
        journal = self.journal
        try:
            if self.journal:
                self.journal.finish(self._row, self.run)
                self._recorded = True
                self.journal.find_lost(time.time())
        except JournalError as error:
            self._without_journal(error)
        self.notes += self.settings.problems
        self.notes += [self.target.why] if self.target.why else []
        reply = self._ping_end() if self.target.url else None
        kept = bool(self.journal)
        if journal and not self.journal:
            kept = self._record_after_all(journal, reply)
        if self.target.url:
            try:
                self._settle(reply, kept)
            except JournalError as error:
                self._without_journal(error)
                if journal:
                    self._record_after_all(journal, reply)

    def _ping_end(self) -> Reply | None:
        deadline = time.monotonic() + self.job.deadline
        rid = self._await_start(deadline)
        end = BackgroundCall(lambda: self._deliver(rid, deadline))
        end.wait(deadline - time.monotonic(), self.relay)
        reply: Reply | None = end.result
        return reply

    def _record_after_all(self, journal: Journal, reply: Reply | None) -> bool:
        """Try once more: a run of which the journal knows no end is taken for lost by others."""
        delivery = "pending"
        if reply and (client.accepted(reply) or client.rejected(reply)):
            delivery = "sent" if client.accepted(reply) else "refused"
        try:
            if not self._recorded:
                journal.finish(self._row, self.run)
                self._recorded = True
            if delivery != "pending":
                journal.settle(self._row, delivery)
        except JournalError:  # it has been said already
            from hcrun.journal import end_marker

            return self._recorded or end_marker.leave(journal.path, self.run, delivery)
        return True

    def _await_start(self, deadline: float) -> str:
        """The rid of the end ping: only a start that was taken makes one right.

        A start must not arrive after its end, so its answer or its time-out is awaited.
        """
        if self._start is None:
            return ""
        share = (deadline - time.monotonic()) * _START_SHARE
        self._start.wait(share, self.relay)
        reply = self._start.result
        return self.run.run_id if reply and client.accepted(reply) else ""

    def _deliver(self, rid: str, deadline: float) -> Reply:
        limit = LIMIT
        url = self.target.address(self.run.action, rid)
        try:
            if self.journal:
                limit = self.journal.body_limit(base(url))
                # Another hcrun may be sending an older result of this check as its state just now.
                # It looks at the journal first: after it, this one is the last word.
                older = self.journal.has_others_pending(self._identity)
                if older and self.journal.lock_delivery(client.FIRST_TRY / 2):
                    self.journal.unlock_delivery()
        except JournalError:  # the server is told all the same
            pass
        if self._start and self._start.result:
            limit = client.body_limit(self._start.result) or limit
        return client.send(url, compose(self.run, limit), self._policy, deadline, self._leaving)

    def _leaving(self) -> bool:
        return self.relay.told_to_end

    def _settle(self, reply: Reply | None, kept: bool) -> None:
        if reply and client.accepted(reply):
            if self.journal:
                self.journal.settle(self._row, "sent")
                self._catch_up(reply)
            return
        if reply and client.rejected(reply):
            self.notes.append(f"not pinged: {client.explain(reply, self.target)}")
            if self.journal:
                self.journal.settle(self._row, "refused")
            return
        why = client.explain(reply, self.target) if reply else "no answer in time"
        next_step = "a later run or `hcctl flush` delivers it" if kept else "it is lost"
        self.notes.append(f"result not delivered: {why}; {next_step}")

    def _catch_up(self, reply: Reply) -> None:
        """The server is there: deliver what it missed, for about a second."""
        assert self.journal
        journal = self.journal
        limit = client.body_limit(reply)
        if limit is not None:
            journal.keep_body_limit(base(self.target.url), limit)
        until = time.monotonic() + _BACKLOG
        server = base(self.target.url)
        BackgroundCall(lambda: deliver_pending(journal, until, self._leaving, server=server)).wait(
            _BACKLOG + 0.5, self.relay
        )
        if self._row % _PRUNE_EVERY == 0:
            journal.prune(time.time())


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


def base(url: str) -> str:
    """Scheme and host of a URL, without a password: what its server's limits are kept under."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"


def redactor(settings: Settings, target: Target, job: Job | None = None) -> Redactor:
    """Hides this process's secrets, the env file's, and the target's."""
    secrets = secret_values(settings.environ) + secret_values(settings.from_file)
    return Redactor([*secrets, *target.secrets], job.redact if job else ())


def retry_policy(settings: Settings) -> client.Policy:
    return client.Policy(
        settings.integer("HEALTHCHECKS_RETRY_COUNT", 3, minimum=1),
        settings.seconds("HEALTHCHECKS_RETRY_DELAY", 1.0),
    )


def deliver_pending(
    journal: Journal,
    until: float,
    leaving: Callable[[], bool],
    seen: Callable[[Pending, Reply], None] = lambda _pending, _reply: None,
    server: str = "",
) -> bool:
    """Send results that could not be delivered, in order, until `until` (monotonic).

    The newest result of a check goes as itself, older ones to the check's log. Returns False
    when another process is at it. `server`: only what is for this one (see `base`), as it is
    known to answer: one that is gone for good must not keep the others from theirs. A server
    that is in trouble is asked no more, nor is an address that somebody else refuses.
    """
    silent: set[str] = set()

    def wanted(address: str) -> bool:
        return not silent & {address, base(address)} and (not server or base(address) == server)

    if not journal.lock_delivery(0):
        return False
    try:
        for pending in journal.pending(wanted):
            if time.monotonic() >= until or leaving():
                break
            reply = _send_late(journal, pending, until)
            seen(pending, reply)
            if client.accepted(reply):
                journal.settle(pending.row, "sent")
            elif client.rejected(reply):
                journal.settle(pending.row, "refused")
            else:
                address = pending.address
                silent.add(base(address) if client.retryable(reply) else address)
    finally:
        journal.unlock_delivery()
    return True


def _send_late(journal: Journal, pending: Pending, until: float) -> Reply:
    run = pending.run
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(run.ended))
    note = f"Delivered late: this run ended at {when}."
    if pending.superseded:
        note += " A newer result of this check is known."
    action = "/log" if pending.superseded else run.action
    text = compose(run, journal.body_limit(base(pending.address)), note)
    return client.send(pending.address + action, text, client.Policy(1, 0.0), until)
