"""argv of `hcrun` -> Job -> Outcome; the only module of the hot path that prints."""

from __future__ import annotations

import gc
import os
import sys
import time

from hcrun.errors import EXIT_SKIPPED, HcrunError, JournalError
from hcrun.job import SUCCESS, Job, Outcome, judge
from hcrun.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from hcrun.reporter import Reporter


def main() -> NoReturn:
    """The entry point; leaves with os._exit, as a thread may hang in a resolver for ever."""
    gc.disable()  # a run is too short to collect anything
    try:
        status = _main(sys.argv[1:])
    except HcrunError as error:
        _say([str(error)])
        status = error.exit_code
    try:
        sys.stdout.flush()
    except OSError:
        pass
    os._exit(status)


def _main(argv: list[str]) -> int:
    from hcrun.options import parse
    from hcrun.target import validate

    if argv[:1] in (["--help"], ["-h"], ["--version"]):
        from hcrun.help import show

        return show(argv[0])
    job = parse(argv)
    validate(job.check)
    if job.dry_run:
        from hcrun.dryrun import describe

        return describe(job)
    return _run(job)


def _run(job: Job) -> int:
    from hcrun.relay import Relay
    from hcrun.reporter import Reporter

    run_id = _uuid4()
    _reserve_standard_descriptors()
    _wait_for_splay(job)
    skipped = _overlap(job)
    reporter = Reporter(job, run_id, Relay())
    if skipped:
        reporter.skipped(skipped)
        _say([f"skipped: {skipped}", *reporter.notes])
        return EXIT_SKIPPED
    outcome, notes = _attempts(job, reporter)
    reporter.ended(outcome)
    _say([reporter.redactor.text(note) for note in [*notes, *reporter.notes]])
    if outcome.signal == signal.SIGINT and _person_is_watching():
        # Shells end a loop or a script only when they see that Ctrl-C ended its command.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return outcome.status


def _attempts(job: Job, reporter: Reporter) -> tuple[Outcome, list[str]]:
    """Run the command, again if it fails and --retries says so; the last outcome, with sums."""
    from hcrun.capture import Capture
    from hcrun.process import run
    from hcrun.sink import Sink
    from hcrun.spawn import environment

    environ = environment({"HCRUN_CHECK": job.check, "HCRUN_RUN_ID": reporter.run.run_id})
    capture = Capture(job)
    sinks = (Sink(1), Sink(2))
    began = time.time(), time.monotonic()
    user = system = 0.0
    for attempt in range(1, job.retries + 2):
        capture.start_attempt()
        outcome = run(job, environ, capture, capture.sinks(sinks), reporter.relay, reporter.started)
        outcome.attempts = attempt
        capture.check(outcome)
        outcome.cpu_user += user
        outcome.cpu_system += system
        user, system = outcome.cpu_user, outcome.cpu_system
        failed = judge(job, outcome, None).result != SUCCESS
        if not failed or attempt > job.retries or reporter.relay.told_to_end:
            break
        capture.note(f"hcrun: attempt {attempt}: {outcome.how}; trying again\n")
        time.sleep(job.retry_delay)
    if attempt > 1:
        outcome.started, outcome.duration = began[0], time.monotonic() - began[1]
    outcome.output = capture.tail.output()
    capture.finish(sinks, failed)
    notes = [outcome.trouble] if outcome.trouble else []
    notes += [
        f"{name}: {sink.trouble}; what was printed since then is only in the recorded output"
        for name, sink in zip(("stdout", "stderr"), sinks, strict=True)
        if sink.trouble
    ]
    return outcome, notes


def _wait_for_splay(job: Job) -> None:
    """A delay that is fixed for this host and check, so that a fleet spreads itself."""
    if job.splay is not None:
        from binascii import crc32

        time.sleep(job.splay * crc32(f"{os.uname().nodename} {job.check}".encode()) / 2**32)


def _overlap(job: Job) -> str:
    """Take the check's lock if asked to; the words for a run that is still going, else ""."""
    if job.overlap == "allow":
        return ""
    from hcrun.overlap import acquire
    from hcrun.target import lock_name

    try:
        return acquire(lock_name(job.check), wait=job.overlap == "wait")
    except JournalError as error:
        _say([f"--overlap {job.overlap} has no effect: {error}"])
        return ""


def _uuid4() -> str:
    """A random UUID, without the 0.4 interpreter starts of `import uuid`."""
    data = bytearray(os.urandom(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _reserve_standard_descriptors() -> None:
    """Closed ones are filled, so that nothing of hcrun's own lands on 0, 1 or 2."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number


def _person_is_watching() -> bool:
    return os.isatty(2)


def _say(notes: list[str]) -> None:
    """A line each on stderr; a stderr that is gone or full does not matter."""
    for note in notes:
        line = f"hcrun: {' '.join(note.split())}\n"
        try:
            os.write(2, line.encode("utf-8", "surrogateescape"))
        except OSError:
            return
