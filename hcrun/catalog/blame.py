"""Whether a failed run is to blame on a check that it needs. Only a failed run with needs asks."""

import os
import time
from collections.abc import Sequence

from hcrun.catalog import SYSTEM, Check, load
from hcrun.catalog.schedule import period
from hcrun.errors import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, EXIT_TIMEOUT, HcrunError
from hcrun.journal.journal import Journal
from hcrun.journal.queries import newest_results
from hcrun.journal.run import Run
from hcrun.results import BLOCKED, FAIL, GOOD, HELD
from hcrun.run.command import Runner
from hcrun.run.job import LONGEST_BLAME, Job, attempt_result
from hcrun.run.options import parse
from hcrun.run.output import Capture
from hcrun.run.signals import SignalForwarder
from hcrun.run.spawn import Program
from hcrun.run.streams import Sink
from hcrun.settings import Settings
from hcrun.units import span

_LOOKED_AT = 86400.0  # seconds of results
_IN_A_ROW = 2  # runs that failures which --fail-after holds may block
_UNKNOWN = 3  # the exit status of a probe that could not look
_CANNOT_TELL = (_UNKNOWN, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND)

Results = Sequence[tuple[str, float, float]]  # result, start and end, newest first


def blamed(
    job: Job, run: Run, journal: Journal, settings: Settings, forwarder: SignalForwarder
) -> str:
    """Returns `blocked by redis, which ...`; "" if the failure is the run's own.

    First the journal is asked about all needs, then those whose recorded results do not explain the
    failure are looked at. Raises HcrunError if that is not possible: the failure is then reported.
    """
    catalog = load(SYSTEM, settings, obeyed=True)
    by_slug = {check.slug: check for check in catalog.checks}
    if unknown := [slug for slug in job.needs if slug not in by_slug]:
        raise HcrunError(f"there is no check {unknown[0]}", where=catalog.path, hint="add it")
    settle = by_slug[run.check].settle if run.check in by_slug else 0
    now, until = time.time(), time.monotonic() + LONGEST_BLAME
    before = newest_results(journal, run.check, now - _LOOKED_AT)[:_IN_A_ROW]
    seen = []
    for root in catalog.roots(job.needs):
        seconds = period(root.schedule)
        since = min(run.started, now - _LOOKED_AT - settle) - 2 * seconds
        results = evidence(newest_results(journal, root.slug, since), before, seconds)
        if why := recorded(results, run.started, now, seconds):
            return f"blocked by {root.slug}, which {why}"
        seen.append((root, results))
    for root, results in seen:
        if why := _looked_at(root, job, forwarder, until) or settling(results, now, settle):
            return f"blocked by {root.slug}, which {why}"
    return ""


def evidence(results: Results, before: Results, seconds: int) -> Results:
    """Returns the results of a need that count: its failures and successes.

    `before` are those of the check that has failed. A need that fails now and then, and is never
    down, sends no alert: its held failures count no more after they have blocked two runs in a row.
    """
    counted = {FAIL, HELD, *GOOD}
    if len(before) == _IN_A_ROW and all(result == BLOCKED for result, _, _ in before):
        since = before[-1][1] - seconds
        if not any(result == FAIL and ended > since for result, _, ended in results):
            counted.remove(HELD)
    return [each for each in results if each[0] in counted]


def recorded(results: Results, started: float, now: float, seconds: int) -> str:
    """Returns how the need's results explain the failure of a run, or ""."""
    failures = [ended for result, _, ended in results if result not in GOOD]
    newest = max(failures, default=0.0)
    is_failing = bool(results) and results[0][0] == FAIL and newest > now - 2 * seconds
    if newest > started - seconds or is_failing:
        return f"failed {span(max(0.0, now - newest))} ago"
    return ""


def settling(results: Results, now: float, settle: int) -> str:
    """Returns "" if the need has been well for `settle` seconds, or for as long as is known."""
    since = 0.0
    for result, _, ended in results:
        if result not in GOOD:
            return f"recovered {span(now - since)} ago" if 0 <= now - since < settle else ""
        since = ended
    return ""


def _looked_at(root: Check, asking: Job, forwarder: SignalForwarder, until: float) -> str:
    """Runs the command of a need, and returns how it fails; "" if it does not, or cannot tell."""
    left = until - time.monotonic()
    if not root.command or left <= 0 or forwarder.asked_to_end():
        return ""
    job = parse([*root.options, root.slug, "--", *root.command])
    job.timeout, job.kill_after, job.quiet = min(root.timeout or left, left), 1.0, True
    no_input = os.open(os.devnull, os.O_RDONLY)
    actions = [(os.POSIX_SPAWN_DUP2, no_input, 0)]
    program = Program(job.command, asking.environ, forwarder.mask, actions)
    outcome = Runner(job, program, Capture(job, Sink(1), Sink(2)), forwarder).run(lambda _: None)
    os.close(no_input)
    verdict = attempt_result(job, outcome)
    too_slow = outcome.status == EXIT_TIMEOUT and job.timeout == left  # for us, not for the need
    if verdict.result != FAIL or outcome.status in _CANNOT_TELL or too_slow:
        return ""
    return f"fails now ({verdict.why})"
