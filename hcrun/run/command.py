"""Runs the command, and again while it fails and --retries allows it."""

from __future__ import annotations

import _signal as signal
import posix
import time

from hcrun.environment import encoded
from hcrun.errors import EXIT_SIGNAL, EXIT_TIMEOUT
from hcrun.results import FAIL
from hcrun.run.job import Job, Outcome, attempt_result, span
from hcrun.run.output import Capture
from hcrun.run.signals import SignalForwarder
from hcrun.run.spawn import Child, Program, SpawnError, oom_kills
from hcrun.run.streams import Sink, Stream, StreamLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds to wait for output after the command's end: enough for `cmd > >(tee log)`, but a daemon
# that keeps the pipe open must not keep hcrun.
_LINGER = 0.5
_TICK = 0.05  # seconds between checks whether a group has ended
_PIPE = 256 * 1024  # bytes that a pipe between the command and hcrun holds


class Limits:
    """When to end a command: --timeout, --idle-timeout, and the end of hcrun's container."""

    def __init__(self, job: Job, forwarder: SignalForwarder, started: float) -> None:
        self._forwarder = forwarder
        self._timeout = job.timeout
        self._idle_timeout = job.idle_timeout
        self._kill_after = job.kill_after
        self._started = started
        self._ending = False  # it got SIGTERM
        self._kill_at: float | None = None
        self.reached = ""  # the limit that was reached, in words
        self.killed = ""  # the same for SIGKILL after SIGTERM

    def remaining(self, last_output: float) -> float | None:
        """Seconds until `enforce` has something to do, or None."""
        if self._ending:
            return None if self._kill_at is None else self._kill_at - time.monotonic()
        times = []
        if self._timeout is not None:
            times.append(self._started + self._timeout)
        if self._idle_timeout is not None:
            times.append(last_output + self._idle_timeout)
        return min(times) - time.monotonic() if times else None

    def enforce(self, last_output: float) -> None:
        now = time.monotonic()
        if self._ending:
            if self._kill_at is not None and now >= self._kill_at:
                self._forwarder.send(signal.SIGKILL)
                self.killed = f", killed {span(self._kill_after)} after SIGTERM"
                self._kill_at = None
        elif self._forwarder.leaves_container():
            self._await_end(now)
        elif self._timeout is not None and now >= self._started + self._timeout:
            self._end(f"timed out (--timeout {span(self._timeout)})", now)
        elif self._idle_timeout is not None and now >= last_output + self._idle_timeout:
            self._end(f"no output for {span(self._idle_timeout)} (--idle-timeout)", now)

    def _end(self, why: str, now: float) -> None:
        self.reached = why
        self._forwarder.send(signal.SIGTERM)
        self._await_end(now)

    def _await_end(self, now: float) -> None:
        self._ending = True
        self._forwarder.send(signal.SIGCONT)  # a stopped process cannot act on SIGTERM
        self._kill_at = now + self._kill_after

    @property
    def group_is_ending(self) -> bool:
        """Whether a limit was reached and processes of the command's group are left."""
        return bool(self.reached and self._kill_at is not None and self._forwarder.alive())


