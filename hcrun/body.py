"""A run -> the text of a ping: header, head and tail of the output, the verdict last.

The text is valid UTF-8, has no controls but newline and tab, and fits the server's limit.
"""

from __future__ import annotations

import time

from hcrun.units import span, volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.record import Run
    from hcrun.redact import Redactor
    from hcrun.tail import Output

LIMIT = 10_000  # bytes, until the server says otherwise (Ping-Body-Limit)

_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}
_WORDS = {
    "success": "OK",
    "fail": "FAILED",
    "log": "NOT COUNTED",
    "held": "FAILED, HELD BACK",
    "skip": "SKIPPED",
    "lost": "LOST",
}


class Excerpt:
    """Clean text of an output: all of it in `head`, or `head` and `tail` around what is omitted."""

    def __init__(self, head: str = "", omitted: int = 0, tail: str = "") -> None:
        self.head = head
        self.omitted = omitted  # bytes
        self.tail = tail


def excerpt(output: Output, redactor: Redactor) -> Excerpt:
    """Clean and redact what was kept of an output."""
    if not output.omitted:
        return Excerpt(redactor.text(clean(output.head + output.tail)))
    head, after_head = _cut_at_end(output.head, redactor)
    tail, before_tail = _cut_at_start(output.tail, redactor)
    omitted = after_head + output.omitted + before_tail
    return Excerpt(redactor.text(head), omitted, redactor.text(tail))


def _cut_at_end(data: bytes, redactor: Redactor) -> tuple[str, int]:
    """Clean text, and how many bytes at its end are left out.

    What is cut in the middle of a line may be cut in the middle of a secret: whole lines are
    kept, and of an only line what cannot be a part of one.
    """
    lines = data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1]
    if lines:
        return clean(lines), len(data) - len(lines)
    text = redactor.without_partial_end(clean(data))
    return text, max(0, len(data) - _size(text))


def _cut_at_start(data: bytes, redactor: Redactor) -> tuple[str, int]:
    """The same for what was cut at its start."""
    line_ends = [at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0]
    lines = data[min(line_ends) + 1 :] if line_ends else b""
    if lines:
        return clean(lines), len(data) - len(lines)
    text = redactor.without_partial_start(clean(data))
    return text, max(0, len(data) - _size(text))


def clean(data: bytes) -> str:
    """Bytes of a terminal or a log -> plain text: no escape sequences, no controls."""
    text = data.decode("utf-8", "replace")
    if "\x1b" in text or "\x9b" in text:
        text = _without_escapes(text)
    if "\r" in text:
        text = _collapse(text)
    return text.translate(_CONTROLS)


def _without_escapes(text: str) -> str:
    import re

    # ECMA-48: CSI; OSC, DCS, SOS, PM and APC strings up to BEL, ST or, lest one that is never
    # ended takes all that follows, the end of the line; other escapes.
    csi = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    string = r"\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"
    return re.sub(rf"{csi}|{string}|\x1b[ -/]*[0-~]", "", text)


def _collapse(text: str) -> str:
    """Of a progress line only what was last seen of it."""
    lines = []
    for line in text.split("\n"):
        shown = [part for part in line.split("\r") if part]
        lines.append(shown[-1] if shown else "")
    return "\n".join(lines)


def compose(run: Run, limit: int = LIMIT, note: str = "") -> str:
    """The text of a ping, at most `limit` bytes of UTF-8. `note` is its first line."""
    verdict = f"{_WORDS[run.result]}: {run.why}"
    room = limit - _size(verdict) - 2  # of two newlines
    if room <= 0:
        return _first(verdict, limit)
    head = _first("\n".join(_header(run, note)), room)
    middle = fit(run.excerpt, room - _size(head) - 2)
    return "\n\n".join(part for part in (head, middle, verdict) if part)


def _header(run: Run, note: str) -> list[str]:
    lines = [note] if note else []
    if run.duration:  # it ran, and its hcrun did not vanish
        memory = f", peak memory {volume(run.memory)}" if run.memory else ""
        cpu = f"CPU {span(run.cpu_user)} user + {span(run.cpu_system)} system"
        lines.append(f"{run.why}; {cpu}{memory}")
    return [*lines, opening(run)]


def opening(run: Run) -> str:
    """What is known when a run starts."""
    began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(run.started))
    return f"started {began} by {run.user} on {run.host}, run {run.run_id}\ncommand: {run.command}"


def fit(given: Excerpt, room: int) -> str:
    """The excerpt within `room` bytes: a fifth for its beginning, the rest for its end."""
    head, tail = given.head.strip("\n"), given.tail.strip("\n")
    if not given.omitted and _size(head) <= room:
        return head
    all_of_it = given.omitted + _size(head) + _size(tail)
    room -= _size(_mark(all_of_it)) + 2  # newlines
    if room < -2:
        return ""
    if given.omitted:
        first = _first(head, max(room // 5, room - _size(tail)))
        last = _last(tail, room - _size(first))
    else:
        last = _last(head, room - room // 5)
        first = _first(head[: len(head) - len(last)], room - _size(last))
    mark = _mark(all_of_it - _size(first) - _size(last))
    return "\n".join(part for part in (first.strip("\n"), mark, last.strip("\n")) if part)


def _mark(omitted: int) -> str:
    return f"[... {omitted:,} bytes left out ...]"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


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
