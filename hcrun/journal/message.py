"""Composes the text of a ping: the verdict, how it was run, head and tail of the output."""

from hcrun.excerpt import Excerpt
from hcrun.journal.run import Run
from hcrun.ping.client import LIMIT
from hcrun.results import BLOCKED, FAIL, HELD, LOG, LOST, RECOVERS, SKIP, SUCCESS
from hcrun.text import byte_length, shortened
from hcrun.units import span, utc, volume

_LONGEST = 500  # characters of a verdict line
LATE = "Delivered late: this run ended at "
_VERDICTS = {
    SUCCESS: "OK",
    FAIL: "FAILED",
    LOG: "NOT COUNTED",
    HELD: "FAILED, HELD BACK",
    BLOCKED: "FAILED, BLOCKED",
    RECOVERS: "OK, HELD BACK",
    SKIP: "SKIPPED",
    LOST: "LOST",
}
_STATUSES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")  # of a probe, by exit status


def compose(run: Run, limit: int = LIMIT, note: str = "") -> str:
    """The text of a ping, at most `limit` bytes of UTF-8; a phone shows only the first lines."""
    verdict = f"{_VERDICTS[run.result]}: {run.why}{_cost(run) if run.duration else ''}"
    head = (_said(run), verdict, _runbook(run), note, opening(run))
    header = _first("\n".join(line for line in head if line), limit)
    middle = fit(run.excerpt, limit - byte_length(header) - 2)
    return f"{header}\n\n{middle}" if middle else header


def _said(run: Run) -> str:
    """The verdict line of a probe, without perfdata: the first line with its status; else ""."""
    if run.status >= len(_STATUSES):
        return ""
    status = f" {_STATUSES[run.status]}"
    output = f"\n{run.excerpt.head}\n{run.excerpt.tail}"
    for line in output.rpartition("\nhcrun: attempt ")[2].split("\n"):  # the last attempt
        name, _, words = f" {line}".partition(status)
        if words.startswith((" - ", ": ")) and (name.isupper() or not name):
            return shortened(line.partition("|")[0].rstrip(), _LONGEST)
    return ""


def _runbook(run: Run) -> str:
    """Where to read on when a probe has failed; for other commands, the catalogue says it."""
    program = run.command.partition(" ")[0].rpartition("/")[2]
    if run.result != FAIL or not program.startswith("probe-"):
        return ""
    return f"Runbook: hcctl docs runbook {program.removeprefix('probe-')}"


def _cost(run: Run) -> str:
    """CPU and memory of a run that ran to its end; functions have no figures of their own."""
    cpu = f"; CPU {span(run.cpu_user)} user + {span(run.cpu_system)} system"
    memory = f", peak memory {volume(run.memory)}" if run.memory else ""
    return f"{cpu if run.cpu_user or run.cpu_system else ''}{memory}"


def opening(run: Run) -> str:
    """The text of a start ping."""
    began = f"started {utc(run.started)} by {run.user} on {run.host}, run {run.run_id}"
    return f"{began}\ncommand: {run.command}"


def late_note(run: Run) -> str:
    """The note in a result that is delivered after the end of its run."""
    return f"{LATE}{utc(run.ended or run.started)}."


def fit(given: Excerpt, room: int) -> str:
    """The excerpt in at most `room` bytes: a fifth for its beginning, the rest for its end."""
    head, tail = given.head.strip("\n"), given.tail.strip("\n")
    if not given.omitted and byte_length(head) <= room:
        return head
    total = given.omitted + byte_length(head) + byte_length(tail)
    room -= byte_length(_mark(total)) + 2  # newlines
    if room < -2:
        return ""
    if given.omitted:
        first = _first(head, max(room // 5, room - byte_length(tail)))
        last = _last(tail, room - byte_length(first))
    else:
        last = _last(head, room - room // 5)
        first = _first(head[: len(head) - len(last)], room - byte_length(last))
    mark = _mark(total - byte_length(first) - byte_length(last))
    return "\n".join(part for part in (first.strip("\n"), mark, last.strip("\n")) if part)


def _mark(omitted: int) -> str:
    return f"[... {omitted:,} bytes left out ...]"


def _first(text: str, room: int) -> str:
    """The first `room` bytes, cut between characters and, if that leaves half, between lines."""
    data = text.encode("utf-8", "replace")
    room = max(0, room)
    if len(data) <= room:
        return text
    line_end = data.rfind(b"\n", 0, room + 1)
    return data[: line_end if line_end > room // 2 else room].decode("utf-8", "ignore")


def _last(text: str, room: int) -> str:
    """The last `room` bytes, cut as `_first` cuts."""
    data = text.encode("utf-8", "replace")
    if len(data) <= room:
        return text
    start = len(data) - max(0, room)
    line_start = data.find(b"\n", start - 1) + 1
    whole_lines = 0 < line_start < start + room // 2
    return data[line_start if whole_lines else start :].decode("utf-8", "ignore")
