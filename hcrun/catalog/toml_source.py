"""A TOML file read key by key: everything wrong with it is collected, each with its line.

`tomllib` keeps no line numbers, so a scan of the text finds them.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from ast import literal_eval
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from hcrun.errors import CatalogError
from hcrun.text import shortened
from hcrun.units import seconds

_LARGEST = 16_000_000  # characters of a file: a mistaken /dev/zero must not fill the memory
_WIDEST = 60  # characters of a value that are shown
_KEY = r"(?:[\w-]+|\"[^\"]*\"|'[^']*')"
_ASSIGNMENT = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_PLAIN = re.compile(r"\[([A-Za-z0-9_.-]+)\]|([A-Za-z0-9_.-]+)=0")
_BARE = re.compile(r"[A-Za-z0-9_-]+")

Keys = tuple[str, ...]
T = TypeVar("T")


class Source:
    """A file: its values, the lines of its keys, and what is wrong with it so far."""

    def __init__(self, path: str, text: str) -> None:
        """Raises CatalogError when it is no TOML."""
        self.path = path
        self.problems: list[tuple[int, CatalogError]] = []
        try:
            values = tomllib.loads(text)
        except RecursionError:
            raise CatalogError("is nested too deeply", where=path) from None
        except ValueError as error:
            last = text.rstrip("\n").count("\n") + 1
            end = f"(at line {last}, column 1)"
            raise _syntax(path, str(error).replace("(at end of document)", end)) from None
        self.lines = lines(text)
        self.root = Table(self, (), values)

    def complain(self, keys: Keys, what: str, hint: str = "") -> None:
        error = CatalogError(what, where=self.where(keys), hint=hint)
        self.problems.append((self.line(keys), error))

    def line(self, keys: Keys) -> int:
        """Of the key, or of the nearest table around it; 0 when none was found."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 0)

    def where(self, keys: Keys) -> str:
        line = self.line(keys)
        return (f"{self.path}:{line}" if line else self.path) + (
            f": {dotted(*keys)}" if keys else ""
        )

    def check(self) -> None:
        """Raises CatalogError with all that is wrong, in the order of the lines."""
        if self.problems:
            in_order = sorted(self.problems, key=lambda problem: problem[0])
            raise CatalogError.of([error for _, error in in_order])


def read(path: str) -> Source:
    """Raises CatalogError when it cannot be read, or is no TOML."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(_LARGEST + 1)
    except UnicodeDecodeError:
        raise CatalogError("is not UTF-8 text", where=path, hint="save it as UTF-8") from None
    except OSError as error:
        hint = "hcctl init makes one" if isinstance(error, FileNotFoundError) else ""
        raise CatalogError(error.strerror or str(error), where=path, hint=hint) from None
    if len(text) > _LARGEST:
        raise CatalogError("is longer than 16 million characters", where=path)
    return Source(path, text)


def _syntax(path: str, message: str) -> CatalogError:
    """What tomllib says, in words for those who don't write Python."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", message, re.DOTALL)
    what, line = found.groups() if found else (message, "")
    hint = "text goes in quotes, lists in [ ]; see https://toml.io"
    if twice := re.fullmatch(r"Cannot declare (\(.*\)) twice", what):
        what, hint = f"[{dotted(*literal_eval(twice[1]))}] is there twice", "make one of them"
    elif what == "Cannot overwrite a value":
        what, hint = "this key is there twice", "leave one of them"
    elif "digits" in what:  # Python's own limit
        what, hint = "has a number that is too long", ""
    return CatalogError(what, where=f"{path}:{line}" if line else path, hint=hint)


