"""A table that fits the terminal: the least important columns are left out."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import click

from hcrun.text import shortened

_UNLIMITED = 10_000  # columns, if stdout is not a terminal
T = TypeVar("T")


@dataclass(frozen=True)
class Column(Generic[T]):
    """The column with the highest `leave` is left out first; 0: never.

    A column with a `minimum` width gets the remaining room, and its cells are cut to it.
    """

    title: str
    cell: Callable[[T], str]  # may be coloured, without a `minimum`
    leave: int = 0
    right: bool = False
    minimum: int = 0


def width() -> int:
    """The width of the terminal in characters; unlimited without one."""
    return shutil.get_terminal_size(fallback=(_UNLIMITED, 24)).columns


def lines(columns: Sequence[Column[T]], rows: Sequence[T], room: int) -> list[str]:
    """The heading, and a line for each row, with the columns that fit. Pure."""
    kept = [(column, [column.title, *map(column.cell, rows)]) for column in columns]
    while (spare := room - _needed(kept)) < 0 and any(column.leave for column, _ in kept):
        last = max(column.leave for column, _ in kept)
        kept = [(column, cells) for column, cells in kept if column.leave != last]
    padded = [_padded(column, cells, max(0, spare)) for column, cells in kept]
    return ["  ".join(row).rstrip() for row in zip(*padded, strict=True)]


def _needed(kept: Sequence[tuple[Column[T], list[str]]]) -> int:
    sizes = [column.minimum or max(map(_length, cells)) for column, cells in kept]
    return sum(sizes) + 2 * (len(sizes) - 1)


def _length(text: str) -> int:
    return len(click.unstyle(text))


def _padded(column: Column[T], cells: list[str], spare: int) -> list[str]:
    size = max(map(_length, cells))
    if column.minimum:
        size = min(size, column.minimum + spare)
        cells = [shortened(cell, size) for cell in cells]
    padding = [" " * (size - _length(cell)) for cell in cells]
    pairs = zip(cells, padding, strict=True)
    return [space + cell if column.right else cell + space for cell, space in pairs]
