"""Job: what to run and how. Outcome: how it ended. Verdict: what is reported."""

from __future__ import annotations

from hcrun.results import FAIL, HELD, LOG, RECOVERS, SUCCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_REMEDY = 120.0  # seconds for --remedy
LONGEST_BLAME = 20.0  # seconds in which a failed run asks the checks that it needs
OVERLAP_ALLOW, OVERLAP_SKIP, OVERLAP_WAIT = OVERLAP_MODES = ("allow", "skip", "wait")
_HELD = {FAIL: (HELD, "failure", "an alert"), SUCCESS: (RECOVERS, "success", "the check is up")}


class Job:
    """One command line of `hcrun`. Durations are in seconds."""

    check: str
    command: list[str]
    create = False
    period: int | None = None  # of a check that is created
    grace: int | None = None
    tty: bool | None = None  # None: a terminal if hcrun has one
    timeout: float | None = None
    kill_after = 10.0
    idle_timeout: float | None = None
    min_runtime: float | None = None
    overlap = OVERLAP_ALLOW
    inherited: Sequence[tuple[int, ...]] = ()  # file actions of os.posix_spawn, for the command
    splay: float | None = None
    retries = 0
    retry_delay = 0.0
    fail_after = 1
    needs: Sequence[str] = ()  # checks without which the command cannot work
    recover_after = 1
    remedy = ""  # a shell command
    remedy_after = 1  # failures in a row
    remedy_limit = 2  # times an hour
    quiet = False
    verbose = False
    output = True
    start = True
    deadline = 20.0
    dry_run = False
    environ: dict[bytes, bytes]  # the command's
    show = ""  # --help or --version

    def __init__(self, check: str = "", command: list[str] | None = None) -> None:
        self.check = check
        self.command = command or []
        self.on_exit: dict[int, str] = {}  # exit status -> SUCCESS, FAIL or LOG
        self.expect: list[str] = []  # regular expressions
        self.reject: list[str] = []
        self.redact: list[str] = []

    @property
    def sends_start(self) -> bool:
        """Whether to send a start ping.

        `/log` does not end a run: if only `/log` follows a start, the server reports the check
        as down after its grace time. So a run that may end with `/log` sends no start.
        """
        may_log = self.fail_after > 1 or self.recover_after > 1 or self.needs
        return self.start and not may_log and LOG not in self.on_exit.values()


class Outcome:
    """How a command ended. Times are in seconds, `started` since the epoch, sizes in bytes."""

    status = 0  # as in a shell: 128+n for a signal, 126, 127, 124
    signal = 0  # the signal that ended the command, or 0
    duration = 0.0
    cpu_user = 0.0
    cpu_system = 0.0
    memory = 0  # peak resident size of the largest process
    oom = False  # the kernel's OOM killer ended one of its processes
    trouble = ""  # why it failed whatever its status: a limit, a failed start
    mismatch = ""  # how the last attempt violated --expect, --reject or --min-runtime
    attempts = 1

    def __init__(self, started: float) -> None:
        self.started = started
        self.output = (b"", 0, b"")  # see `Tail.output`

    @property
    def ended(self) -> float:
        return self.started + self.duration

    @property
    def cause(self) -> str:
        """`exit status 3`, `killed by SIGTERM`, or the trouble."""
        if self.trouble:
            return self.trouble
        if self.signal:
            return f"killed by {signal_name(self.signal)}"
        return f"exit status {self.status}"


class Verdict:
    """The result that is reported for a run, and the reason in words."""

    def __init__(self, result: str, why: str, unseen: bool = False) -> None:
        self.result = result
        self.why = why
        self.unseen = unseen  # a failure of which the exit status does not tell


def attempt_result(job: Job, outcome: Outcome) -> Verdict:
    """Return the verdict on one attempt: SUCCESS, FAIL or LOG."""
    why = outcome.cause
    if outcome.duration:  # a command that cannot be started has none
        why += f" after {span(outcome.duration)}"
    if outcome.oom and outcome.status:
        why += ", out of memory"
    if outcome.attempts > 1:
        why += f", {outcome.attempts} attempts"
    if outcome.trouble:  # whatever --on-exit says
        return Verdict(FAIL, why)
    default = FAIL if outcome.status else SUCCESS
    result = job.on_exit.get(outcome.status, default)
    if result != default:
        why += f" (--on-exit {outcome.status}={result})"
    if result == SUCCESS and outcome.mismatch:
        return Verdict(FAIL, f"{why}, {outcome.mismatch}", unseen=True)
    return Verdict(result, why, unseen=result == FAIL and (outcome.oom or not outcome.status))


def threshold(job: Job, result: str) -> int:
    """Return after how many runs in a row this result is reported."""
    return {FAIL: job.fail_after, SUCCESS: job.recover_after}.get(result, 1)


def dampened(job: Job, verdict: Verdict, before: int | None) -> Verdict:
    """Return the verdict that --fail-after or --recover-after makes of `verdict`.

    `before` is the number of such results in a row before this one, counted up to the threshold;
    None if the journal cannot tell, or the check is not down, and then nothing is held back.
    """
    wanted = threshold(job, verdict.result)
    if wanted == 1 or before is None:
        return verdict
    count = before + 1
    held, noun, aim = _HELD[verdict.result]
    if count < wanted:
        return Verdict(held, f"{verdict.why} ({noun} {count} of {wanted} before {aim})")
    often = f"{noun} {count}" if count == wanted else f"more than {wanted} {noun}s"
    return Verdict(verdict.result, f"{verdict.why} ({often} in a row)")


def span(seconds: float) -> str:
    """The duration in words."""
    from hcrun import units  # it would delay the command's start

    return units.span(seconds)


def signal_name(number: int) -> str:
    """Return `SIGTERM` for 15, `signal 64` for a signal without a name."""
    import signal  # imports enum

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
