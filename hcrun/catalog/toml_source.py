"""Reads a TOML file key by key and collects all problems, each with its line number."""

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
_WIDEST = 60  # characters of a value in a message
_KEY = r"(?:[\w-]+|\"[^\"]*\"|'[^']*')"
_ASSIGNMENT = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_PLAIN = re.compile(r"\[([A-Za-z0-9_.-]+)\]|([A-Za-z0-9_.-]+)=0")
_BARE = re.compile(r"[A-Za-z0-9_-]+")

Keys = tuple[str, ...]
T = TypeVar("T")


class Source:
    """A file: its values, the lines of its keys, and its problems so far."""

    def __init__(self, path: str, text: str) -> None:
        """Raises CatalogError unless the text is TOML."""
        self.path = path
        self.problems: list[tuple[int, CatalogError]] = []
        try:
            values = tomllib.loads(text)
        except RecursionError:
            raise CatalogError("too deeply nested", where=path) from None
        except ValueError as error:
            last = text.rstrip("\n").count("\n") + 1
            end = f"(at line {last}, column 1)"
            raise _syntax(path, str(error).replace("(at end of document)", end)) from None
        self.lines = _line_numbers(text)
        self.root = Table(self, (), values)

    def add_problem(self, keys: Keys, what: str, hint: str = "", key_in_what: bool = False) -> None:
        line = self.line(keys)
        where = f"{self.path}:{line}" if line else self.path
        if keys and not key_in_what:
            where += f": {toml_key(*keys)}"
        self.problems.append((line, CatalogError(what, where=where, hint=hint)))

    def line(self, keys: Keys) -> int:
        """Returns the line of the key or of the nearest table around it, 0 if there is none."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 0)

    def raise_problems(self) -> None:
        """Raises CatalogError with all problems, in the order of the lines."""
        if self.problems:
            in_order = sorted(self.problems, key=lambda problem: problem[0])
            raise CatalogError.of([error for _, error in in_order])


def read(path: str) -> Source:
    """Raises CatalogError if the file cannot be read or is not TOML."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(_LARGEST + 1)
    except UnicodeDecodeError:
        raise CatalogError("not UTF-8 text", where=path, hint="save it as UTF-8") from None
    except OSError as error:
        hint = "create it with hcctl init" if isinstance(error, FileNotFoundError) else ""
        raise CatalogError(error.strerror or str(error), where=path, hint=hint) from None
    if len(text) > _LARGEST:
        raise CatalogError("longer than 16 million characters", where=path)
    return Source(path, text)


