"""Fits text into the body of a ping: whole characters, and whole lines where that costs little."""

from hcrun.excerpt import Excerpt
from hcrun.text import byte_length

LIMIT = 10_000  # bytes, until the server says otherwise (Ping-Body-Limit)


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
        first = first_bytes(head, max(room // 5, room - byte_length(tail)))
        last = _last(tail, room - byte_length(first))
    else:
        last = _last(head, room - room // 5)
        first = first_bytes(head[: len(head) - len(last)], room - byte_length(last))
    mark = _mark(total - byte_length(first) - byte_length(last))
    return "\n".join(part for part in (first.strip("\n"), mark, last.strip("\n")) if part)


def _mark(omitted: int) -> str:
    return f"[... {omitted:,} bytes left out ...]"


def first_bytes(text: str, room: int) -> str:
    """The first `room` bytes, cut between characters and, if that leaves half, between lines."""
    data = text.encode("utf-8", "replace")
    room = max(0, room)
    if len(data) <= room:
        return text
    line_end = data.rfind(b"\n", 0, room + 1)
    return data[: line_end if line_end > room // 2 else room].decode("utf-8", "ignore")


def _last(text: str, room: int) -> str:
    """The last `room` bytes, cut as `first_bytes` cuts."""
    data = text.encode("utf-8", "replace")
    if len(data) <= room:
        return text
    start = len(data) - max(0, room)
    line_start = data.find(b"\n", start - 1) + 1
    whole_lines = 0 < line_start < start + room // 2
    return data[line_start if whole_lines else start :].decode("utf-8", "ignore")
