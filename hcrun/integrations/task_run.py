"""TaskRun: one run of a function, or one state of an endpoint."""

import os
import time
import traceback
from uuid import uuid4

from hcrun.journal.delivery import Report
from hcrun.journal.run import Run
from hcrun.results import FAIL, LOG, SUCCESS
from hcrun.run.output import Tail
from hcrun.units import span

_MAX_TEXT = 10_000  # characters of an exception's text; the journal shows 500
_INTERRUPTED = 130  # 128 + SIGINT, as in a shell


class TaskRun(Report):
    """The application makes and ends it; the recorder and the sender report it."""

    queued = False  # whether the recorder is to record its start

    def __init__(self, check: str, what: str, *, start: bool, journaled: bool = True) -> None:
        super().__init__(Run(str(uuid4()), time.time()))
        self.check = check
        self.what = what  # in the place of the command
        self.start = start
        self.journaled = journaled  # whether the run goes into the journal
        self.began = time.monotonic()
        self.over = False
        self.output = (b"", 0, b"")  # see `Tail.output`
        self.pid = os.getpid()

    def succeed(self, how: str = "done") -> None:
        """`how` says what happened, without the duration."""
        self._end(SUCCESS, 0, how)

    def log(self, how: str, why: object) -> None:
        """End the run as neither a success nor a failure."""
        self._end(LOG, 0, how, _text(why))

    def fail(self, how: str, why: object = "", trace: str = "") -> None:
        """`trace` is the text of a traceback."""
        self._end(FAIL, 1, how, _text(why), trace)

    def end_with(self, error: BaseException | None) -> None:
        """End the run with the exception that left the function; exit(0) is a success."""
        if error is None:
            self.succeed()
            return
        if isinstance(error, SystemExit):
            status, why = _exit_status(error.code)
            self._end(FAIL if status else SUCCESS, status, f"exit status {status}", why)
            return
        name = type(error).__name__
        try:
            trace = "".join(traceback.format_exception(error))
        except Exception as problem:  # attributes of the exception may be broken
            trace = f"{name}, which cannot be shown: {problem!r}"
        status = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
        self._end(FAIL, status, f"raised {name}", _text(error), trace)

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


def _exit_status(code: object) -> tuple[int, str]:
    """Return the exit status of a SystemExit and the text that Python prints for it."""
    if code is None:
        return 0, ""
    if isinstance(code, int):
        return code & 0xFF, ""
    return 1, _text(code)


def _text(value: object) -> str:
    """Return str(value), cut; never raises."""
    try:
        return str(value)[:_MAX_TEXT]
    except Exception:  # its own __str__ may be broken
        return ""