class Runner:
    """Runs one command, as often as --retries wants."""

    def __init__(
        self, job: Job, program: Program, capture: Capture, forwarder: SignalForwarder
    ) -> None:
        self.job = job
        self.program = program
        self.capture = capture
        self.forwarder = forwarder

    def run(self, on_start: Callable[[float], None]) -> Outcome:
        """Run the command once; `run_attempts` says what `on_start` is and what this raises."""
        self.capture.start_attempt()
        outcome = Outcome(time.time())
        started = time.monotonic()
        try:
            child, streams = self._start()
        except SpawnError as error:
            on_start(outcome.started)
            outcome.status = error.exit_code
            outcome.trouble = str(error)
            return outcome
        self.forwarder.target(child.pid)  # at once: it ties the command to hcrun
        on_start(outcome.started)
        for stream in streams:
            if stream.is_output:
                _enlarge(stream.source)
        kills_before = oom_kills()
        limits = Limits(self.job, self.forwarder, started)
        loop = StreamLoop(streams, [self.forwarder.wake, *child.wakes])
        ended = child.poll()
        while not ended:
            if loop.wait(limits.remaining(loop.last_output)):
                self.forwarder.drain()
                ended = child.poll()
            if not ended:
                limits.enforce(loop.last_output)
        outcome.duration = time.monotonic() - started
        while limits.group_is_ending:
            loop.wait(_TICK)
            self.forwarder.drain()
            limits.enforce(loop.last_output)
        self.forwarder.target(0)
        self._drain(loop, patient=not limits.reached)
        child.close()
        _fill(outcome, child)
        if limits.reached:
            outcome.status = EXIT_TIMEOUT
            outcome.trouble = limits.reached + limits.killed
        elif limits.killed:
            outcome.trouble = "container stopped" + limits.killed
        outcome.oom = outcome.status == EXIT_SIGNAL + signal.SIGKILL and oom_kills() > kills_before
        outcome.mismatch = self.capture.mismatch()
        shortest = self.job.min_runtime
        if shortest is not None and outcome.duration < shortest and not outcome.mismatch:
            outcome.mismatch = f"shorter than --min-runtime {span(shortest)}"
        return outcome

    def _start(self) -> tuple[Child, list[Stream]]:
        job = self.job
        if (
            job.tty is not False
            and not job.quiet
            and (job.tty or posix.isatty(1) or posix.isatty(2))
        ):
            from hcrun.run.terminal import pty  # only at a terminal

            try:
                return pty.start(self)
            except (OSError, pty.error):  # no pseudo-terminal is left: the job comes first
                pass
        # One pipe for both if both go to the same place, because two would lose the order.
        places = {(status.st_dev, status.st_ino) for status in map(posix.fstat, (1, 2))}
        pipes = [posix.pipe() for _ in places]
        targets = ((pipes[0][1], 1), (pipes[-1][1], 2))
        actions = [(posix.POSIX_SPAWN_DUP2, write, fd) for write, fd in targets]
        try:
            pid = self.program.spawn(actions)
        except (SpawnError, OSError):
            for read, _ in pipes:
                posix.close(read)
            raise
        finally:
            for _, write in pipes:
                posix.close(write)
        return Child(pid), [
            Stream(read, self.capture.sinks[fd - 1], self.capture.recorder(fd))
            for fd, (read, _) in enumerate(pipes, 1)
        ]

    def _drain(self, loop: StreamLoop, patient: bool) -> None:
        """Copy what the command left in its pipes.

        `patient`: wait for a slow reader, as the command would have, unless hcrun is asked to
        end. Output beyond what the pipes hold comes from other processes and is not awaited.
        """
        end = time.monotonic() + _LINGER
        maximum = loop.size + 2 * _PIPE
        while loop.open:
            remaining = end - time.monotonic()
            waits_for_reader = loop.blocked and patient and not self.forwarder.asked_to_end()
            if remaining <= 0 and not (waits_for_reader and loop.size <= maximum):
                break
            loop.wait(None if remaining <= 0 else remaining)
            self.forwarder.drain()
        if loop.open:
            try:
                from hcrun.run.leftover import pass_on  # only if the command left processes

                pass_on(loop.streams, self.program.environ)
            except (ImportError, OSError):  # no descriptor is left
                pass
        loop.close()


def _enlarge(pipe: int) -> None:
    """Give a pipe more room, so that the command can print while hcrun is busy."""
    try:
        import fcntl  # after the spawn

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    except (OSError, ImportError):  # this user has too many large pipes, or it is a terminal
        pass


def _fill(outcome: Outcome, child: Child) -> None:
    assert child.wait_status is not None
    code = posix.waitstatus_to_exitcode(child.wait_status)
    outcome.signal = max(0, -code)
    outcome.status = EXIT_SIGNAL - code if code < 0 else code
    outcome.cpu_user, outcome.cpu_system = child.cpu_user, child.cpu_system
    outcome.memory = child.memory


def run_attempts(
    job: Job, run_id: str, forwarder: SignalForwarder, on_start: Callable[[float], None]
) -> tuple[Outcome, list[str]]:
    """Return the last attempt's outcome, with the times of all attempts, and notes for stderr.

    `on_start` is called with the start time, once per attempt, when the command runs or cannot be
    started. Raises OSError if no descriptor or process is left for the first attempt.
    """
    additions = {b"HCRUN_CHECK": encoded(job.check), b"HCRUN_RUN_ID": run_id.encode()}
    if b"OTEL_EXPORTER_OTLP_ENDPOINT" in job.environ and b"TRACEPARENT" not in job.environ:
        trace = run_id.replace("-", "")  # see hcrun.metrics.signals
        additions[b"TRACEPARENT"] = f"00-{trace}-{trace[:16]}-01".encode()
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
