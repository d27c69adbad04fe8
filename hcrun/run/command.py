"""Job -> Outcome: run the command once, with its streams, signals and limits."""

from __future__ import annotations

import _signal as signal
import os
import time

from hcrun.errors import EXIT_SIGNAL, EXIT_TIMEOUT
from hcrun.run import oom
from hcrun.run.child import Child, shown_to
from hcrun.run.job import Outcome
from hcrun.run.spawn import SpawnError, spawn
from hcrun.run.streams import Stream, StreamLoop
from hcrun.units import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hcrun.run.child import Capture
    from hcrun.run.job import Job
    from hcrun.run.signals import SignalForwarder
    from hcrun.run.sink import Sink


# How long output is awaited after the command's own end: for `cmd > >(tee log)`, but not for
# a daemon that holds the pipe for ever.
_LINGER = 0.5
_TICK = 0.05  # between looks at whether a group is gone
_PIPE = 256 * 1024  # what a pipe of ours holds


class Limits:
    """When a command that does not end by itself is made to: --timeout and --idle-timeout."""

    def __init__(self, job: Job, relay: SignalForwarder, started: float) -> None:
        self.relay = relay
        self.idle = job.idle_timeout
        self.kill_after = job.kill_after
        self.ends = None if job.timeout is None else started + job.timeout
        self.timeout_text = (
            "" if job.timeout is None else f"timed out (--timeout {span(job.timeout)})"
        )
        self.kill_at: float | None = None
        self.hit = ""

    def remaining(self, moved: float) -> float | None:
        """Seconds until there is something to do, given when output last came."""
        if self.hit:
            return None if self.kill_at is None else self.kill_at - time.monotonic()
        times = [] if self.ends is None else [self.ends]
        if self.idle is not None:
            times.append(moved + self.idle)
        return min(times) - time.monotonic() if times else None

    def enforce(self, moved: float) -> None:
        now = time.monotonic()
        if not self.hit:
            if self.ends is not None and now >= self.ends:
                self._end(self.timeout_text, now)
            elif self.idle is not None and now >= moved + self.idle:
                self._end(f"no output for {span(self.idle)} (--idle-timeout)", now)
        elif self.kill_at is not None and now >= self.kill_at:
            self.relay.send(signal.SIGKILL)
            self.hit += f", killed {span(self.kill_after)} after SIGTERM"
            self.kill_at = None

    def _end(self, why: str, now: float) -> None:
        self.hit = why
        self.relay.send(signal.SIGTERM)
        self.relay.send(signal.SIGCONT)  # a stopped process cannot act on SIGTERM
        self.kill_at = now + self.kill_after

    @property
    def unfinished(self) -> bool:
        """Whether a limit was hit and the rest of the group is still to end."""
        return self.kill_at is not None and self.relay.alive()


def run(
    job: Job,
    environ: dict[str, str],
    capture: Capture,
    sinks: tuple[Sink, Sink],
    relay: SignalForwarder,
    spawned: Callable[[float], None],
) -> Outcome:
    """Run the command once.

    `spawned` is called with the time it started, when it runs or could not be started.
    """
    outcome = Outcome(time.time())
    started = time.monotonic()
    try:
        child, streams = _start(job, environ, capture, sinks, relay)
    except SpawnError as error:
        spawned(outcome.started)
        outcome.status = error.exit_code
        outcome.trouble = str(error)
        return outcome
    relay.target(child.pid)
    spawned(outcome.started)
    oom_kills = oom.kills()
    limits = Limits(job, relay, started)
    pump = StreamLoop(streams, [relay.wake, *child.wakes])
    ended = child.poll()
    while not ended:
        if pump.wait(limits.remaining(pump.moved)):
            relay.drain()
            ended = child.poll()
        if not ended:
            limits.enforce(pump.moved)
    outcome.duration = time.monotonic() - started
    while limits.unfinished:
        pump.wait(_TICK)
        relay.drain()
        limits.enforce(pump.moved)
    relay.target(0)
    _drain(pump, relay, patient=not limits.hit)
    child.close()
    _fill(outcome, child, limits)
    outcome.oom = outcome.status == EXIT_SIGNAL + signal.SIGKILL and oom.kills() > oom_kills
    return outcome


def _start(
    job: Job,
    environ: dict[str, str],
    capture: Capture,
    sinks: tuple[Sink, Sink],
    relay: SignalForwarder,
) -> tuple[Child, list[Stream]]:
    if job.tty is not False and not job.quiet and (job.tty or os.isatty(1) or os.isatty(2)):
        from hcrun.run.terminal import pty

        try:
            return pty.start(job, environ, capture, sinks, relay)
        except (OSError, pty.error):  # no pseudo-terminal is left: the job comes first
            pass
    ends = [os.pipe(), os.pipe()]
    actions = [(os.POSIX_SPAWN_DUP2, write, fd) for fd, (_, write) in enumerate(ends, 1)]
    try:
        pid = spawn(job.command, environ, actions, setsigmask=relay.mask)
    except (SpawnError, OSError):
        for read, _ in ends:
            os.close(read)
        raise
    finally:
        for _, write in ends:
            os.close(write)
    return Child(pid), [
        Stream(_widened(read), sink, shown_to(capture, fd))
        for fd, ((read, _), sink) in enumerate(zip(ends, sinks, strict=True), 1)
    ]


def _widened(pipe: int) -> int:
    """Room for the command to print on while hcrun is busy with what it printed."""
    try:
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    except (OSError, ImportError):  # this user has too many of them, or of open files
        pass
    return pipe


def _drain(pump: StreamLoop, relay: SignalForwarder, patient: bool) -> None:
    """Pass on what the command left in its pipes.

    A reader that takes its time is waited for, as the command would have; unless the command
    was made to end, or hcrun is asked to. More than pipes hold is not the command's own.
    """
    until = time.monotonic() + _LINGER
    enough = pump.bytes + 2 * _PIPE
    while pump.open:
        left = until - time.monotonic()
        waits_for_reader = pump.blocked and patient and not relay.told_to_end
        if left <= 0 and not (waits_for_reader and pump.bytes <= enough):
            break
        pump.wait(None if left <= 0 else left)
        relay.drain()
    pump.close()


def _fill(outcome: Outcome, child: Child, limits: Limits) -> None:
    assert child.wait_status is not None
    code = os.waitstatus_to_exitcode(child.wait_status)
    outcome.signal = max(0, -code)
    outcome.status = EXIT_SIGNAL - code if code < 0 else code
    outcome.cpu_user, outcome.cpu_system = child.cpu_user, child.cpu_system
    outcome.memory = child.memory
    if limits.hit:
        outcome.status = EXIT_TIMEOUT
        outcome.trouble = limits.hit
