"""commands.toml: the commands of hcctl and their options."""

import tomllib
from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeVar

import click

from hcrun.run.options import period
from hcrun.units import seconds, size

F = TypeVar("F", bound=Callable[..., Any])
TABLE = tomllib.loads((files("hcrun.ctl") / "commands.toml").read_text(encoding="utf-8"))


def options(*names: str) -> Callable[[F], F]:
    """The options of a command, in the order of commands.toml."""

    def decorate(command: F) -> F:
        for row in reversed([row for name in names for row in TABLE["options"][name]]):
            command = _option(**row)(command)
        return command

    return decorate


def _option(
    flags: str, reads: str = "", minimum: int | None = None, **more: Any
) -> Callable[[F], F]:
    if reads:
        more["callback"] = _READERS[reads]
    if minimum is not None:
        more["type"] = click.IntRange(minimum)
    if "metavar" not in more:
        more["is_flag"] = True
    return click.option(*flags.split(), **more)


def _duration(text: str) -> float:
    length = seconds(text)
    if length < 1:
        raise ValueError("must be at least 1s")
    return length


def _reader(read: Callable[[str], float]) -> Callable[..., float | None]:
    """A callback of an option: its value in seconds."""

    def convert(
        _context: click.Context, _option: click.Parameter, text: str | None
    ) -> float | None:
        try:
            return None if text is None else read(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return convert


_READERS = {"duration": _reader(_duration), "period": _reader(period), "size": _reader(size)}
