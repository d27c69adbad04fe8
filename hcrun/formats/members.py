"""JSON from a server: each member has the type that is asked for, or an error names it.

A server may be anything, so its texts become printable here, and numbers and times beyond all
reason are errors.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from string import ascii_letters, digits
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from hcrun.text import printable, shortened

T = TypeVar("T")
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
        self.data, self._where = data, where
        self._require(isinstance(data, dict), "", "an object", data)

    def text(self, name: str, default: str | None = None) -> str:
        return printable(self._of_type(name, str, "text", default), keep="\n\t")

    def words(
        self, name: str, default: str | None = None, separator: str | None = None
    ) -> tuple[str, ...]:
        return tuple(filter(None, self.text(name, default).split(separator)))

    def choice(self, name: str, choices: Sequence[str]) -> str:
        value = self._get(name)
        self._require(value in choices, name, f"one of {', '.join(choices)}", value)
        return str(value)

    def identity(self, name: str) -> str:
        """A uuid or a key, which goes into paths and files; "" if it is missing or null."""
        value = self.text(name, "")
        self._require(not value.strip(_OF_A_KEY), name, "a uuid", value)  # nothing else is left
        return value

    def url(self, name: str) -> str:
        """An address that can be split, "" if it is missing or null."""
        value = self.text(name, "")
        try:
            urlsplit(value)
        except ValueError:
            self._require(False, name, "a URL", value)
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._get(name, default)
        is_right = type(value) in (bool, int) and value in (0, 1)  # a flip has numbers
        self._require(is_right, name, "true or false", value)
        return bool(value)

    def whole(self, name: str, default: int | None = None) -> int:
        value = self._get(name, default)
        is_right = type(value) is int and 0 <= value <= _MAX
        self._require(is_right, name, f"a whole number from 0 to {_MAX:,}", value)
        return int(value)

    def number(self, name: str) -> float | None:
        """None if it is missing or null."""
        value = self._get(name)
        if value is None:
            return None
        is_right = type(value) in (int, float) and 0 <= value <= _MAX
        self._require(is_right, name, f"a number from 0 to {_MAX:,}", value)
        return float(value)

    def moment(self, name: str) -> float:
        """A time in ISO 8601 with its zone, as seconds since the epoch."""
        value, seconds = self._get(name), -1.0
        try:
            found = datetime.fromisoformat(value)
            seconds = found.timestamp() if found.tzinfo else seconds
        except (TypeError, ValueError, OverflowError):
            pass
        self._require(0 <= seconds <= _MAX, name, "a time with its zone", value)
        return seconds

    def moment_or_none(self, name: str) -> float | None:
        return None if self._get(name) is None else self.moment(name)

    def object(self, name: str) -> dict[str, Any]:
        return self._of_type(name, dict, "an object")

    def each(self, name: str) -> list[tuple[Any, str]]:
        """The values of a list, each with its own name."""
        values = self._of_type(name, list, "a list")
        return [(value, f"{self._where}{name}[{i}].") for i, value in enumerate(values)]

    def _of_type(self, name: str, wanted: type[T], kind: str, default: Any = None) -> T:
        value = self._get(name, default)
        self._require(isinstance(value, wanted), name, kind, value)
        return cast(T, value)

    def _get(self, name: str, default: Any = None) -> Any:
        value = self.data.get(name)
        return default if value is None else value

    def _require(self, is_right: bool, name: str, kind: str, value: Any) -> None:
        if is_right:
            return
        shown = "missing or null" if value is None else shortened(ascii(value), _MAX_SHOWN)
        if isinstance(value, dict | list):
            shown = "an object" if isinstance(value, dict) else "a list"
        path = (self._where + name).removesuffix(".")
        raise ValueError(f"{path or 'the answer'} is {shown}, not {kind}")
