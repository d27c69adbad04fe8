"""argv of `hcrun` -> Job -> Outcome; the only module of the hot path that prints."""

from __future__ import annotations

import _signal as signal
import gc
import os
import sys
import time

from hcrun.errors import (
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    EXIT_SKIPPED,
    HcrunError,
    JournalError,
)
from hcrun.results import FAIL
from hcrun.run.background import BackgroundCall
from hcrun.run.job import Job, Outcome, judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from hcrun.run.reporter import Reporter
    from hcrun.run.signals import SignalForwarder

# Seconds for settings and journal: over the journal's own time-out for locks, and enough for a host
# on which some hundred jobs begin in the same second.
_PATIENCE = 12.0


def main() -> NoReturn:
    """The entry point; leaves with os._exit, as a thread may hang in a resolver for ever."""
    gc.disable()  # a run is too short to collect anything
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no KeyboardInterrupt before the relay
    try:
        status = _main(sys.argv[1:])
    except HcrunError as error:
        _say([str(error)])
        status = error.exit_code
    try:
        if sys.stdout is not None:  # it was closed
            sys.stdout.flush()
    except OSError:
        pass
    os._exit(status)


def _main(argv: list[str]) -> int:
    from hcrun.ping.target import validate
    from hcrun.run.options import parse

    job = parse(argv)
    if job.show:
        from hcrun.run.help import show

        return show(job.show)
    validate(job.check)
    if job.dry_run:
        from hcrun.run.dry_run import describe

        return describe(job)
    return _run(job)


def _run(job: Job) -> int:
    _reserve_standard_descriptors()
    _wait_for_splay(job)
    skipped = _overlap(job)
    desk = None
    try:
        from hcrun.run.signals import SignalForwarder

        desk = Desk(job, SignalForwarder())
        if skipped:
            return desk.skip(skipped)
        outcome, notes = _attempts(job, desk)
    except Exception as error:  # also those of a module that PYTHONPATH puts in place of Python's
        if skipped or (desk and desk.opened):
            raise
        return _unwatched(job, error)
    desk.close(outcome, notes)
    if outcome.signal == signal.SIGINT and any(os.isatty(fd) for fd in (0, 1, 2)):
        # Shells end a loop or a script only when they see that Ctrl-C ended its command.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return outcome.status


def _unwatched(job: Job, error: Exception) -> int:
    """No descriptors, no memory, half an installation: the job comes first, so become it."""
    why = str(error) or type(error).__name__  # MemoryError has no words
    _say([f"the command runs, but is neither watched nor recorded: {why}"])
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    name = job.command[0]
    # Not os.execvp: it imports a module, for which there may be no descriptor.
    path = [""] if "/" in name else os.environ.get("PATH", os.defpath).split(":")
    status = EXIT_NOT_FOUND
    for directory in path:
        try:
            os.execv(os.path.join(directory, name), job.command)  # noqa: S606 - as it was asked for
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            status = EXIT_NOT_EXECUTABLE
    _say([f"{name}: cannot be started"])
    return status


class Desk:
    """Where the reporter is, once the command runs: what it needs is not loaded before."""

    def __init__(self, job: Job, relay: SignalForwarder) -> None:
        self.job = job
        self.relay = relay
        self.run_id = _uuid4()
        self.command = job.command
        if job.redact:  # now: in a thread, a pattern that matches without end could not be ended
            from hcrun.redact import without

            for pattern in job.redact:
                self.command = [without(word, pattern) for word in self.command]
        self._opened: BackgroundCall | None = None

    @property
    def opened(self) -> bool:
        """Whether the command was started, or could not be."""
        return self._opened is not None

    def open(self, started: float) -> None:
        """Called when the command runs, once per attempt."""
        if self._opened is None:
            self._opened = BackgroundCall(lambda: self._reporter(started, self.job.sends_start))

    def _reporter(self, started: float, with_start: bool) -> Reporter:
        from hcrun.run.reporter import Reporter

        return Reporter(self.job, self.command, self.run_id, started, self.relay, with_start)

    def skip(self, why: str) -> int:
        self._opened = BackgroundCall(lambda: self._reporter(time.time(), with_start=False))
        self._finish([f"skipped: {why}"], lambda reporter: reporter.skipped(why))
        return EXIT_SKIPPED

    def close(self, outcome: Outcome, notes: list[str]) -> None:
        self._finish(notes, lambda reporter: reporter.ended(outcome))

    def _finish(self, notes: list[str], tell: Callable[[Reporter], None]) -> None:
        """Have the run recorded and told, then say what there is to say."""
        assert self._opened
        self.relay.received.clear()  # from here on a signal asks hcrun itself to leave
        if not self._opened.wait(_PATIENCE):
            _say([*notes, "not recorded: settings or journal did not answer in time"])
        elif self._opened.result is None:
            _say([*notes, f"not recorded: {self._opened.problem}"])
        else:
            reporter: Reporter = self._opened.result
            try:
                tell(reporter)
            except Exception as error:  # the command's status is what counts
                notes.append(f"internal error, please report it: {type(error).__name__}: {error}")
            _say([reporter.redactor.text(note) for note in [*notes, *reporter.notes]])


def _attempts(job: Job, desk: Desk) -> tuple[Outcome, list[str]]:
    """Run the command, again if it fails and --retries says so; the last outcome, with sums."""
    from hcrun.run.capture import Capture
    from hcrun.run.command import run
    from hcrun.run.sink import Sink
    from hcrun.run.spawn import environment

    environ = environment({"HCRUN_CHECK": job.check, "HCRUN_RUN_ID": desk.run_id})
    capture = Capture(job)
    sinks = (Sink(1), Sink(2))
    began = time.time(), time.monotonic()
    user = system = 0.0
    notes = []
    for attempt in range(1, job.retries + 2):
        capture.start_attempt()
        try:
            outcome = run(job, environ, capture, capture.sinks(sinks), desk.relay, desk.open)
        except OSError as error:  # no descriptor is left for it
            if attempt == 1:
                raise
            notes.append(f"attempt {attempt} could not be made: {error.strerror}")
            break
        outcome.attempts = attempt
        capture.check(outcome)
        outcome.cpu_user += user
        outcome.cpu_system += system
        user, system = outcome.cpu_user, outcome.cpu_system
        verdict = judge(job, outcome, None)
        failed = verdict.result == FAIL
        if not failed or attempt > job.retries:
            break
        desk.relay.rest(job.retry_delay)
        if desk.relay.told_to_end:
            break
        capture.note(f"hcrun: attempt {attempt}: {verdict.why}; trying again\n")
    if outcome.attempts > 1:
        outcome.started, outcome.duration = began[0], time.monotonic() - began[1]
    outcome.output = capture.tail.output()
    capture.finish(sinks, failed, desk.relay)
    sinks[0].close()
    notes += [outcome.trouble] if outcome.trouble else []
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
    from hcrun.ping.target import lock_name
    from hcrun.run.overlap import acquire

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
            try:
                os.open(os.devnull, os.O_RDWR)  # the lowest free number
            except OSError:  # a chroot without /dev
                os.open("/", os.O_RDONLY)


def _say(notes: list[str]) -> None:
    """A line each on stderr; a stderr that is gone or full does not matter."""
    for note in notes:
        line = f"hcrun: {' '.join(note.split())}\n"
        try:
            os.write(2, line.encode("utf-8", "surrogateescape"))
        except OSError:
            return
