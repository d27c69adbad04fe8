"""The text of systemd's unit files (systemd.syntax(7), systemd.service(5))."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_PLAIN = re.compile(r"[A-Za-z0-9_@:=,./+-]+")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "$$", "%": "%%"})
_COMMENT = re.compile(r"^[ \t]*[#;].*\n?", re.MULTILINE)  # also between the lines of one value
_WORD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|[^\s"'\\]|["'\\])+""", re.DOTALL)
_PIECE = re.compile(r""""((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|((?:\\.|[^"'\\])+|.)""", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x(?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-7]{3})|(?P<letter>.))", re.DOTALL)
_LETTERS = dict(zip("abfnrtvs\\\"'", "\a\b\f\n\r\t\v \\\"'", strict=True))

Section = dict[str, list[str]]  # the values of each key
Unit = dict[str, Section]


class Command(NamedTuple):
    """One command of ExecStart=. Its words still have their variables, and $$ for a dollar."""

    prefixes: str  # of -@:+!
    words: list[str]


def parse(text: str) -> Unit:
    """Returns the sections of a unit and its drop-ins; an empty value discards earlier ones."""
    unit: Unit = {}
    section: Section = {}
    for raw in _COMMENT.sub("", text).replace("\\\n", " ").split("\n"):
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = unit.setdefault(line[1:-1], {})
        elif "=" in line:
            key, _, text = line.partition("=")
            values = section.setdefault(key.strip(), [])
            if text.strip():
                values.append(text.strip())
            else:
                values.clear()
    return unit


def last(section: Section, key: str) -> str:
    """Returns the value in force of a key that takes one value, "" if it is not set."""
    return (section.get(key) or [""])[-1]


def split_words(line: str) -> list[str]:
    """Splits a value into words. An escape in quotes of any kind is one, unlike in a shell."""
    return [_plain(word[0]) for word in _WORD.finditer(line)]


def _plain(word: str) -> str:
    pieces = (piece[1] or piece[2] or piece[3] or "" for piece in _PIECE.finditer(word))
    return "".join(_ESCAPE.sub(_unescaped, piece) for piece in pieces)


def _unescaped(escape: re.Match[str]) -> str:
    if code := escape["hex"] or escape["octal"]:
        return chr(int(code, 16 if escape["hex"] else 8))
    return _LETTERS.get(escape["letter"], escape[0])


def commands(line: str) -> list[Command]:
    """Returns the commands of one ExecStart=, which ` ; ` separates."""
    found = [Command("", [])]
    for match in _WORD.finditer(line):
        word = match[0]
        if word == ";":
            found.append(Command("", []))
        elif found[-1].words:
            found[-1].words.append(";" if word == "\\;" else _plain(word))
        else:
            path = word.lstrip("-@:+!|")
            found[-1] = Command(word.removesuffix(path), [_plain(path)])
    return [command for command in found if any(command.words)]


def assignments(section: Section) -> dict[str, str]:
    """Returns the variables that Environment= sets."""
    words = [word for line in section.get("Environment", []) for word in split_words(line)]
    return dict(word.split("=", 1) for word in words if "=" in word)


def exec_line(arguments: Iterable[str]) -> str:
    """Returns the ExecStart= that passes exactly these arguments, if they have no controls."""
    return " ".join(
        word if _PLAIN.fullmatch(word) else f'"{word.translate(_ESCAPES)}"' for word in arguments
    )


def value(text: str) -> str:
    """Escapes text for Description= and the like, where % begins a specifier."""
    return text.replace("%", "%%").removesuffix("\\")


def render(sections: Mapping[str, Iterable[str]]) -> str:
    """Returns the text of a unit with these lines in its sections."""
    texts = ("\n".join([f"[{name}]", *lines, ""]) for name, lines in sections.items())
    return "\n".join(texts)
