"""Job: what to run and how. Outcome: how it ended. judge: what the server is told.

Plain classes: `dataclasses` costs more to import than the interpreter takes to start.
"""

from __future__ import annotations

from hcrun.results import FAIL, HELD, LOG, SUCCESS
from hcrun.run.output import Output
from hcrun.units import span


class Job:
    """One use of `hcrun`, as given on its command line. Durations are in seconds."""

    check: str
    command: list[str]
    create = False
    tty: bool | None = None  # None: a terminal where hcrun has one
    timeout: float | None = None
    kill_after = 10.0
    idle_timeout: float | None = None
    min_runtime: float | None = None
    overlap = "allow"
    splay: float | None = None
    retries = 0
    retry_delay = 0.0
    fail_after = 1
    quiet = False
    output = True
    start = True
    deadline = 20.0
    dry_run = False
    show = ""  # --help or --version: instead of all else

    def __init__(self, check: str = "", command: list[str] | None = None) -> None:
        self.check = check
        self.command = command or []
        self.on_exit: dict[int, str] = {}  # exit status -> SUCCESS, FAIL or LOG
        self.expect: list[str] = []  # regular expressions
        self.reject: list[str] = []
        self.redact: list[str] = []

    @property
    def sends_start(self) -> bool:
        """Whether a start ping is right.

        `/log` does not end a run: a start that only `/log` follows turns the check down after
        its grace. So a run that may end that way sends none.
        """
        return self.start and self.fail_after == 1 and LOG not in self.on_exit.values()


class Outcome:
    """How a command ended. Times are in seconds, `started` since the epoch, sizes in bytes."""

    status = 0  # as a shell has it: 128+n for a signal, 126, 127, 124
    signal = 0  # that ended the command, else 0
    duration = 0.0
    cpu_user = 0.0
    cpu_system = 0.0
    memory = 0  # peak resident size of the largest process
    oom = False  # the kernel's OOM killer ended one of its processes
    trouble = ""  # why it counts as failed whatever its status: a limit, a failed start
    unmet = ""  # what --expect or --reject had against the output
    attempts = 1

    def __init__(self, started: float) -> None:
        self.started = started
        self.output = Output()

    @property
    def ended(self) -> float:
        return self.started + self.duration

    @property
    def how(self) -> str:
        """`exit status 3`, `killed by SIGTERM`, or the trouble itself."""
        if self.trouble:
            return self.trouble
        if self.signal:
            return f"killed by {signal_name(self.signal)}"
        return f"exit status {self.status}"


class Verdict:
    """What is said of a run: its result and, in words, why."""

    def __init__(self, result: str, why: str) -> None:
        self.result = result
        self.why = why


def judge(job: Job, outcome: Outcome, failures_before: int | None) -> Verdict:
    """The verdict on a run.

    `failures_before`: how many runs of this check failed in a row before this one, counted up to
    --fail-after; None when the journal cannot tell, and then no failure is held back.
    """
    result, why = _judge_alone(job, outcome)
    if result != FAIL or job.fail_after == 1 or failures_before is None:
        return Verdict(result, why)
    count = failures_before + 1
    if count < job.fail_after:
        return Verdict(HELD, f"{why} (failure {count} of {job.fail_after} before an alert)")
    if count > job.fail_after:
        return Verdict(FAIL, f"{why} (more than {job.fail_after} failures in a row)")
    return Verdict(FAIL, f"{why} (failure {count} in a row)")


def _judge_alone(job: Job, outcome: Outcome) -> tuple[str, str]:
    # What could not be started has no duration.
    how = f"{outcome.how} after {span(outcome.duration)}" if outcome.duration else outcome.how
    if outcome.oom and outcome.status:
        how += ", out of memory"
    if outcome.attempts > 1:
        how += f", {outcome.attempts} attempts"
    if outcome.trouble:  # whatever --on-exit says
        return FAIL, how
    usual = FAIL if outcome.status else SUCCESS
    result = job.on_exit.get(outcome.status, usual)
    if result != usual:
        how += f" (--on-exit {outcome.status}={result})"
    if result == SUCCESS and outcome.unmet:
        return FAIL, f"{how}, {outcome.unmet}"
    if result == SUCCESS and job.min_runtime is not None and outcome.duration < job.min_runtime:
        return FAIL, f"{how}, quicker than --min-runtime {span(job.min_runtime)}"
    return result, how


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; `signal 64` for one without a name."""
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