def _syntax(path: str, message: str) -> CatalogError:
    """Says what tomllib says to those who don't write Python."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", message, re.DOTALL)
    what, line = found.groups() if found else (message, "")
    hint = "put text in quotes and lists in [ ]; see https://toml.io"
    if twice := re.fullmatch(r"Cannot declare (\(.*\)) twice", what):
        what, hint = f"[{toml_key(*literal_eval(twice[1]))}] occurs twice", "merge the tables"
    elif what == "Cannot overwrite a value":
        what, hint = "this key occurs twice", "remove one of them"
    elif "digits" in what:  # Python's own limit
        what, hint = "a number is too long", ""
    return CatalogError(what, where=f"{path}:{line}" if line else path, hint=hint)


class Table:
    """One table. Its methods read a key, record what is wrong with it, and go on without it."""

    def __init__(self, source: Source, keys: Keys, values: Mapping[str, Any]) -> None:
        self.source = source
        self.keys = keys
        self.values = values
        self._known: dict[str, None] = {}  # the keys that were read

    def add_problem(self, key: str, what: str, hint: str = "") -> None:
        """`key` is "" for the table itself."""
        self.source.add_problem((*self.keys, key) if key else self.keys, what, hint)

    @property
    def line(self) -> int:
        return self.source.line(self.keys)

    def read(self, key: str, parse: Callable[[Any], T]) -> T | None:
        """Returns what `parse` makes of the value, None if it is missing or raises ValueError."""
        self._known[key] = None
        if key not in self.values:
            return None
        try:
            return parse(self.values[key])
        except ValueError as error:
            self.add_problem(key, *what_and_hint(error))
            return None

    def text(self, key: str, default: str = "", maximum: int = 1000, more: str = "") -> str:
        """Returns text of up to `maximum` characters, which may contain the controls in `more`."""
        found = self.read(key, lambda value: text(value, maximum, more))
        return default if found is None else found

    def duration(self, key: str, minimum: int, maximum: int) -> int | None:
        """Returns whole seconds: 300 for `"5m"`."""
        return self.read(key, lambda value: duration(value, minimum, maximum))

    def texts(self, key: str) -> tuple[str, ...] | None:
        return self.read(key, lambda value: tuple(map(text, items(value))))

    def table(self, key: str) -> "Table | None":
        keys = (*self.keys, key)

        def parse(value: Any) -> Mapping[str, Any]:
            heading = toml_key(*keys)
            require(isinstance(value, dict), f"is not a table; begin it with [{heading}]", value)
            return dict(value)

        values = self.read(key, parse)
        return None if values is None else Table(self.source, keys, values)

    def named(self, key: str) -> "Iterator[tuple[str, Table]]":
        """Yields the tables of the table `key`, with their names."""
        if found := self.table(key):
            for name in found.values:
                if table := found.table(name):
                    yield name, table

    def check_keys(self) -> None:
        """Adds a problem for each key that was not read."""
        place = f" in [{toml_key(*self.keys)}]" if self.keys else ""
        for key in self.values:
            if key not in self._known:
                what = f"unknown key {toml_value(key)}{place}"
                hint = suggestion(key, self._known) or f"the keys are {', '.join(self._known)}"
                self.source.add_problem((*self.keys, key), what, hint, key_in_what=True)


def require(is_right: object, problem: str, *shown: Any) -> None:
    """Raises ValueError unless it is right; its message begins with a value that is shown."""
    if not is_right:
        raise ValueError(" ".join([*map(toml_value, shown), problem]))


def items(value: Any) -> list[Any]:
    """Returns a list; raises ValueError for anything else."""
    require(isinstance(value, list), 'is not a list; write it like ["one", "two"]', value)
    return list(value)


def text(value: Any, maximum: int = 1000, more: str = "") -> str:
    """Raises ValueError."""
    require(isinstance(value, str), "is not text; put it in quotes", value)
    found = str(value).strip()
    require(found, "is empty; fill it in or remove it")
    is_plain = all(each.isprintable() or each in more for each in found)
    require(is_plain, "has control characters; use plain text", found)
    require(len(found) <= maximum, f"has {len(found)} characters; the maximum is {maximum}")
    return found


def duration(value: Any, minimum: int, maximum: int) -> int:
    """Whole seconds; raises ValueError."""
    hint = 'write it like "30s", "5m" or "1h30m"'
    require(isinstance(value, str), f"is not a duration; {hint}", value)
    found = seconds(value)
    require(found == int(found), "is not a whole number of seconds; round it", value)
    require(found >= minimum, f"is too short; the minimum is {minimum} s", value)
    require(found <= maximum, f"is too long; the maximum is {maximum // 86400} days", value)
    return int(found)


def what_and_hint(error: ValueError) -> tuple[str, str]:
    """Splits a message into what is wrong and what to do, which may be missing."""
    what, _, hint = str(error).rpartition("; ")
    return (what, hint) if what else (hint, "")


def toml_value(value: Any) -> str:
    """Returns a value for a message: short, and as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    quoted = isinstance(value, str)
    words = ascii(value)[1:-1] if quoted and not value.isprintable() else str(value)
    words = shortened(words, _WIDEST)
    return f'"{words}"' if quoted else words


def suggestion(word: str, known: Iterable[str]) -> str:
    """Returns `did you mean "this"?`, "" if nothing is similar."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f'did you mean "{near[0]}"?' if near else ""


def toml_key(*keys: str) -> str:
    """Returns `checks.redis.grace`, with quotes where TOML needs them."""
    return ".".join(key if _BARE.fullmatch(key) else toml_value(key) for key in keys)


# `tomllib` keeps no line numbers.
def _line_numbers(text: str) -> dict[Keys, int]:
    """Returns where each table and key first stands; skips text in triple quotes."""
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
    """Returns the keys that a line of TOML names."""
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
