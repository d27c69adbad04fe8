"""The entry point of `hcrun`; the only module that prints during a run."""

from __future__ import annotations

import _signal as signal
import posix
import sys
import time

from hcrun.environment import of_command, variables
from hcrun.errors import (
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    EXIT_SIGNAL,
    EXIT_SKIPPED,
    HcrunError,
    JournalError,
    UsageError,
)
from hcrun.run.background import BackgroundCall
from hcrun.run.job import OVERLAP_ALLOW, OVERLAP_WAIT, Job, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is slow to import, and the others are imported late
    from collections.abc import Callable
    from typing import NoReturn

    from hcrun.run.reporter import Reporter
    from hcrun.run.signals import SignalForwarder
    from hcrun.start_marker import StartMarker

# Seconds for settings and journal: longer than the journal's own time-out for locks, and enough
# for a host on which some hundred jobs start in the same second.
_PATIENCE = 12.0
_GLANCE = 0.05  # seconds by which a disk that hangs may delay the command
_HASTE = 2.0  # seconds for the pings when the container ends


def main(environ: bytes = b"") -> NoReturn:
    """Run `hcrun`; leaves with posix._exit, because a thread may hang in a resolver forever.

    `environ` is the environment that the launcher was given, as the kernel keeps it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no KeyboardInterrupt before the command
    if posix.getpid() == 1:  # of a container, which `docker stop` kills 10 s after SIGTERM
        Job.kill_after = 5.0
        # The kernel ignores a signal to PID 1 that has no handler.
        signal.signal(signal.SIGTERM, lambda number, _: posix._exit(EXIT_SIGNAL + number))
    try:
        status = _main(sys.argv[1:], environ)
    except HcrunError as error:
        _print_notes([str(error)])
        status = error.exit_code
    try:
        if sys.stdout is not None:  # None: it was closed
            sys.stdout.flush()
    except OSError:
        pass
    posix._exit(status)


def _main(argv: list[str], environ: bytes) -> int:
    from hcrun.ping.target import validate
    from hcrun.run.options import parse

    job = parse(argv)
    if job.show:
        from hcrun.run.help import show

        return show(job.show)
    validate(job.check)
    if (job.period or job.grace) and not job.create:
        raise UsageError("--period and --grace are for a new check", hint="add --create")
    if job.dry_run:
        from hcrun.run.dry_run import describe

        return describe(job)
    job.environ = of_command(environ)
    return _run(job)


def _run(job: Job) -> int:
    _reserve_standard_descriptors()
    if job.splay is not None:  # a delay of this host and check, which spreads the load of a fleet
        from hcrun.text import checksum

        time.sleep(job.splay * checksum(f"{posix.uname().nodename} {job.check}") / 2**32)
    skip_reason = _take_overlap_lock(job)
    handle = None
    run_id = _uuid4()
    marker = None if skip_reason else BackgroundCall(lambda: _mark_start(job.check, run_id))
    try:
        from hcrun.run.signals import SignalForwarder

        forwarder = SignalForwarder()
        handle = ReporterHandle(job, forwarder, run_id, marker)
        if skip_reason:
            return handle.skip(skip_reason)
        from hcrun.run.command import run_attempts

        if marker:
            marker.wait(_GLANCE)
        try:
            outcome, notes = run_attempts(job, handle.run_id, forwarder, handle.open)
        except BlockingIOError:  # no process is left, and the marker's thread may be one
            if handle.opened or not marker or not marker.wait(1.0):
                raise
            outcome, notes = run_attempts(job, handle.run_id, forwarder, handle.open)
    except Exception as error:  # a module of PYTHONPATH in place of Python's own raises anything
        if skip_reason or (handle and handle.opened):
            raise
        _forget_start(marker)
        return _become_command(job, error)
    handle.close(outcome, notes)
    if outcome.signal == signal.SIGINT and any(posix.isatty(fd) for fd in (0, 1, 2)):
        # Shells end a loop or a script only if they see that Ctrl-C ended its command.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        posix.kill(posix.getpid(), signal.SIGINT)
    return outcome.status


def _become_command(job: Job, error: Exception) -> int:
    """No memory, half an installation: exec the command; returns a status if that fails."""
    reason = str(error) or type(error).__name__  # MemoryError has no text
    _print_notes([f"the command runs without monitoring: {reason}"])
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    for _, source, target in job.inherited:
        posix.dup2(source, target)
    name = job.command[0]
    # Not os.execvp: it imports a module, for which there may be no descriptor.
    path = [""]
    if "/" not in name:
        path = variables().get("PATH", "/bin:/usr/bin").split(":")
        path.append(sys.argv[0].rpartition("/")[0])
    status = EXIT_NOT_FOUND
    for directory in path:
        try:
            posix.execve(f"{directory}/{name}" if directory else name, job.command, job.environ)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            status = EXIT_NOT_EXECUTABLE
    _print_notes([f"{name}: cannot be started"])
    return status


class ReporterHandle:
    """Creates the Reporter in a thread once the command has started, which it never delays."""

    def __init__(
        self, job: Job, forwarder: SignalForwarder, run_id: str, marker: BackgroundCall | None
    ) -> None:
        self._job = job
        self._forwarder = forwarder
        self.run_id = run_id
        self._marker = marker  # until the journal has the run
        self._command = job.command
        if job.redact:  # now: only in the main thread can a pattern be stopped that takes too long
            from hcrun.redact import without

            for pattern in job.redact:
                self._command = [without(word, pattern) for word in self._command]
        self._reporter: BackgroundCall | None = None

    @property
    def opened(self) -> bool:
        """Whether the command was started, or cannot be started."""
        return self._reporter is not None

    def open(self, started: float) -> None:
        """Create the Reporter, at the first of several attempts."""
        if self._reporter is None:
            self._create(started, self._job.sends_start)

    def _create(self, started: float, sends_start: bool) -> None:
        def create() -> Reporter:
            from hcrun.run.reporter import Reporter

            reporter = Reporter(
                self._job, self._command, self.run_id, started, self._forwarder, sends_start
            )
            if reporter.journal and self._marker and self._marker.result:
                self._marker.result.remove()
                self._marker = None
            return reporter

        _import_sqlite()
        self._reporter = BackgroundCall(create)

    def skip(self, reason: str) -> int:
        """Report that the command was not run."""
        self._create(time.time(), sends_start=False)
        self._finish([f"skipped: {reason}"], lambda reporter: reporter.skipped(reason))
        return EXIT_SKIPPED

    def close(self, outcome: Outcome, notes: list[str]) -> None:
        """Report how the command ended."""
        self._finish(notes, lambda reporter: reporter.ended(outcome))

    def _finish(self, notes: list[str], report: Callable[[Reporter], None]) -> None:
        """Record and report the run, then print the notes."""
        from hcrun.ping.target import label

        assert self._reporter
        summary: list[str] = []
        if self._forwarder.leaves_container():
            self._job.deadline = min(self._job.deadline, _HASTE)
        self._forwarder.received.clear()  # from here on a signal asks hcrun itself to end
        if not self._reporter.wait(_PATIENCE):
            notes.append("not recorded: settings or journal did not answer in time")
        elif self._reporter.result is None:
            notes.append(f"not recorded: {self._reporter.problem}")
        else:
            reporter: Reporter = self._reporter.result
            try:
                report(reporter)
            except Exception as error:  # the exit status must still be the command's
                notes.append(f"internal error, please report it: {type(error).__name__}: {error}")
            notes = [reporter.redactor.text(note) for note in [*notes, *reporter.notes]]
            summary = [reporter.redactor.text(line) for line in reporter.summary]
        _print_notes(notes, label(self._job.check))
        _print(summary)
        _forget_start(self._marker)


def _take_overlap_lock(job: Job) -> str:
    """Take the check's lock if --overlap needs it; returns why the run must be skipped, or ""."""
    if job.overlap == OVERLAP_ALLOW:
        return ""
    from hcrun.ping.target import lock_name
    from hcrun.run.overlap import OverlapError, acquire

    try:
        job.inherited = acquire(lock_name(job.check), wait=job.overlap == OVERLAP_WAIT)
    except OverlapError as error:
        return str(error)
    except JournalError as error:
        _print_notes([f"--overlap {job.overlap} has no effect: {error}"])
    return ""


