"""Agent: the recorder and the sender of this process, across forks and until its end."""

import atexit
import os
import sys
import threading
import time

from hcrun.integrations.log import mute, unmute_after_fork, warn
from hcrun.integrations.recorder import Recorder
from hcrun.integrations.sender import Sender
from hcrun.integrations.task_run import TaskRun
from hcrun.integrations.worker import Worker

_MAX_WAITING = 1000  # runs that wait to be recorded; further ones are not reported
_AT_EXIT = 5.0  # seconds that a process may stay to deliver
_FORK_PATIENCE = 1.0  # seconds to wait for the journal before a fork


class Agent:
    def __init__(self, may_record: bool) -> None:
        self._sender = Sender()
        self.recorder = Recorder(self._sender, may_record)
        self._worker = Worker("hcrun-recorder")
        # Now, not with the first ping: since Python 3.12 a process that ends starts no threads.
        self._sender.worker.start()
        # Children of multiprocessing leave with os._exit, which skips atexit.
        if util := sys.modules.get("multiprocessing.util"):
            util.Finalize(None, flush, exitpriority=0)

    def begin(self, task: TaskRun) -> None:
        if not self._is_crowded():
            self._worker.put(lambda: self.recorder.begin(task))
            task.queued = True

    def end(self, task: TaskRun) -> None:
        if task.queued or not self._is_crowded():
            self._worker.put(lambda: self.recorder.end(task))

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

    def _is_crowded(self) -> bool:
        crowded = self._worker.waiting() >= 2 * _MAX_WAITING  # a run has a start and an end
        if crowded:
            warn(f"{_MAX_WAITING} runs are waiting to be recorded: new runs are not reported")
        return crowded


_agent: Agent | None = None
_creating = threading.Lock()
_may_record = True
_exiting = False  # the interpreter ends, and `flush` was called for it
_closed_by: dict[int, Agent] = {}  # thread that forks -> the agent whose journal it closed


def current_agent() -> Agent:
    """Return the agent of this process; the first call creates it."""
    global _agent
    if _agent is None:
        with _creating:
            if _agent is None:
                _agent = Agent(_may_record)
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
    try:
        flush()
    except KeyboardInterrupt:  # the user does not want to wait
        pass


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
    unmute_after_fork()
    _agent = None
    _creating = threading.Lock()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
atexit.register(mute)
atexit.register(_at_exit)  # runs before `mute`: atexit calls the last one first
