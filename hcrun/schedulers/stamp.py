"""The first line of a file that hcctl makes: it tells ours from others', and from changed ones.

With it in the file itself there is no list of what was installed that could be lost.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

_MADE = "# Made by hcctl from "
_DIGEST = "; digest "

State = Literal["ours", "changed", "foreign"]


def stamped(text: str, source: str) -> str:
    """`text` with that line; `source` is the catalogue it was made from."""
    return f"{_MADE}{source}{_DIGEST}{_digest(text)}\n{text}"


def state(text: str) -> State:
    """Whether hcctl wrote it, and whether it still is as it was."""
    first, _, rest = text.partition("\n")
    if not first.startswith(_MADE):
        return "foreign"
    return "ours" if first.rpartition(_DIGEST)[2] == _digest(rest) else "changed"


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
