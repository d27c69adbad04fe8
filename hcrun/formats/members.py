"""JSON from a server: each member has the type that is asked for, or an error names it.

A server may be something else than it should be, so its texts are made printable here, and its
numbers and times are limited to those that can be computed with.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from hcrun.text import printable, shortened

_MAX_NUMBER = 10**10
_MAX_SHOWN = 40  # characters of a wrong value


def parse(text: str) -> Any:
    """Raises ValueError if it is not JSON, has NaN, or is nested too deeply."""
    try:
        return json.loads(text, parse_constant=_reject)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _reject(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class Members:
    """The members of an object. Each method raises ValueError that names a wrong member.

    A member may be missing or null if a `default` is given.
    """

    def __init__(self, data: Any, where: str) -> None:
        self._data, self._where = data, where
        if not isinstance(data, dict):
            raise self._wrong("", data, "an object")

    def text(self, name: str, default: str | None = None) -> str:
        value = self._get(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, value, "text")
        return printable(value, keep="\n\t")

    def choice(self, name: str, choices: Sequence[str]) -> str:
        value = self._get(name, None)
        if value not in choices:
            raise self._wrong(name, value, f"one of {', '.join(choices)}")
        return str(value)

    def url(self, name: str) -> str:
        """An address that can be split, "" if it is missing or null."""
        value = self.text(name, "")
        try:
            urlsplit(value)
        except ValueError:
            raise self._wrong(name, value, "a URL") from None
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._get(name, default)
        if value not in (0, 1) or isinstance(value, float):  # a flip has numbers
            raise self._wrong(name, value, "true or false")
        return bool(value)

    def whole(self, name: str, default: int | None = None) -> int:
        value = self._get(name, default)
        if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
            raise self._wrong(name, value, f"a whole number from 0 to {_MAX_NUMBER:,}")
        return value

    def number(self, name: str) -> float | None:
        """None if it is missing or null."""
        value = self._get(name, None)
        if value is None:
            return None
        if type(value) not in (int, float) or not 0 <= value <= _MAX_NUMBER:
            raise self._wrong(name, value, f"a number from 0 to {_MAX_NUMBER:,}")
        return float(value)

    def moment(self, name: str) -> float:
        """A time in ISO 8601 with its zone, as seconds since the epoch."""
        value = self._get(name, None)
        try:
            found = datetime.fromisoformat(value)
            seconds = found.timestamp() if found.tzinfo else -1.0
        except (TypeError, ValueError, OverflowError):
            seconds = -1.0
        if not 0 <= seconds <= _MAX_NUMBER:
            raise self._wrong(name, value, "a time with its zone")
        return seconds

    def moment_or_none(self, name: str) -> float | None:
        return None if self._get(name, None) is None else self.moment(name)

    def identity(self, name: str) -> str:
        """A uuid or a key, which goes into paths and files; "" if it is missing or null."""
        value = self.text(name, "")
        if not all(c.isalnum() or c in "-_" for c in value) or not value.isascii():
            raise self._wrong(name, value, "a uuid")
        return value

    def each(self, name: str) -> list[tuple[Any, str]]:
        """The values of a list, each with its own name."""
        values = self._get(name, None)
        if not isinstance(values, list):
            raise self._wrong(name, values, "a list")
        return [(value, f"{self._path(name)}[{i}]") for i, value in enumerate(values)]

    def _get(self, name: str, default: Any) -> Any:
        value = self._data.get(name)
        return default if value is None else value

    def _path(self, name: str) -> str:
        return ".".join(filter(None, (self._where, name)))

    def _wrong(self, name: str, value: Any, kind: str) -> ValueError:
        shown = "missing or null"
        if isinstance(value, dict | list):
            shown = "an object" if isinstance(value, dict) else "a list"
        elif value is not None:
            shown = shortened(ascii(value), _MAX_SHOWN)
        return ValueError(f"{self._path(name) or 'the answer'} is {shown}, not {kind}")
