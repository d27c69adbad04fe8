"""A table as wide as the terminal: what does not fit is left out, the least important first."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import click

from hcrun.text import shortened

_ENDLESS = 10_000  # columns of what is no terminal
_GAP = "  "
T = TypeVar("T")


@dataclass(frozen=True)
class Column(Generic[T]):
    """The first to be left out has the highest `leave`; 0: never.

    `least` is for a column of sentences: it takes what room is left, but not less than that.
    """

    title: str
    cell: Callable[[T], str]
    leave: int = 0
    right: bool = False
    minimum: int = 0
    colour: Callable[[T], str | None] = lambda _: None


def width() -> int:
    """Of the terminal, in characters; where there is none, everything fits."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return _ENDLESS


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
    """The head, and a line a row."""
    head = _line([_padded(column.title, column, size) for column, size in laid_out])
    body = [
        _line(
            [
                _padded(column.cell(row), column, size, column.colour(row))
                for column, size in laid_out
            ]
        )
        for row in rows
    ]
    return head, body


def _line(cells: list[str]) -> str:
    return _GAP.join(cells).rstrip()


def _padded(text: str, column: Column[T], size: int, colour: str | None = None) -> str:
    text = shortened(text, size)
    padding = " " * (size - len(text))
    shown = click.style(text, fg=colour) if colour else text
    return padding + shown if column.right else shown + padding
