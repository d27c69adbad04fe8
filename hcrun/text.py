"""Plain text from what programs print, and text for one line."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


def clean(data: bytes) -> str:
    """Valid text without escape sequences, progress that was overwritten, or controls."""
    text = data.decode("utf-8", "replace")
    if "\x1b" in text or "\x9b" in text:
        import re  # costs half a bare interpreter start

        # ECMA-48: CSI; OSC, DCS, SOS, PM and APC strings up to BEL, ST or the end of the line, as
        # some never end; other escapes.
        csi = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
        string = r"\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"
        text = re.sub(rf"{csi}|{string}|\x1b[ -/]*[0-~]", "", text)
    if "\r" in text:
        # Of a progress line, only the last state.
        lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        text = "\n".join(lines)
    return text.translate(_CONTROLS)


def byte_length(text: str) -> int:
    """The bytes of the text in UTF-8."""
    return len(text.encode("utf-8", "replace"))


def printable(text: str, instead: str = "?", keep: str = "") -> str:
    """Replace whatever a terminal would act on, except for the characters in `keep`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else instead for c in text)


def one_line(text: str) -> str:
    """Replace line breaks, controls and runs of white space with a space."""
    return " ".join(printable(text, " ").split())


def shortened(text: str, maximum: int) -> str:
    """At most that many characters; `…` stands for what is left out."""
    return text if len(text) <= maximum else f"{text[: max(0, maximum - 1)]}…"


def counted(number: float, noun: str) -> str:
    """`1 run`, `1,200 runs`."""
    return f"{number:,.0f} {noun}" if number == 1 else f"{number:,.0f} {noun}s"


def listed(names: Iterable[str], maximum: int = 5) -> str:
    """`a, b, c, d, e and 998 more`."""
    words = list(names)
    more = len(words) - maximum
    return ", ".join(words[:maximum]) + (f" and {more} more" if more > 0 else "")


def decimal(text: str) -> int | None:
    """Return None unless the text is a decimal number of fewer than 10 digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def checksum(text: str) -> int:
    """A 32-bit FNV-1a hash, the same on every host: `binascii` is a library to load on each run."""
    value = 0x811C9DC5
    for byte in text.encode("utf-8", "surrogateescape"):
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
