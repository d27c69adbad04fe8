"""JSON from a server: each member has the type that is asked for, or an error names it.

A server may be anything, so its texts become printable here, and numbers and times beyond all
reason are errors.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from string import ascii_letters, digits
from typing import Any
from urllib.parse import urlsplit

from hcrun.text import printable, shortened

_MAX = 10**10  # as seconds since the epoch: the year 2286
_OF_A_KEY = "-_" + ascii_letters + digits
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

    With a default, a member may be missing or null.
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
        value = self._get(name)
        if value not in choices:
            raise self._wrong(name, value, f"one of {', '.join(choices)}")
        return str(value)

    def identity(self, name: str) -> str:
        """A uuid or a key, which goes into paths and files; "" if it is missing or null."""
        value = self.text(name, "")
        if value.strip(_OF_A_KEY):  # something else is left
            raise self._wrong(name, value, "a uuid")
        return value

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
        if type(value) not in (bool, int) or value not in (0, 1):  # a flip has numbers
            raise self._wrong(name, value, "true or false")
        return bool(value)

    def whole(self, name: str, default: int | None = None) -> int:
        value = self._get(name, default)
        if type(value) is not int or not 0 <= value <= _MAX:
            raise self._wrong(name, value, f"a whole number from 0 to {_MAX:,}")
        return value

    def number(self, name: str) -> float | None:
        """None if it is missing or null."""
        value = self._get(name)
        if value is None:
            return None
        if type(value) not in (int, float) or not 0 <= value <= _MAX:
            raise self._wrong(name, value, f"a number from 0 to {_MAX:,}")
        return float(value)

    def moment(self, name: str) -> float:
        """A time in ISO 8601 with its zone, as seconds since the epoch."""
        value, seconds = self._get(name), -1.0
        try:
            found = datetime.fromisoformat(value)
            seconds = found.timestamp() if found.tzinfo else seconds
        except (TypeError, ValueError, OverflowError):
            pass
        if not 0 <= seconds <= _MAX:
            raise self._wrong(name, value, "a time with its zone")
        return seconds

    def moment_or_none(self, name: str) -> float | None:
        return None if self._get(name) is None else self.moment(name)

    def object(self, name: str) -> dict[str, Any]:
        value = self._get(name)
        if not isinstance(value, dict):
            raise self._wrong(name, value, "an object")
        return value

    def each(self, name: str) -> list[tuple[Any, str]]:
        """The values of a list, each with its own name."""
        values = self._get(name)
        if not isinstance(values, list):
            raise self._wrong(name, values, "a list")
        return [(value, f"{self._where}{name}[{i}].") for i, value in enumerate(values)]

    def _get(self, name: str, default: Any = None) -> Any:
        value = self._data.get(name)
        return default if value is None else value

    def _wrong(self, name: str, value: Any, kind: str) -> ValueError:
        shown = "missing or null" if value is None else shortened(ascii(value), _MAX_SHOWN)
        if isinstance(value, dict | list):
            shown = "an object" if isinstance(value, dict) else "a list"
        path = (self._where + name).removesuffix(".")
        return ValueError(f"{path or 'the answer'} is {shown}, not {kind}")
