"""--remedy: a command that is run once when a check has failed several times in a row.

Only runs with a remedy import this. What a remedy did is a run of the same check with the result
LOG, so the journal has it, and the server's log of the check, too.
"""

import os
import time
import uuid

from hcrun.excerpt import excerpt
from hcrun.journal import maintenance
from hcrun.journal.delivery import ONE_TRY, Report
from hcrun.journal.journal import Journal
from hcrun.journal.run import Run, command_line, in_a_line, user_name
from hcrun.ping.target import Target
from hcrun.redact import Redactor
from hcrun.results import FAIL, GOOD, LOG, REMEDY, SUCCESS
from hcrun.run.command import Runner
from hcrun.run.job import LONGEST_REMEDY, Job, Outcome
from hcrun.run.output import Capture
from hcrun.run.signals import SignalForwarder
from hcrun.run.spawn import Program
from hcrun.run.streams import Sink
from hcrun.text import counted
from hcrun.units import span

_HOUR = 3600.0
_DEADLINE = 5.0  # seconds for the ping about it


def helped(journal: Journal, identity: int, result: str) -> str:
    """What to add to the reason of a run: whether a remedy since the last success has helped."""
    if not _tried(journal, identity):
        return ""
    if result == SUCCESS:
        return ", after a remedy"
    return ", the remedy did not help" if result == FAIL else ""


def apply(
    job: Job, journal: Journal, failed: Report, redactor: Redactor, forwarder: SignalForwarder
) -> str:
    """Run the remedy if it is due; returns why it was not run although it was due, or "".

    It is due once for failures in a row, from the Nth on, `limit` times an hour, and never during
    maintenance. Raises JournalError and OSError.
    """
    identity, run = failed.identity, failed.run
    number, limit = job.remedy_after, job.remedy_limit
    in_a_row = journal.in_a_row(identity, FAIL, number) or 0
    if in_a_row < number or _tried(journal, identity) or forwarder.asked_to_end():
        return ""
    now = time.time()
    if any(window.name == run.check for window in maintenance.in_progress(journal)):
        return ""
    recent = _times(journal, identity, now - _HOUR)
    if recent >= limit:
        times = counted(recent, "time")
        return f"the remedy was not run: it ran {times} in the last hour (--remedy-limit)"
    outcome = _run(job, forwarder)
    _record(job, journal, failed.target, redactor, outcome)
    return ""


def _run(job: Job, forwarder: SignalForwarder) -> Outcome:
    """Run it as the command of the check: same user, environment and directory, no input."""
    own = Job(job.check, ["/bin/sh", "-c", job.remedy])
    own.timeout, own.quiet = LONGEST_REMEDY, True
    no_input = os.open(os.devnull, os.O_RDONLY)
    actions = [(os.POSIX_SPAWN_DUP2, no_input, 0)]
    program = Program(own.command, job.environ, forwarder.mask, actions)
    capture = Capture(own, Sink(1), Sink(2))
    outcome = Runner(own, program, capture, forwarder).run(lambda _: None)
    os.close(no_input)
    outcome.output = capture.tail.output()
    return outcome


def _record(
    job: Job, journal: Journal, target: Target, redactor: Redactor, outcome: Outcome
) -> None:
    run = Run(str(uuid.uuid4()), outcome.started)
    run.check, run.user = target.label, user_name()
    run.command = command_line(["sh", "-c", job.remedy], redactor)
    run.ended, run.duration, run.status = outcome.ended, outcome.duration, outcome.status
    took = f"{outcome.cause} after {span(outcome.duration)}"
    nth = f"after {counted(job.remedy_after, 'failure')} in a row"
    run.result, run.why = LOG, in_a_line(f"{REMEDY}{took}, {nth}")
    run.excerpt = excerpt(*outcome.output, redactor)
    report = Report(run)
    report.target = target
    report.begin(journal)
    report.finish(journal)
    if target.url:
        deadline = time.monotonic() + _DEADLINE
        report.reply = report.send_end(journal, ONE_TRY, deadline, lambda: False)
        report.record_delivery(journal)
    journal.release(report.row)


_OF_CHECK = "FROM runs r JOIN checks c ON c.id = r.check_id WHERE c.identity = ?"
_REMEDIES = f"result = '{LOG}' AND why LIKE '{REMEDY}%'"


def _tried(journal: Journal, identity: int) -> bool:
    """Whether a remedy was run since the last success."""
    rows = journal.query(
        f"SELECT result {_OF_CHECK} AND (result IN {GOOD} OR {_REMEDIES})"
        " ORDER BY r.id DESC LIMIT 1",
        (identity,),
    )
    return bool(rows) and rows[0][0] == LOG


def _times(journal: Journal, identity: int, since: float) -> int:
    rows = journal.query(
        f"SELECT count(*) {_OF_CHECK} AND started > ? AND {_REMEDIES}", (identity, since)
    )
    return int(rows[0][0])
