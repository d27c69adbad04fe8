"""Agent: the recorder and the sender of this process, across forks and until its end."""

import atexit
import os
import sys
import threading
import time
from collections import deque

from hcrun.integrations import log
from hcrun.integrations.dropped import Dropped
from hcrun.integrations.log import warn
from hcrun.integrations.recorder import Recorder
from hcrun.integrations.sender import Sender
from hcrun.integrations.task_run import TaskRun
from hcrun.integrations.worker import Worker
from hcrun.results import FAIL

_MAX_WAITING = 1000  # runs that wait to be recorded; then only failures, up to as many again
_AT_EXIT = 5.0  # seconds that a process may stay to deliver
_FORK_PATIENCE = 1.0  # seconds to wait for the journal before a fork


class Agent:
    def __init__(self, may_record: bool) -> None:
        self._dropped = Dropped()
        self._sender = Sender()
        self.recorder = Recorder(self._sender, self._dropped, may_record)
        self._worker = Worker("hcrun-recorder", warn)
        self._failures: deque[TaskRun] = deque()  # for which there was no other room
        # Children of multiprocessing leave with os._exit, which skips atexit.
        if util := sys.modules.get("multiprocessing.util"):
            util.Finalize(None, flush, exitpriority=0)

    def start(self) -> None:
        """Start all threads now: since Python 3.12 a process that ends starts none."""
        for worker in (log.worker, self._sender.worker, self._worker):
            worker.start()

    def begin(self, task: TaskRun) -> None:
        if self._has_room():
            task.queued = True
            self._worker.put(lambda: self.recorder.begin(task))

    def end(self, task: TaskRun) -> None:
        if task.queued or self._has_room():
            self._worker.put(lambda: self._end(task))
        elif task.run.result == FAIL and len(self._failures) < _MAX_WAITING:
            self._failures.append(task)
            self._worker.put(lambda: self._end(self._failures.popleft()))
        else:
            self._dropped.add(task.run.result)
            self._worker.start()  # perhaps no thread could be started until now

    def is_recording(self) -> bool:
        return self._worker.waiting() > 0

    def _end(self, task: TaskRun) -> None:
        self.recorder.end(task)
        if self._worker.waiting() < _MAX_WAITING:
            self._dropped.tell()

    def _has_room(self) -> bool:
        return self._worker.waiting() < 2 * _MAX_WAITING  # a run has a start and an end

    def catch_up(self) -> None:
        """Find runs whose process vanished, and deliver what is still in the journal."""
        self._worker.put(self.recorder.catch_up)

    def flush(self, seconds: float) -> bool:
        """Record and deliver everything reported until now, for at most `seconds`."""
        until = self._sender.leaving_at = time.monotonic() + seconds
        try:
            return self._worker.wait(until) and self._sender.worker.wait(until)
        finally:
            self._sender.leaving_at = float("inf")
            self._dropped.tell(now=True)
            log.worker.wait(until)


_agent: Agent | None = None
_creating = threading.RLock()  # a handler of signals may be monitored
_may_record = True
_exiting = False  # the interpreter ends, and `flush` was called for it
_closed_by: dict[int, Agent] = {}  # thread that forks -> the agent whose journal it closed


def current_agent() -> Agent:
    """Return the agent of this process; the first call creates it."""
    global _agent
    if _agent is None:
        with _creating:
            if _agent is None:
                agent = Agent(_may_record)
                _agent = _agent or agent
        _agent.start()
    return _agent


def begin(check: str, what: str, start: bool) -> TaskRun:
    """Begin a run. Never waits, never raises."""
    task = TaskRun(check, what, start=start)
    try:
        current_agent().begin(task)
    except Exception as error:  # the application comes first
        warn(f"cannot report the start of a run: {error}")
    return task


def end(task: TaskRun) -> None:
    """Report the end of a run, unless this process is a fork of the one that began it."""
    try:
        if task.pid == os.getpid():
            current_agent().end(task)
            if _exiting and not sys.is_finalizing():  # then the threads no longer run
                flush()
    except Exception as error:  # the application comes first
        warn(f"cannot report the end of a run: {error}")


def flush(seconds: float = _AT_EXIT) -> bool:
    """Wait until all runs are recorded and delivered, for at most `seconds`.

    Call it before `os._exit`, which skips hcrun's own exit handler. Returns False if results are
    left; they stay in the journal and are delivered later.
    """
    return _agent is None or _agent.flush(seconds)


def _at_exit() -> None:
    """Functions registered with atexit before this one run after it: see `end`."""
    global _exiting
    _exiting = True
    until = time.monotonic() + _AT_EXIT
    try:
        if not flush() and _agent and _agent.is_recording():
            warn("the process ends before all of its runs are recorded")
        log.close(max(until, time.monotonic() + 1))
    except KeyboardInterrupt:  # the user does not want to wait
        log.close(time.monotonic())


def _before_fork() -> None:
    # A SQLite connection must not be used after a fork, and the child must not inherit what SQLite
    # knows of its locks.
    if _agent and _agent.recorder.before_fork(_FORK_PATIENCE):
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
    _creating = threading.RLock()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
atexit.register(_at_exit)