def _import_sqlite() -> None:
    """Import _sqlite3 without `functools`: it takes 0.3 interpreter starts, for its `lru_cache`.

    Only while no other thread runs, which may import the real one.
    """
    if "functools" in sys.modules:
        return
    from _functools import _lru_cache_wrapper

    def lru_cache(maxsize: int) -> Callable[[Callable[..., object]], object]:
        return lambda function: _lru_cache_wrapper(function, maxsize, False, tuple)

    stand_in = type(sys)("functools")
    stand_in.lru_cache = lru_cache  # type: ignore[attr-defined]
    sys.modules["functools"] = stand_in
    try:
        import _sqlite3  # noqa: F401
    except ImportError:  # the run is not recorded
        pass
    finally:
        del sys.modules["functools"]


def _mark_start(check: str, run_id: str) -> StartMarker:
    from hcrun.start_marker import StartMarker

    return StartMarker(check, run_id)


def _forget_start(marker: BackgroundCall | None) -> None:
    """Remove the marker of a run that did not vanish, although the journal does not have it."""
    if marker and marker.result:
        BackgroundCall(marker.result.remove).wait(1.0)


def _uuid4() -> str:
    """Return a random UUID; `import uuid` costs 0.4 interpreter starts."""
    data = bytearray(posix.urandom(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _reserve_standard_descriptors() -> None:
    """Open closed ones of 0, 1 and 2, so that hcrun's own files do not get these numbers."""
    for fd in (0, 1, 2):
        try:
            posix.fstat(fd)
        except OSError:
            try:
                posix.open("/dev/null", posix.O_RDWR)  # the lowest free number
            except OSError:  # a chroot without /dev
                posix.open("/", posix.O_RDONLY)


def _print_notes(notes: list[str], check: str = "") -> None:
    """Print what is wrong; the system's log keeps what cron may lose."""
    _print(notes)
    if notes:
        try:
            from hcrun.run.syslog import keep

            keep(notes, check)
        except Exception:  # there is no such log
            pass


def _print(notes: list[str]) -> None:
    """Print each note as a line on stderr; a closed or full stderr does not matter."""
    for note in notes:
        line = f"hcrun: {' '.join(note.split())}\n"
        try:
            posix.write(2, line.encode("utf-8", "surrogateescape"))
        except OSError:
            return
