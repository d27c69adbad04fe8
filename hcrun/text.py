"""Bytes of a terminal or a log -> plain text."""

from __future__ import annotations

_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


def clean(data: bytes) -> str:
    """Valid text without escape sequences, progress that was overwritten, or controls."""
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


def size(text: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(text.encode("utf-8", "replace"))


def printable(text: str) -> str:
    """Replace whatever a terminal would act on with `?`."""
    return "".join(c if c.isprintable() else "?" for c in text)


def counted(number: int, noun: str) -> str:
    """`1 run`, `1,200 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
