"""Excerpts of an output, clean and without secrets."""

from __future__ import annotations

from hcrun.text import byte_length, clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.redact import Redactor


class Excerpt:
    """Clean text of an output: all in `head`, or `head` and `tail` around an omitted part."""

    def __init__(self, head: str = "", omitted: int = 0, tail: str = "") -> None:
        self.head = head
        self.omitted = omitted  # bytes
        self.tail = tail


def excerpt(head: bytes, omitted: int, tail: bytes, redactor: Redactor) -> Excerpt:
    """Clean and redact an output of which `omitted` bytes between `head` and `tail` are missing."""
    if not omitted:
        return Excerpt(redactor.text(clean(head + tail)))
    first, after_head = _cut_at_end(head, redactor)
    last, before_tail = _cut_at_start(tail, redactor)
    return Excerpt(redactor.text(first), after_head + omitted + before_tail, redactor.text(last))


def _cut_at_end(data: bytes, redactor: Redactor) -> tuple[str, int]:
    """Clean text, and how many bytes at its end are left out.

    A cut in the middle of a line may be in the middle of a secret, so only whole lines are kept; of
    a single line, the part that cannot belong to a secret.
    """
    lines = data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1]
    if lines:
        return clean(lines), len(data) - len(lines)
    text = redactor.without_partial_end(clean(data))
    return text, max(0, len(data) - byte_length(text))


def _cut_at_start(data: bytes, redactor: Redactor) -> tuple[str, int]:
    """The same for data whose start was cut off."""
    line_ends = [at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0]
    lines = data[min(line_ends) + 1 :] if line_ends else b""
    if lines:
        return clean(lines), len(data) - len(lines)
    text = redactor.without_partial_start(clean(data))
    return text, max(0, len(data) - byte_length(text))
