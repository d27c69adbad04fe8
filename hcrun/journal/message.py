"""Composes the text of a ping from a run: a header, head and tail of the output, the verdict.

The text is valid UTF-8, has no controls except newline and tab, and fits the server's limit.
"""

from __future__ import annotations

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
    head = first_bytes("\n".join(_header(run, note)), room)
    middle = fit(run.excerpt, room - byte_length(head) - 2)
    return "\n\n".join(part for part in (head, middle, verdict) if part)


def _header(run: Run, note: str) -> list[str]:
    lines = [note] if note else []
    if run.duration:  # it ran to its end
        memory = f", peak memory {volume(run.memory)}" if run.memory else ""
        cpu = f"; CPU {span(run.cpu_user)} user + {span(run.cpu_system)} system"
        measured = run.cpu_user or run.cpu_system  # not for functions
        lines.append(f"{run.why}{cpu if measured else ''}{memory}")
    return [*lines, opening(run)]


def opening(run: Run) -> str:
    """The text of a start ping."""
    began = f"started {utc(run.started)} by {run.user} on {run.host}, run {run.run_id}"
    return f"{began}\ncommand: {run.command}"


def late_note(run: Run) -> str:
    """The first line of a result that is delivered after the end of its run."""
    return f"Delivered late: this run ended at {utc(run.ended or run.started)}."
