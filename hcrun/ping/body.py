"""A run -> the text of a ping: header, head and tail of the output, the verdict last.

The text is valid UTF-8, has no controls but newline and tab, and fits the server's limit.
"""

from __future__ import annotations

import time

from hcrun.text import size
from hcrun.units import span, volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.excerpt import Excerpt
    from hcrun.journal.run import Run

LIMIT = 10_000  # bytes, until the server says otherwise (Ping-Body-Limit)

_WORDS = {
    "success": "OK",
    "fail": "FAILED",
    "log": "NOT COUNTED",
    "held": "FAILED, HELD BACK",
    "skip": "SKIPPED",
    "lost": "LOST",
}


def compose(run: Run, limit: int = LIMIT, note: str = "") -> str:
    """The text of a ping, at most `limit` bytes of UTF-8. `note` is its first line."""
    verdict = f"{_WORDS[run.result]}: {run.why}"
    room = limit - size(verdict) - 2  # of two newlines
    if room <= 0:
        return _first(verdict, limit)
    head = _first("\n".join(_header(run, note)), room)
    middle = fit(run.excerpt, room - size(head) - 2)
    return "\n\n".join(part for part in (head, middle, verdict) if part)


def _header(run: Run, note: str) -> list[str]:
    lines = [note] if note else []
    if run.duration:  # it ran, and its hcrun did not vanish
        memory = f", peak memory {volume(run.memory)}" if run.memory else ""
        cpu = f"; CPU {span(run.cpu_user)} user + {span(run.cpu_system)} system"
        measured = run.cpu_user or run.cpu_system  # of a function nothing is
        lines.append(f"{run.why}{cpu if measured else ''}{memory}")
    return [*lines, opening(run)]


def opening(run: Run) -> str:
    """What is known when a run starts."""
    began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(run.started))
    return f"started {began} by {run.user} on {run.host}, run {run.run_id}\ncommand: {run.command}"


def fit(given: Excerpt, room: int) -> str:
    """The excerpt within `room` bytes: a fifth for its beginning, the rest for its end."""
    head, tail = given.head.strip("\n"), given.tail.strip("\n")
    if not given.omitted and size(head) <= room:
        return head
    all_of_it = given.omitted + size(head) + size(tail)
    room -= size(_mark(all_of_it)) + 2  # newlines
    if room < -2:
        return ""
    if given.omitted:
        first = _first(head, max(room // 5, room - size(tail)))
        last = _last(tail, room - size(first))
    else:
        last = _last(head, room - room // 5)
        first = _first(head[: len(head) - len(last)], room - size(last))
    mark = _mark(all_of_it - size(first) - size(last))
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