class Table:
    """One table. Each method reads a key, notes what is wrong with it, and goes on without it."""

    def __init__(self, source: Source, keys: Keys, values: Mapping[str, Any]) -> None:
        self.source = source
        self.keys = keys
        self.values = values
        self._known: dict[str, None] = {}  # what was asked for

    def complain(self, key: str, what: str, hint: str = "") -> None:
        self.source.complain((*self.keys, key) if key else self.keys, what, hint)

    @property
    def line(self) -> int:
        return self.source.line(self.keys)

    def parsed(self, key: str, parse: Callable[[Any], T]) -> T | None:
        """What `parse` makes of the value; its ValueError says what is wrong with it."""
        self._known[key] = None
        if key not in self.values:
            return None
        try:
            return parse(self.values[key])
        except ValueError as error:
            self.complain(key, *what_and_hint(error))
            return None

    def text(self, key: str, default: str = "", maximum: int = 1000, more: str = "") -> str:
        """Text of 1 to `most` characters; `more` are the control characters it may have."""
        found = self.parsed(key, lambda value: text(value, maximum, more))
        return default if found is None else found

    def duration(self, key: str, minimum: int, maximum: int) -> int | None:
        """`"5m"` -> 300."""
        return self.parsed(key, lambda value: duration(value, minimum, maximum))

    def texts(self, key: str, maximum: int = 1000) -> tuple[str, ...] | None:
        """A list of texts."""

        def parse(value: Any) -> tuple[str, ...]:
            if not isinstance(value, list):
                raise ValueError(f'{shown(value)} is no list; write it like ["one", "two"]')
            return tuple(text(item, maximum) for item in value)

        return self.parsed(key, parse)

    def table(self, key: str) -> Table | None:
        """A table in this one."""
        keys = (*self.keys, key)

        def parse(value: Any) -> dict[str, Any]:
            if not isinstance(value, dict):
                raise ValueError(f"{shown(value)} is no table; it begins with [{dotted(*keys)}]")
            return value

        values = self.parsed(key, parse)
        return None if values is None else Table(self.source, keys, values)

    def named(self, key: str) -> Iterator[tuple[str, Table]]:
        """The tables in a table in this one, with their names."""
        if found := self.table(key):
            for name in found.values:
                if table := found.table(name):
                    yield name, table

    def done(self) -> None:
        """Complains of keys that nobody asked for."""
        for key in self.values:
            if key not in self._known:
                near = nearest(key, self._known)
                hint = "" if near else f"there are {', '.join(self._known)}"
                self.complain(key, f"there is no such key{near}", hint)


def text(value: Any, maximum: int = 1000, more: str = "") -> str:
    """Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no text; put it in quotes")
    found = value.strip()
    if not found:
        raise ValueError("is empty; leave it out, or fill it in")
    if any(not (each.isprintable() or each in more) for each in found):
        raise ValueError(f"{shown(found)} has control characters in it; use plain text")
    if len(found) > maximum:
        raise ValueError(f"has {len(found)} characters; {maximum} is the most")
    return found


def duration(value: Any, minimum: int, maximum: int) -> int:
    """Whole seconds; raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f'{shown(value)} is no duration; write it like "30s", "5m" or "1h30m"')
    found = seconds(value)
    if found != int(found):
        raise ValueError(f"{shown(value)} is no whole number of seconds; round it")
    if found < minimum:
        raise ValueError(f"{shown(value)} is under {minimum} s; that is the least there is")
    if found > maximum:
        raise ValueError(
            f"{shown(value)} is over {maximum // 86400} days; that is the most there is"
        )
    return int(found)


def what_and_hint(error: ValueError) -> tuple[str, str]:
    """What is wrong, and what to do: the end of the message, if it has one."""
    what, _, hint = str(error).rpartition("; ")
    return (what, hint) if what else (hint, "")


def shown(value: Any) -> str:
    """A value for an error: short, and in TOML's own words."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    quoted = isinstance(value, str)
    words = ascii(value)[1:-1] if quoted and not value.isprintable() else str(value)
    words = shortened(words, _WIDEST)
    return f'"{words}"' if quoted else words


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean this?)`, if there is anything like it."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def dotted(*keys: str) -> str:
    """`checks.redis.grace`, with what is no bare key in quotes."""
    return ".".join(key if _BARE.fullmatch(key) else shown(key) for key in keys)


def lines(text: str) -> dict[Keys, int]:
    """Where each table and key first stands. Text in triple quotes is passed over."""
    found: dict[Keys, int] = {}
    table: Keys = ()
    keys: Keys = ()
    quotes = ""  # in which a text of several lines began
    for number, line in enumerate(text.split("\n"), 1):
        if not quotes:
            if line.lstrip().startswith("["):
                keys = table = _keys(line) or table
            elif assignment := _ASSIGNMENT.match(line):
                keys = table + _keys(f"{assignment[1]}=0")
            for length in range(1, len(keys) + 1):
                found.setdefault(keys[:length], number)
        for mark in ('"""', "'''"):
            if quotes in ("", mark) and line.count(mark) % 2:
                quotes = "" if quotes else mark
    return found


def _keys(line: str) -> Keys:
    """The keys that a line of TOML names, by TOML's own rules."""
    if plain := _PLAIN.fullmatch(line):  # tomllib takes its time
        return tuple((plain[1] or plain[2]).split("."))
    try:
        values = tomllib.loads(line)
    except ValueError:
        return ()
    keys: list[str] = []
    while isinstance(values, dict) and values:
        [(key, values)] = values.items()
        keys.append(key)
    return tuple(keys)
