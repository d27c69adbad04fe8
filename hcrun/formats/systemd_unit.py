"""The text of systemd's unit files (systemd.syntax(7), systemd.service(5))."""

import re
import shlex
from collections.abc import Iterable, Mapping

_PLAIN = re.compile(r"[A-Za-z0-9_@:=,./+-]+")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "$$", "%": "%%"})

Section = dict[str, list[str]]  # the values of each key
Unit = dict[str, Section]


def parse(text: str) -> Unit:
    """Returns the sections of a unit and its drop-ins; an empty value discards earlier ones."""
    unit: Unit = {}
    section: Section = {}
    for raw in re.sub(r"\\\n", " ", text).split("\n"):
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = unit.setdefault(line[1:-1], {})
        elif line and line[0] not in "#;" and "=" in line:
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
    """Splits a value into words, as systemd does except for its rarer escapes."""
    try:
        return [word.replace("$$", "$") for word in shlex.split(line)]
    except ValueError:
        return line.split()


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
