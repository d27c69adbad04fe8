"""TaskRun: one run of a function, or one state of an endpoint."""

from __future__ import annotations

import os
import time
import traceback
from uuid import uuid4

from hcrun.journal.delivery import Report
from hcrun.journal.run import Run
from hcrun.results import FAIL, LOG, SUCCESS
from hcrun.run.output import Output, Tail
from hcrun.units import span

_LONGEST = 10_000  # characters of an exception's words; 500 are shown
_INTERRUPTED = 130  # 128 + SIGINT, as a shell has it


class TaskRun(Report):
    """What is known of a run; made and ended by the application, told by recorder and sender.

    `what` stands where hcrun has the command. `journaled`: whether it belongs into the journal.
    """

    told = False  # whether its beginning is on its way to the recorder

    def __init__(self, check: str, what: str, *, start: bool, journaled: bool = True) -> None:
        super().__init__(Run(str(uuid4()), time.time()))
        self.check = check
        self.what = what
        self.start = start
        self.journaled = journaled
        self.began = time.monotonic()
        self.over = False
        self.output = Output()
        self.pid = os.getpid()

    def succeeded(self, how: str = "done") -> None:
        """`how` is what it did, without how long it took."""
        self._end(SUCCESS, 0, how)

    def logged(self, how: str, why: object) -> None:
        """It ended, but that counts neither as success nor as failure."""
        self._end(LOG, 0, how, _text(why))

    def failed(self, error: BaseException) -> None:
        """It raised. A SystemExit of 0 or None is a success, as it is of a process."""
        name = type(error).__name__
        if isinstance(error, SystemExit):
            code = error.code
            status = 0 if code is None else code & 0xFF if isinstance(code, int) else 1
            why = "" if code is None or isinstance(code, int) else _text(code)
            self._end(FAIL if status else SUCCESS, status, f"exit status {status}", why)
            return
        try:
            trace = "".join(traceback.format_exception(error))
        except Exception as problem:  # its own attributes may be broken
            trace = f"{name}, which cannot be shown: {problem!r}"
        status = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
        self._end(FAIL, status, f"raised {name}", _text(error), trace)

    def refused(self, how: str, why: object = "", trace: str = "") -> None:
        """It failed, and others say how: `trace` is the traceback's text."""
        self._end(FAIL, 1, how, _text(why), trace)

    def _end(self, result: str, status: int, how: str, why: str = "", trace: str = "") -> None:
        run = self.run
        run.duration = time.monotonic() - self.began
        run.ended = run.started + run.duration
        run.result, run.status = result, status
        run.why = f"{how} after {span(run.duration)}" + (f": {why}" if why else "")
        if trace:
            tail = Tail()
            tail.add(trace.encode("utf-8", "replace"))
            self.output = tail.output()
        self.over = True


def _text(value: object) -> str:
    """What it says; never raises."""
    try:
        return str(value)[:_LONGEST]
    except Exception:  # its own __str__ may be broken
        return ""
