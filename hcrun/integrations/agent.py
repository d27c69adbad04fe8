"""The one recorder and the one sender of this process; what happens when it forks, or ends."""

from __future__ import annotations

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

_MOST = 1000  # runs that wait to be recorded; of those beyond nothing is told
_AT_THE_END = 5.0  # seconds that a process may stay to deliver
_FORK_PATIENCE = 1.0  # seconds to wait for the journal before a fork


class Desk:
    def __init__(self, may_record: bool) -> None:
        self._sender = Sender()
        self._recorder = Recorder(self._sender, may_record)
        self._worker = Worker("hcrun-recorder")
        # Not by the recorder, for its first ping: since 3.12 a process that ends starts no threads.
        self._sender.worker.start()
        _flush_before_forked_process_ends()

    def begin(self, going: TaskRun) -> None:
        if not self._crowded():
            self._worker.put(lambda: self._recorder.begin(going))
            going.told = True

    def end(self, going: TaskRun) -> None:
        if going.told or not self._crowded():
            self._worker.put(lambda: self._recorder.end(going))

    def look(self) -> None:
        """Find runs whose process vanished, and deliver what was left."""
        self._worker.put(self._recorder.look)

    def flush(self, seconds: float) -> bool:
        """Record and deliver what was said until now: this process is about to end."""
        until = self._sender.leaving_at = time.monotonic() + seconds
        try:
            return self._worker.wait(until) and self._sender.worker.wait(until)
        finally:
            self._sender.leaving_at = float("inf")

    def before_fork(self) -> bool:
        return self._recorder.before_fork(_FORK_PATIENCE)

    def after_fork(self) -> None:
        self._recorder.after_fork()

    def _crowded(self) -> bool:
        crowded = self._worker.waiting() >= 2 * _MOST  # their beginnings and their ends
        if crowded:
            warn(f"{_MOST} runs wait to be recorded: those that follow now are not")
        return crowded


_desk: Desk | None = None
_making = threading.Lock()
_may_record = True
_leaving = False  # `flush` was called at the interpreter's end
_closed_by: dict[int, Desk] = {}  # thread that forks -> whose files it closed


def desk() -> Desk:
    """This process's; made when it is first needed."""
    global _desk
    if _desk is None:
        with _making:
            if _desk is None:
                _desk = Desk(_may_record)
    return _desk


def begin(check: str, what: str, start: bool) -> TaskRun:
    """A run begins. Never raises, never waits."""
    going = TaskRun(check, what, start=start)
    try:
        desk().begin(going)
    except Exception as error:  # the application comes first
        warn(f"the start of a run is not told: {error}")
    return going


def end(going: TaskRun) -> None:
    """It has ended; not said by a fork of the process in which it began."""
    try:
        if going.pid == os.getpid():
            desk().end(going)
            if _leaving and not sys.is_finalizing():  # when that begins, threads do no more
                flush()
    except Exception as error:  # the application comes first
        warn(f"the end of a run is not told: {error}")


def flush(seconds: float = _AT_THE_END) -> bool:
    """Whether all was delivered within `seconds`; what was not stays in the journal."""
    return _desk is None or _desk.flush(seconds)


def _at_exit() -> None:
    """Functions that were registered with atexit before this one come after it: see `end`."""
    global _leaving
    _leaving = True
    try:
        flush()
    except KeyboardInterrupt:  # whoever is at the keyboard has waited long enough
        pass


def _flush_before_forked_process_ends() -> None:
    """Children of multiprocessing leave with os._exit, past atexit."""
    util = sys.modules.get("multiprocessing.util")
    if util:
        util.Finalize(None, flush, exitpriority=0)


def _before_fork() -> None:
    # SQLite must not be open in two processes by way of a fork, nor may the child inherit what
    # it remembers of its locks.
    if _desk and _desk.before_fork():
        _closed_by[threading.get_ident()] = _desk


def _after_fork_in_parent() -> None:
    closed = _closed_by.pop(threading.get_ident(), None)
    if closed:
        closed.after_fork()


def _after_fork_in_child() -> None:
    """Start anew: the threads are gone, and what they had to say is their process's business."""
    global _desk, _making, _may_record
    if _desk and threading.get_ident() not in _closed_by:
        _may_record = False
    _closed_by.clear()
    unmute_after_fork()
    _desk = None
    _making = threading.Lock()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
atexit.register(mute)
atexit.register(_at_exit)  # before it: the last one is the first to be called
