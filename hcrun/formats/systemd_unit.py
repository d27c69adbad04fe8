"""The text of systemd's unit files (systemd.syntax(7), systemd.service(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9_@:=,./+-]+")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "$$", "%": "%%"})


def exec_line(arguments: Iterable[str]) -> str:
    """The value of an ExecStart= that runs just these."""
    return " ".join(argument(word) for word in arguments)


def argument(word: str) -> str:
    """One word, in quotes unless it is plain. The catalogue has no control characters."""
    return word if _PLAIN.fullmatch(word) else f'"{word.translate(_ESCAPES)}"'


def value(text: str) -> str:
    """Text for Description= and the like, where % begins a specifier."""
    return text.replace("%", "%%").removesuffix("\\")


def section(name: str, lines: Iterable[str]) -> str:
    return "\n".join([f"[{name}]", *lines]) + "\n"
