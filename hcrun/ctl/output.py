"""A table that fits the terminal: the least important columns are left out."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import click

from hcrun.text import shortened

_UNLIMITED = 10_000  # columns, if stdout is not a terminal
_GAP = "  "
T = TypeVar("T")


@dataclass(frozen=True)
class Column(Generic[T]):
    """The column with the highest `leave` is left out first; 0: never.

    A column with a `minimum` width gets the remaining room, and its cells are cut to it.
    """

    title: str
    cell: Callable[[T], str]
    leave: int = 0
    right: bool = False
    minimum: int = 0
    colour: Callable[[T], str | None] = lambda _: None


def width() -> int:
    """The width of the terminal in characters; unlimited without one."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return _UNLIMITED


def layout(
    columns: Sequence[Column[T]], rows: Sequence[T], room: int
) -> list[tuple[Column[T], int]]:
    """The columns that fit, each with its width. Pure."""
    kept = [
        (column, max(len(column.title), *(len(column.cell(row)) for row in rows)))
        for column in columns
    ]
    while True:
        fixed = sum(column.minimum or size for column, size in kept) + len(_GAP) * (len(kept) - 1)
        droppable = [column.leave for column, _ in kept if column.leave]
        if fixed <= room or not droppable:
            break
        kept = [(column, size) for column, size in kept if column.leave != max(droppable)]
    spare = max(0, room - fixed)
    return [
        (column, min(size, column.minimum + spare) if column.minimum else size)
        for column, size in kept
    ]


def lines(laid_out: Sequence[tuple[Column[T], int]], rows: Sequence[T]) -> tuple[str, list[str]]:
    """The heading, and a line for each row."""
    titles = [_padded(column.title, column, size) for column, size in laid_out]
    head = _GAP.join(titles).rstrip()
    body = [
        [_padded(column.cell(row), column, size, column.colour(row)) for column, size in laid_out]
        for row in rows
    ]
    return head, [_GAP.join(cells).rstrip() for cells in body]


def _padded(text: str, column: Column[T], size: int, colour: str | None = None) -> str:
    text = shortened(text, size)
    padding = " " * (size - len(text))
    shown = click.style(text, fg=colour) if colour else text
    return padding + shown if column.right else shown + padding
