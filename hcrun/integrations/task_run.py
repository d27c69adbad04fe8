"""TaskRun: one run of a function, or one state of an endpoint."""

import os
import sys
import time
import traceback
from contextvars import ContextVar
from copy import copy
from uuid import uuid4

from hcrun import settings
from hcrun.api import recorded
from hcrun.api.run import Run as Notes
from hcrun.api.run import shown
from hcrun.integrations import verdict
from hcrun.journal.delivery import Report
from hcrun.journal.journal import Journal
from hcrun.journal.run import Run
from hcrun.results import FAIL, LOG, SUCCESS
from hcrun.units import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.integrations.monitor import Monitor

_INTERRUPTED = 130  # 128 + SIGINT, as in a shell


current: ContextVar[tuple["TaskRun", ...]] = ContextVar("hcrun_runs", default=())


class TaskRun(Report):
    """The application makes and ends it; the recorder and the sender report it.

    In a `with` block, it is the last of the `current` ones.
    """

    queued = False  # whether the recorder is to record its start
    journal: Journal | None = None  # where the recorder records it
    by_celery = False  # whether Celery's signals tell its end
    before: BaseException | None = None  # the exception that was being handled when it began
    _twin: "TaskRun | None" = None

    def __init__(self, monitor: "Monitor", what: str, *, journaled: bool = True) -> None:
        super().__init__(Run(str(uuid4()), time.time()))
        self.monitor = monitor
        self.check = monitor.check or what.rpartition(".")[2].replace("_", "-")
        self.caught = recorded.pings  # `recording()` takes them; None: they are sent
        self.what = what  # in the place of the command
        self.journaled = journaled  # whether the run goes into the journal
        self.began = time.monotonic()
        self.over = False
        self.notes = Notes()
        self.output = (b"", 0, b"")  # see `Tail.output`
        self.pid = os.getpid()
        self.in_code = settings.in_code  # of the moment

    def twin(self) -> "TaskRun":
        """The same run as it is now, on its way to the second server."""
        twin = self._twin = self._twin or TaskRun(self.monitor, self.what, journaled=self.journaled)
        twin.run, twin.output = copy(self.run), self.output
        twin.began, twin.over, twin.in_code = self.began, self.over, self.in_code
        return twin

    def __enter__(self) -> None:
        current.set((*current.get(), self))

    def __exit__(self, *_error: object) -> None:
        current.set(tuple(other for other in current.get() if other is not self))

    def returned(self, result: object) -> None:
        """End the run with what the function returned."""
        reason = verdict.failure(result, self.monitor.validate)
        if reason is None:
            self.succeed()
        else:
            self.fail("not accepted", reason)

    def raised(self, error: BaseException, trace: str = "") -> None:
        """End the run with the exception that left the function; exit(0) is a success."""
        name = type(error).__name__
        asyncio = sys.modules.get("asyncio")
        if isinstance(error, self.monitor.retry):
            self.log(f"raised {name}", error)
        elif isinstance(error, self.monitor.ignore):
            self.succeed(f"ignored {name}")
        elif asyncio and isinstance(error, asyncio.CancelledError):
            self.log("cancelled")
        elif isinstance(error, SystemExit):
            status, why = _exit_status(error.code)
            self._end(FAIL if status else SUCCESS, status, f"exit status {status}", why)
        else:
            status = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
            self._end(FAIL, status, f"raised {name}", shown(error), trace or _trace(error))

    def succeed(self, how: str = "done") -> None:
        """`how` says what happened, without the duration."""
        self._end(SUCCESS, 0, how)

    def log(self, how: str, why: object = "") -> None:
        """End the run as neither a success nor a failure."""
        self._end(LOG, 0, how, shown(why))

    def fail(self, how: str, why: object = "", trace: str = "") -> None:
        """`trace` is the text of a traceback."""
        self._end(FAIL, 1, how, shown(why), trace)

    def _end(self, result: str, status: int, how: str, why: str = "", trace: str = "") -> None:
        run, notes = self.run, self.notes
        if result == SUCCESS and notes._failure is not None:
            result, status, how, why = FAIL, 1, "marked as failed", notes._failure
        run.duration = time.monotonic() - self.began
        run.ended = run.started + run.duration
        run.result, run.status = result, status
        words = (f"{how} after {span(run.duration)}", why, notes._facts())
        run.why = ": ".join(filter(None, words))
        if trace:
            notes._output.add(trace.encode("utf-8", "replace"))
        self.output = notes._output.output()
        self.over = True


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception as problem:  # attributes of the exception may be broken
        return f"{type(error).__name__}, which cannot be shown: {problem!r}"


def _exit_status(code: object) -> tuple[int, str]:
    """Return the exit status of a SystemExit and the text that Python prints for it."""
    if code is None:
        return 0, ""
    if isinstance(code, int):
        return code & 0xFF, ""
    return 1, shown(code)
