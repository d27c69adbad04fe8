"""Agent: the recorder and the sender of this process, across forks and until its end."""

import atexit
import os
import signal
import sys
import threading
import time
from _thread import RLock
from collections import Counter, deque
from typing import NoReturn

from hcrun import settings
from hcrun.api.recorded import Recorded
from hcrun.excerpt import excerpt
from hcrun.integrations import log
from hcrun.integrations.log import warn
from hcrun.integrations.recorder import Recorder, SecondRecorder
from hcrun.integrations.sender import Sender
from hcrun.integrations.task_run import TaskRun
from hcrun.integrations.worker import Worker
from hcrun.journal.message import compose
from hcrun.redact import Redactor
from hcrun.results import FAIL, LOG, SUCCESS
from hcrun.units import seconds as read_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.integrations.monitor import Monitor

_MAX_WAITING = 1000  # runs that wait to be recorded; then only failures, up to as many again
_AT_EXIT = "5s"  # that a process may stay to deliver
_RECORDING = 5.0  # seconds it may stay until its runs are in the journal, else they are lost
_FORK_PATIENCE = 1.0  # seconds to wait for the journal before a fork
_TELL_EVERY = 600.0  # seconds between two messages about dropped runs
_DROPPED = {SUCCESS: "successful", FAIL: "failed", LOG: "other"}


class Agent:
    def __init__(self, may_record: bool) -> None:
        self.pid = os.getpid()
        self._dropped: Counter[str] = Counter()
        self._counting = RLock()  # a handler of signals may interrupt `_drop`
        self._tell_at = 0.0  # monotonic; not before
        self._senders = (Sender(), Sender(second=True))
        second = SecondRecorder(self._senders[1], lambda _task: None, may_record)
        self.recorder = Recorder(self._senders[0], self._drop, may_record, second)
        self._worker = Worker("hcrun-recorder", warn)
        self._failures: deque[TaskRun] = deque()  # for which there was no other room
        self.open: dict[str, TaskRun] = {}  # runs that have not ended, by their ids

    def start(self) -> None:
        """Start all threads now: since Python 3.12 a process that ends starts none."""
        for worker in (log.worker, *(each.worker for each in self._senders), self._worker):
            worker.start()

    def begin(self, task: TaskRun) -> None:
        self.open[task.run.run_id] = task
        if self._has_room():
            task.queued = True
            self._worker.put(lambda: self.recorder.begin(task))

    def end(self, task: TaskRun) -> None:
        self.open.pop(task.run.run_id, None)
        if task.queued or self._has_room():
            self._worker.put(lambda: self._end(task))
        elif task.run.result == FAIL and len(self._failures) < _MAX_WAITING:
            self._failures.append(task)
            self._worker.put(lambda: self._end(self._failures.popleft()))
        else:
            self._drop(task)
            self._worker.start()  # perhaps no thread could be started until now

    def is_recording(self) -> bool:
        return self._worker.waiting() > 0

    def _end(self, task: TaskRun) -> None:
        self.recorder.end(task)
        if self._worker.waiting() < _MAX_WAITING and time.monotonic() >= self._tell_at:
            self._tell()

    def _has_room(self) -> bool:
        return self._worker.waiting() < 2 * _MAX_WAITING  # a run has a start and an end

    def _drop(self, task: TaskRun) -> None:
        with self._counting:
            self._dropped[task.run.result] += 1
        warn("too many runs are waiting to be recorded: some are dropped, failures last")

    def _tell(self) -> None:
        """Log how many runs were dropped since the last time."""
        if not self._dropped:
            return
        self._tell_at = time.monotonic() + _TELL_EVERY
        with self._counting:
            counts, self._dropped = self._dropped, Counter()
        said = ", ".join(f"{counts[kind]:,} {_DROPPED[kind]}" for kind in _DROPPED if counts[kind])
        warn(f"runs that were dropped and not recorded: {said}")

    def catch_up(self) -> None:
        """Find runs whose process vanished, and deliver what is still in the journal."""
        self._worker.put(self.recorder.catch_up)

    def flush(self, seconds: float, recording: float = 0.0) -> bool:
        """Record and deliver everything reported until now, for at most `seconds`.

        Recording may take up to `recording` seconds, if that is longer.
        """
        now = time.monotonic()
        until = now + seconds
        for sender in self._senders:
            sender.leaving_at = until
        try:
            done = [self._worker.wait(max(until, now + recording))]
            done += [sender.worker.wait(until) for sender in self._senders]
            return all(done) and not any(sender.is_behind for sender in self._senders)
        finally:
            for sender in self._senders:
                sender.leaving_at = float("inf")
            self._tell()
            log.worker.wait(until)


