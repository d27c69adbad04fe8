"""The text of systemd's unit files (systemd.syntax(7), systemd.service(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9_@:=,./+-]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "$": "$$", "%": "%%", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def exec_line(arguments: Iterable[str]) -> str:
    """The value of an ExecStart= that runs just these."""
    return " ".join(argument(word) for word in arguments)


def argument(word: str) -> str:
    """One word, in quotes unless it is plain."""
    if _PLAIN.fullmatch(word):
        return word
    return f'"{"".join(map(_escaped, word))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if ord(character) < 32 or ord(character) == 127:
        return f"\\x{ord(character):02x}"
    return character


def value(text: str) -> str:
    """Text for Description= and the like, where % begins a specifier."""
    return text.replace("%", "%%").removesuffix("\\")


def section(name: str, lines: Iterable[str]) -> str:
    return "\n".join([f"[{name}]", *lines]) + "\n"
