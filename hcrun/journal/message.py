"""Composes the text of a ping from a run: a header, head and tail of the output, the verdict.

The text is valid UTF-8, has no controls except newline and tab, and fits the server's limit.
"""

from hcrun.journal.run import Run
from hcrun.ping.body import LIMIT, first_bytes, fit
from hcrun.results import FAIL, HELD, LOG, LOST, SKIP, SUCCESS
from hcrun.text import byte_length
from hcrun.units import span, utc, volume

_VERDICTS = {
    SUCCESS: "OK",
    FAIL: "FAILED",
    LOG: "NOT COUNTED",
    HELD: "FAILED, HELD BACK",
    SKIP: "SKIPPED",
    LOST: "LOST",
}


def compose(run: Run, limit: int = LIMIT, note: str = "") -> str:
    """The text of a ping, at most `limit` bytes of UTF-8. `note` is its first line."""
    verdict = f"{_VERDICTS[run.result]}: {run.why}"
    room = limit - byte_length(verdict) - 2  # newlines
    if room <= 0:
        return first_bytes(verdict, limit)
    head = [note, _cost(run) if run.duration else "", opening(run)]
    header = first_bytes("\n".join(line for line in head if line), room)
    middle = fit(run.excerpt, room - byte_length(header) - 2)
    return "\n\n".join(part for part in (header, middle, verdict) if part)


def _cost(run: Run) -> str:
    """Time, CPU and memory of a run that ran to its end; functions have no figures of their own."""
    cpu = f"; CPU {span(run.cpu_user)} user + {span(run.cpu_system)} system"
    memory = f", peak memory {volume(run.memory)}" if run.memory else ""
    return f"{run.why}{cpu if run.cpu_user or run.cpu_system else ''}{memory}"


def opening(run: Run) -> str:
    """The text of a start ping."""
    began = f"started {utc(run.started)} by {run.user} on {run.host}, run {run.run_id}"
    return f"{began}\ncommand: {run.command}"


def late_note(run: Run) -> str:
    """The first line of a result that is delivered after the end of its run."""
    return f"Delivered late: this run ended at {utc(run.ended or run.started)}."
