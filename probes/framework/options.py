"""Options of probes: option > environment > env file > default, and secrets.

The address of a service is often one URL with the password in it (REDIS_URL, DATABASE_URL), with
or without single variables (REDIS_HOST, PGHOST). If both are in the environment, or both in the
env file, the URL overrides the single variables: it is what the application itself connects with.
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import click

from hcrun.errors import SettingsError
from hcrun.settings import Settings
from hcrun.text import one_line
from hcrun.units import seconds
from probes.framework.verdict import Range

Value = TypeVar("Value")


class UrlError(ValueError):
    """What is wrong with a URL, without a secret."""


class Url(NamedTuple):
    """A variable that holds a URL, and the function that splits it.

    `split` returns texts by option name, with `password` among them. It raises ValueError, or
    UrlError to say more.
    """

    variable: str
    example: str
    split: Callable[[str], Mapping[str, str]]


class Source:
    """The settings, the URL in them, and every secret that was read from them."""

    def __init__(self, settings: Settings, url: Url | None = None) -> None:
        self.settings = settings
        self.secrets: set[str] = set()
        self._url = url

    def get(self, variable: str, part: str) -> str:
        """The value of `variable`, or the same part of the URL; "" for none."""
        return self._choose(variable, self.settings.get(variable), part)

    def secret(self, variable: str, part: str = "password") -> str:
        """A secret by reference or from the URL; "" for none. Errors are redacted of it."""
        secret = self._choose(variable, self.settings.secret(variable), part)
        self.secrets |= {secret, quote(secret, safe="")} - {""}
        return secret

    @cached_property
    def url(self) -> str:
        """The URL itself, which is also a secret; "" for none."""
        return self.settings.secret(self._url.variable) if self._url else ""

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """The parts of the URL, {} for none. Raises SettingsError, without the URL in it."""
        if not self._url or not self.url:
            return {}
        try:
            # An unquoted / ? or # in the password ends the address early: the rest of the
            # password would become the port or database, and appear in error messages.
            each = re.split(r";(?=[\w+]+://)", self.url)  # a URL of Celery may have several
            if any(re.match(r"[^/]*://[^/?#@]*[/?#].*@", url) for url in each):
                raise ValueError
            return self._url.split(self.url)
        except ValueError as error:
            raise SettingsError(
                str(error) if isinstance(error, UrlError) else "is not a valid URL",
                where=self._url.variable,
                hint=f"write it like {self._url.example}, special characters percent-encoded",
            ) from None

    def _choose(self, variable: str, single: str, part: str) -> str:
        in_url = self.parts.get(part, "")
        settings = self.settings
        # The environment overrides the env file, and so a URL in it.
        given = settings.environ.get(variable) or settings.environ.get(f"{variable}_FILE")
        if given and self._url and settings.from_file.get(self._url.variable) == self.url:
            return single
        return in_url or single

    def redact(self, text: str) -> str:
        """`text` without the secrets that were read, and without any password in a URL."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return re.sub(r"://([^\s/:@]*):\S*@", r"://\1:***@", text)

    def quote(self, error: object) -> str:
        """The message of a library's exception: one line, redacted, at most 300 characters."""
        return self.redact(one_line(str(error)))[:300]


class _FromSource(click.Parameter):
    """A parameter that reads its variable from a Source, the `obj` of click's context."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        source = ctx.find_object(Source)
        if source is None or not isinstance(self.envvar, str) or self.name is None:
            return None
        return source.get(self.envvar, self.name) or None


class Option(_FromSource, click.Option):
    """The value of an option or of its variable."""

    def get_error_hint(self, ctx: click.Context | None) -> str:  # noqa: ARG002 - as click has it
        """Name the option and the variable, because either may hold the wrong value."""
        return f"{'/'.join(self.opts)} or {self.envvar}"


class Argument(_FromSource, click.Argument):
    """The value of an argument or of its variable."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        return f"{self.make_metavar(ctx) if ctx else self.human_readable_name} or {self.envvar}"


# A file that must exist: a typing mistake is a usage error and not a failed service.
FILE = click.Path(exists=True, dir_okay=False, readable=True)


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas or spaces: `a,b c`."""
    return tuple(text.replace(",", " ").split())


def text_or_file(text: str) -> str:
    """A click type for a query, or @FILE: in a crontab every % is a line break."""
    if not text.startswith("@"):
        return text
    try:
        with open(text[1:], encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise click.BadParameter(f"{text[1:]}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.BadParameter(f"{text[1:]}: is not UTF-8 text") from None


def _reader(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """Turn a function that raises ValueError into a click type with the same message."""

    def convert(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return convert


def positive(read: Callable[[str], float]) -> Callable[[str], float]:
    """A click type for a value above 0, read by a function of `hcrun.units`."""

    def convert(text: str) -> float:
        value = read(text)
        if value <= 0:
            raise ValueError(f"{text!r} is not above 0")
        return value

    return _reader(convert)


duration = positive(seconds)


def addresses(port: int) -> Callable[[str], tuple[str, ...]]:
    """A click type for at least one address: `a:1,b` gives ("a:1", "b:<port>")."""

    def convert(text: str) -> tuple[str, ...]:
        found = []
        for address in names(text):
            match = re.fullmatch(r"([\w.-]+|\[[\da-fA-F:.]+\])(:(\d+))?", address)
            if not match or not 0 < int(match[3] or port) < 65536:
                raise click.BadParameter(f"{address!r} is not HOST:PORT")
            found.append(f"{match[1]}:{match[3] or port}")
        if not found:
            raise click.BadParameter("no address; write it like host:port,host:port")
        return tuple(found)

    return convert


class Threshold(NamedTuple):
    """`--NAME-warning` and `--NAME-critical`: ranges in `unit`, `off` for none.

    NAME is the label of the reading, with - for _. `what` is the help: what is measured.
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
