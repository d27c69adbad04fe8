"""What probe-http asks for: paths, endpoints and the member of an answer, and their options."""

import re
from collections.abc import Mapping, Sequence
from json import dumps
from typing import Any, NamedTuple
from urllib.parse import unquote

import click

from probes.framework.table import LATENCY
from probes.framework.verdict import Range


class Field(NamedTuple):
    """A member of a JSON object, and its allowed values in lower case."""

    path: Sequence[str]
    values: Sequence[str]

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def value_in(self, data: Any) -> str:
        """The value as text. Raises ValueError without one."""
        for name in self.path:
            if not isinstance(data, dict) or name not in data:
                raise ValueError(f"has no {self.name}")
            data = data[name]
        return data if isinstance(data, str) and data else dumps(data)


class Endpoint(NamedTuple):
    path: str
    status: int | None  # None: any below 500
    ranges: Mapping[str, Range | None]  # by level, instead of those of latency

    @property
    def name(self) -> str:
        """The path, readable and without the query, which may hold a token."""
        return unquote(self.path.partition("?")[0])

    def accepts(self, status: int) -> bool:
        return status < 500 if self.status is None else status == self.status


def path_type(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text) or "#" in text:
        raise click.BadParameter(f"{text!r} is not a path; write it like /health")
    return text


def host_type(text: str) -> str:
    if text and not re.fullmatch(r"[\w.-]+(:\d+)?", text, re.ASCII):
        raise click.BadParameter(f"{text!r} is not a host; write it like api.example.com")
    return text


def field_type(text: str) -> Field | None:
    """`status=ok,healthy`, `checks.db=true`, or `off`."""
    name, _, values = text.partition("=")
    if text == "off":
        return None
    if not all(name.split(".")) or not values:
        raise click.BadParameter(f"{text!r} is not a field; write it like status=ok,healthy")
    return Field(name.split("."), values.lower().split(","))


def endpoint_type(text: str) -> Endpoint:
    """`/login,status=401,warning=200ms,critical=1s`; all but the path may be left out."""
    path, *settings = text.split(",")
    status: int | None = None
    ranges: dict[str, Range | None] = {}
    try:
        for setting in settings:
            name, _, value = setting.partition("=")
            if name == "status" and re.fullmatch(r"[1-5]\d\d", value):
                status = int(value)
            elif name in ("warning", "critical"):
                ranges[name] = LATENCY.read(value)
            else:
                raise ValueError(f"{setting!r} is not status=, warning= or critical=")
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from None
    return Endpoint(path_type(path), status, ranges)
