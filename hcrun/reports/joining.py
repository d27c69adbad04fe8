"""Joins what several journals of this host know."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from hcrun.journal.maintenance import Window
from hcrun.journal.queries import LastRun

T = TypeVar("T")


def joined(found: Sequence[T], nothing: T) -> T:
    """The same figures for the runs of all; `nothing` if there is no journal."""
    whole = nothing
    for part in found:
        figures = vars(part)
        whole = type(part)(**{name: _join(one, figures[name]) for name, one in vars(whole).items()})
    return whole


def _join(one: Any, other: Any) -> Any:
    if isinstance(one, Mapping):
        both = {key: _join(one[key], other[key]) for key in one.keys() & other.keys()}
        return {**one, **other, **both}
    if isinstance(one, LastRun):
        return max(one, other, key=lambda run: run.started)
    if isinstance(one, list):
        return sorted([*one, *other], key=_begin)
    if isinstance(one, float):
        return min(one, other)
    return other if isinstance(one, Window) else one + other


def _begin(each: Any) -> float:
    """Of a run or a window; a duration is itself, and forecasts keep their order."""
    if isinstance(each, float):
        return each
    return float(getattr(each, "started", getattr(each, "began", 0.0)))
