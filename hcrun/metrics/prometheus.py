"""Figures -> Prometheus text (format 0.0.4), as node_exporter's textfile collector reads it. Pure.

Names and units follow Prometheus: base units as suffix, `_total` for counters, times in seconds
since the epoch. No sample has a time stamp: the collector refuses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Sample:
    """One number; its labels tell it from the others of its family."""

    labels: dict[str, str]
    value: float


@dataclass
class Family:
    """All samples of one name."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    samples: list[Sample] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> None:
        self.samples.append(Sample(labels, value))


def text(families: Iterable[Family]) -> str:
    """Those that have samples, each with HELP and TYPE."""
    return "".join(f"{line}\n" for family in families if family.samples for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    words = family.help.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.name} {words}"
    yield f"# TYPE {family.name} {family.kind}"
    for sample in family.samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
        yield f"{family.name}{f'{{{labels}}}' if labels else ''} {_number(sample.value)}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    """All digits there are, and no exponent for what people may read as a time or a count."""
    whole = float(value).is_integer() and abs(value) < 2**53
    return str(int(value)) if whole else repr(float(value))
