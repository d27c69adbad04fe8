"""Excerpts of an output, clean and without secrets."""

from __future__ import annotations

from hcrun.text import byte_length, clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

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
    lines = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1]
    first, after_head = _cut(head, lines, redactor.without_partial_end)
    lines = b"".join(tail.splitlines(keepends=True)[1:])
    last, before_tail = _cut(tail, lines, redactor.without_partial_start)
    return Excerpt(redactor.text(first), after_head + omitted + before_tail, redactor.text(last))


def _cut(data: bytes, lines: bytes, without_partial: Callable[[str], str]) -> tuple[str, int]:
    """Clean text of what is safe to show of `data`, and how many of its bytes are left out.

    A cut in the middle of a line may be in the middle of a secret, so only the whole `lines` are
    kept; of a single line, the part that cannot belong to a secret.
    """
    if lines:
        return clean(lines), len(data) - len(lines)
    text = without_partial(clean(data))
    return text, max(0, len(data) - byte_length(text))
