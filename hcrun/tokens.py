"""Hides tokens that are known by how they begin, and private keys; few outputs have one."""

import os
import re

with open(f"{os.path.dirname(__file__)}/tokens.txt", encoding="ascii") as _file:
    _LINES = [line.split() for line in _file if line[0] != "#"]
_MARK = r"(-{4,5} ?(?:BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-{4,5})"
_GAP = 4  # lines of a key that may be short: its head, its last line, the one of the mark
_is_key_line = re.compile(r".*[A-Za-z0-9+/=]{40}").match
_is_last_line = re.compile(r"\s*[A-Za-z0-9+/=]+\s*").fullmatch


def without_tokens(text: str, hidden: str) -> str:
    """The text with `hidden` in the place of tokens and private keys."""
    if "PRIVATE KEY" in text:
        text = _without_private_keys(text, hidden)
    patterns = [
        f"{re.escape(begin)}{rest}" for *begins, rest in _LINES for begin in begins if begin in text
    ]
    if not patterns:
        return text
    return re.sub(rf"(?<![A-Za-z0-9])(?:{'|'.join(patterns)})", hidden, text)


def _without_private_keys(text: str, hidden: str) -> str:
    """Hide what is between the marks; where one of them is cut off, what looks like a key."""
    parts = re.split(_MARK, text)  # text, mark, text, mark, text
    for index in range(0, len(parts), 2):
        begun = index > 0 and "BEGIN" in parts[index - 1]
        ends = index + 1 < len(parts) and "END" in parts[index + 1]
        lines = parts[index].split("\n")
        if begun and ends:
            parts[index] = _hide(lines, hidden)
        elif begun and (number := _key_lines(lines)):
            parts[index] = "\n".join([_hide(lines[:number], hidden), *lines[number:]])
        elif ends and (number := _key_lines(lines[::-1])):
            parts[index] = "\n".join([*lines[:-number], _hide(lines[-number:], hidden)])
    return "".join(parts)


def _key_lines(lines: list[str]) -> int:
    """How many of the first lines are those of a key; the first one is beside the mark."""
    number = 0
    for at, line in enumerate(lines):
        if _is_key_line(line):
            number = at + 1
        elif at - number >= _GAP:
            break
    if number and number < len(lines) and _is_last_line(lines[number]):
        number += 1
    return number


def _hide(lines: list[str], hidden: str) -> str:
    if not "".join(lines).strip():
        return "\n".join(lines)
    return f"\n{hidden}\n" if len(lines) > 1 else hidden
