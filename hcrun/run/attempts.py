"""Runs the command, and again while it fails and --retries allows it."""

import _signal as signal
import os
import time
from _collections_abc import Callable

from hcrun.results import FAIL
from hcrun.run.command import Runner
from hcrun.run.job import Job, Outcome, attempt_result
from hcrun.run.output import Capture
from hcrun.run.signals import SignalForwarder
from hcrun.run.spawn import Program
from hcrun.run.streams import Sink


def run_attempts(
    job: Job, run_id: str, forwarder: SignalForwarder, on_start: Callable[[float], None]
) -> tuple[Outcome, list[str]]:
    """Return the last attempt's outcome, with the times of all attempts, and notes for stderr.

    `on_start` is called with the start time, once per attempt, when the command runs or cannot be
    started. Raises OSError if no descriptor or process is left for the first attempt.
    """
    additions = {b"HCRUN_CHECK": os.fsencode(job.check), b"HCRUN_RUN_ID": run_id.encode()}
    stdout, stderr = Sink(1), Sink(2)
    capture = Capture(job, stdout, stderr)
    runner = Runner(
        job,
        Program(job.command, job.environ | additions, forwarder.mask, job.inherited),
        capture,
        forwarder,
    )
    started, clock = time.time(), time.monotonic()
    cpu_user = cpu_system = 0.0
    notes = []
    for attempt in range(1, job.retries + 2):
        try:
            outcome = runner.run(on_start)
        except OSError as error:  # no descriptor is left
            if attempt == 1:
                raise
            notes.append(f"attempt {attempt} cannot be started: {error.strerror}")
            break
        outcome.attempts = attempt
        outcome.cpu_user += cpu_user
        outcome.cpu_system += cpu_system
        cpu_user, cpu_system = outcome.cpu_user, outcome.cpu_system
        verdict = attempt_result(job, outcome)
        if verdict.result != FAIL or attempt > job.retries:
            break
        if outcome.signal == signal.SIGPIPE and (stdout.gone or stderr.gone):
            break  # a retry would have no reader either
        forwarder.sleep(job.retry_delay)
        if forwarder.asked_to_end():
            break
        capture.add_note(f"hcrun: attempt {attempt}: {verdict.why}; trying again\n")
    if outcome.attempts > 1:
        outcome.started, outcome.duration = started, time.monotonic() - clock
    outcome.output = capture.tail.output()
    capture.finish(verdict.result == FAIL, forwarder)
    stdout.close()
    notes += [outcome.trouble] if outcome.trouble else []
    if verdict.unseen:
        notes.append(f"the run failed: {attempt_result(job, outcome).why}")
    kept = "only the beginning and the end of the output are recorded"
    for name, sink in (("stdout", stdout), ("stderr", stderr)):
        if sink.gone:
            notes.append(f"the reader of {name} ended before the output did")
        elif sink.trouble:
            lost = kept if job.output else "the output is lost"
            notes.append(f"cannot write to {name}: {sink.trouble}; {lost}")
    return outcome, notes