_agent: Agent | None = None
_creating = RLock()  # a handler of signals may be monitored
_may_record = True
_exiting = False  # the interpreter ends, and `flush` was called for it
_closed_by: dict[int, Agent] = {}  # thread that forks -> the agent whose journal it closed
_exit_now = os._exit


def current_agent() -> Agent:
    """Return the agent of this process; the first call creates it."""
    global _agent
    if _agent and _agent.pid != os.getpid():  # uWSGI forks without the hooks of Python
        _before_fork(0)  # closes the journal here, if no thread of the parent used it just then
        _after_fork_in_child()
    if _agent is None:
        with _creating:
            if _agent is None:
                _warn_of_surroundings()
                agent = Agent(_may_record)
                _agent = _agent or agent
        _agent.start()
    return _agent


def _warn_of_surroundings() -> None:
    """Log what keeps the threads of hcrun from running beside the application."""
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet and eventlet.is_monkey_patched("socket"):
        warn("hcrun does not support eventlet: while it pings, no other greenlet runs", here=True)
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi and "enable-threads" not in uwsgi.opt and "threads" not in uwsgi.opt:
        warn("uWSGI runs no threads: add enable-threads = true, else no run is reported", here=True)


def begin(monitor: "Monitor", what: str) -> TaskRun:
    """Begin a run. Never waits, never raises."""
    task = TaskRun(monitor, what)
    try:
        if task.caught is None:
            current_agent().begin(task)
        elif monitor.auto_start:
            task.caught.append(Recorded(task.check, "start"))
    except Exception as error:  # the application comes first
        warn(f"cannot report the start of a run: {error}")
    return task


def end(task: TaskRun) -> None:
    """Report the end of a run, unless this process is a fork of the one that began it."""
    try:
        if task.caught is not None:
            task.caught.append(_recorded(task))
        elif task.pid == os.getpid():
            current_agent().end(task)
            if _exiting and not sys.is_finalizing():  # then the threads no longer run
                _leave(_seconds_at_exit())
    except Exception as error:  # the application comes first
        warn(f"cannot report the end of a run: {error}")


def _recorded(task: TaskRun) -> Recorded:
    run = task.run
    run.check, run.command = task.check, task.what
    run.excerpt = excerpt(*task.output, Redactor([]))
    return Recorded(task.check, run.result, compose(run))


def flush(seconds: float = 5.0) -> bool:
    """Wait until every run is recorded and delivered, for at most `seconds`.

    hcrun calls it when the process ends. Returns False if results are left; they stay in the
    journal and are delivered later.
    """
    return _agent is None or _agent.pid != os.getpid() or _agent.flush(seconds)


def _leave(seconds: float) -> bool:
    """The same at the end of the process, which outlives `seconds` until its runs are recorded."""
    return _agent is None or _agent.pid != os.getpid() or _agent.flush(seconds, _RECORDING)


def _seconds_at_exit() -> float:
    return read_seconds(settings.in_code.get("HCRUN_FLUSH_AT_EXIT", _AT_EXIT))


def _leave_open_runs(how: str) -> None:
    """End the runs that nobody ends any more: their process was not killed."""
    if _agent and _agent.pid == os.getpid():
        for task in list(_agent.open.values()):
            task.log(how)
            end(task)


def _exit(status: int) -> NoReturn:
    """As `os._exit`, which RQ, multiprocessing and Celery call: it skips all handlers of exits."""
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Celery sends one to hurry it up
        _leave_open_runs(f"its process left with os._exit({status})")
        _leave(_seconds_at_exit())
    finally:
        _exit_now(status)


def _at_exit() -> None:
    """Functions registered with atexit before this one run after it: see `end`."""
    global _exiting
    _exiting = True
    until = time.monotonic() + _seconds_at_exit()
    _leave_open_runs("its process ended first")
    try:
        if not _leave(until - time.monotonic()) and _agent and _agent.is_recording():
            warn("the process ends before all of its runs are recorded")
        log.close(max(until, time.monotonic() + 1))
    except KeyboardInterrupt:  # the user does not want to wait
        log.close(time.monotonic())


def _before_fork(patience: float = _FORK_PATIENCE) -> None:
    # A SQLite connection must not be used after a fork, and the child must not inherit what SQLite
    # knows of its locks.
    if _agent and _agent.recorder.before_fork(patience):
        _closed_by[threading.get_ident()] = _agent


def _after_fork_in_parent() -> None:
    closed = _closed_by.pop(threading.get_ident(), None)
    if closed:
        closed.recorder.after_fork()


def _after_fork_in_child() -> None:
    """Start anew: the threads do not exist here, and the parent reports its own runs."""
    global _agent, _creating, _may_record
    if _agent and threading.get_ident() not in _closed_by:
        _may_record = False
    _closed_by.clear()
    log.renew_after_fork()
    _agent = None
    _creating = RLock()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
os._exit = _exit
atexit.register(_at_exit)
