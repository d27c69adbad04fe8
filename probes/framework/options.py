"""Where a probe's values come from: flag > environment > env file > default, and secrets.

A service's address is often one URL with the password in it (REDIS_URL, DATABASE_URL), beside or
instead of single variables (REDIS_HOST, PGHOST). In the same place, environment or env file, the
URL goes before the single variables: it is the one that the backend itself connects with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import click

from hcrun.errors import SettingsError
from hcrun.settings import Settings
from hcrun.text import one_line
from hcrun.units import seconds
from probes.framework.verdict import Range

Value = TypeVar("Value")


class Url(NamedTuple):
    """A variable that holds a URL, and how to take it apart.

    `split` gives texts by option name, `password` among them, and raises ValueError.
    """

    variable: str
    example: str
    split: Callable[[str], Mapping[str, str]]


class Source:
    """The settings, the URL in them, and every secret that was taken from them."""

    def __init__(self, settings: Settings, url: Url | None = None) -> None:
        self.settings = settings
        self.secrets: set[str] = set()
        self._url = url

    def get(self, variable: str, part: str) -> str:
        """The value of `variable`, or of the part of the URL that says the same; "" for none."""
        return self._choose(variable, self.settings.get(variable), part)

    def secret(self, variable: str, part: str = "password") -> str:
        """A secret by reference or from the URL; "" for none. It is redacted from errors."""
        secret = self._choose(variable, self.settings.secret(variable), part)
        self.secrets |= {secret, quote(secret, safe="")} - {""}
        return secret

    @cached_property
    def url(self) -> str:
        """The URL itself, a secret too; "" for none."""
        return self.settings.secret(self._url.variable) if self._url else ""

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """The URL taken apart, {} for none. Raises SettingsError, which does not repeat it."""
        if not self._url or not self.url:
            return {}
        try:
            # A raw / ? or # in the password ends the address early; the rest of the password
            # would turn up as port or database, and so in somebody's error message.
            if re.match(r"[^/]*://[^/?#@]*[/?#].*@", self.url):
                raise ValueError
            return self._url.split(self.url)
        except ValueError:
            raise SettingsError(
                "is no valid URL",
                where=self._url.variable,
                hint=f"write it like {self._url.example}, special characters percent-encoded",
            ) from None

    def _choose(self, variable: str, single: str, part: str) -> str:
        in_url = self.parts.get(part, "")
        settings = self.settings
        # A URL in the env file, like everything there, gives way to the environment.
        given = settings.environ.get(variable) or settings.environ.get(f"{variable}_FILE")
        if given and self._url and settings.from_file.get(self._url.variable) == self.url:
            return single
        return in_url or single

    def redact(self, text: str) -> str:
        """`text` without the secrets that were used, and without any password in a URL."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return re.sub(r"://([^\s/:@]*):\S*@", r"://\1:***@", text)

    def quote(self, error: object) -> str:
        """What a foreign exception says: one line, redacted, not endless."""
        return self.redact(one_line(str(error)))[:300]


class _FromSource(click.Parameter):
    """Its variable is looked up in a Source: the click context's `obj`."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        source = ctx.find_object(Source)
        if source is None or not isinstance(self.envvar, str) or self.name is None:
            return None
        return source.get(self.envvar, self.name) or None


class Option(_FromSource, click.Option):
    """What a flag or a variable says."""

    def get_error_hint(self, ctx: click.Context | None) -> str:  # noqa: ARG002 - as click has it
        """What is named in an error: flag and variable, as either may have been the wrong one."""
        return f"{'/'.join(self.opts)} or {self.envvar}"


class Argument(_FromSource, click.Argument):
    """What a word of the command line or a variable says."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        return f"{self.make_metavar(ctx) if ctx else self.human_readable_name} or {self.envvar}"


# A file that has to be there, so that a slip is a usage error and no dead service.
FILE = click.Path(exists=True, dir_okay=False, readable=True)


def option(flag: str, variable: str, what: str, **more: Any) -> Option:
    """An option that says in the help which variable stands for it."""
    return Option([flag], envvar=variable, show_envvar=True, help=what, **more)


def words(text: str) -> tuple[str, ...]:
    """Read names with commas or spaces between, as variables hold them: `a,b c`."""
    return tuple(text.replace(",", " ").split())


def _reader(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """A function that raises ValueError -> one that is a click type and keeps the message."""

    def convert(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return convert


def _duration(text: str) -> float:
    value = seconds(text)
    if value <= 0:
        raise ValueError(f"{text!r} leaves no time")
    return value


duration = _reader(_duration)


def addresses(port: int) -> Callable[[str], tuple[str, ...]]:
    """A click type: `a:1,b` -> ("a:1", "b:<port>"), of which there is at least one."""

    def convert(text: str) -> tuple[str, ...]:
        found = []
        for address in words(text):
            match = re.fullmatch(r"([\w.-]+|\[[\da-fA-F:.]+\])(:(\d+))?", address)
            if not match or not 0 < int(match[3] or port) < 65536:
                raise click.BadParameter(f"{address!r} is not HOST:PORT")
            found.append(f"{match[1]}:{match[3] or port}")
        if not found:
            raise click.BadParameter("there is no address in it")
        return tuple(found)

    return convert


class Threshold(NamedTuple):
    """`--NAME-warning` and `--NAME-critical`: ranges in `unit`, `off` for none.

    NAME is the label of the reading with - for _; `what` says in the help what it is of.
    """

    name: str
    unit: str
    warning: str
    critical: str
    what: str

    def options(self, probe: str) -> list[Option]:
        """Both options, with PROBE_<probe>_<NAME>_WARNING and _CRITICAL as their variables."""
        return [
            Option(
                [f"--{self.name.replace('_', '-')}-{level}"],
                envvar=f"PROBE_{probe}_{self.name}_{level}".upper().replace("-", "_"),
                type=_reader(self.read),
                metavar="RANGE",
                default=default,
                help=self.what if level == "warning" else None,
            )
            for level, default in (("warning", self.warning), ("critical", self.critical))
        ]

    def read(self, text: str) -> Range | None:
        """A range, or None for `off`. Raises ValueError."""
        return None if text == "off" else Range.parse(text, self.unit)
