"""Values in quotes, with a backslash or a comment; few lines of an env file have one."""

from __future__ import annotations

_ESCAPED = '"\\$`'  # behind a backslash in double quotes, as in sh and systemd


def read(text: str) -> tuple[str, int]:
    """Read the value at the beginning of `text`, which is what follows `NAME=`.

    Returns it and the number of further lines that it takes. A # after white space begins a
    comment. Raises ValueError, with the reason, if sh, systemd and compose read it differently.
    """
    line, start = text.partition("\n")[0], text.lstrip(" \t")
    if start.startswith(('"', "'")):
        return _in_quotes(start)
    value = _without_comment(line)
    if value != line and (value.count('"') % 2 or value.count("'") % 2):
        raise ValueError("a # inside of a quote that begins in the middle")
    if "\\" in value:
        raise ValueError("a backslash outside of quotes")
    return value.strip(), 0


def _without_comment(line: str) -> str:
    for at, character in enumerate(line):
        if character == "#" and line[at - 1 : at].isspace():
            return line[:at]
    return line


def _in_quotes(text: str) -> tuple[str, int]:
    quote, at, value = text[0], 1, []
    while text[at : at + 1] not in ("", quote):
        if text[at] == "\\" and quote == '"':
            if text[at + 1 : at + 2] in ("\n", "\r"):
                raise ValueError("a backslash at the end of a line")
            at += text[at + 1 : at + 2] in tuple(_ESCAPED)
        value.append(text[at])
        at += 1
    if at == len(text):
        raise ValueError("a quote that is not closed")
    after = text[at + 1 :].partition("\n")[0]
    if _without_comment(after).strip():
        raise ValueError("text after the closing quote")
    if "\0" in value:
        raise ValueError("a NUL")
    return "".join(value), text.count("\n", 0, at)
