"""Reads the perfdata in the output of a probe as numbers in base units.

The format is that of the monitoring-plugins guidelines, which other plugins have, too:
`REDIS OK - ... | latency=0.0004s;0.5;1;0 'keys db0'=3;;;0`.
"""

import math
import re
from typing import NamedTuple

from hcrun.excerpt import Excerpt

# Unit -> name of the base unit, and its size in that unit. 1 kB is 1,000 bytes.
_UNITS = {"": ("", 1.0), "%": ("ratio", 1e-2), "c": ("total", 1.0)}
_UNITS |= {f"{prefix}s": ("seconds", 1000.0**-power) for power, prefix in enumerate(["", *"mun"])}
_UNITS |= {f"{prefix}b": ("bytes", 1000.0**power) for power, prefix in enumerate(["", *"kmgt"])}
_UNITS |= {f"{prefix}ib": ("bytes", 1024.0**power) for power, prefix in enumerate("kmgt", 1)}
_ITEM = re.compile(
    r"(?:'((?:[^']|'')+)'|([^\s='|]+))"  # a label
    r"=(U|-?[\d.]+(?:[eE][-+]?\d+)?)([A-Za-z]*|%)((?:;[^;\s]*){0,4})"  # value, unit, limits
    r"(?:\s+|$)"
)
_NAME = re.compile(r"(?P<name>[\w-]+) (?:OK|WARNING|CRITICAL|UNKNOWN)\b")


class PerfValue(NamedTuple):
    """One number of a probe, in the base unit: seconds, bytes, ratio (1 is 100%), or a count."""

    probe: str  # "redis", or "" if the line does not say
    label: str  # "latency"
    value: float
    unit: str  # "seconds", "bytes", "ratio", "total" (a counter) or ""
    maximum: float | None = None  # the largest possible value


def read(output: Excerpt) -> list[PerfValue]:
    """Returns the values in an output, of each label of a probe the last one."""
    found: dict[tuple[str, str], PerfValue] = {}
    # If the middle was left out, the line before it may be cut: 15 would read as 1.
    head = output.head[: output.head.rfind("\n") + 1] if output.omitted else output.head
    for text in (head, output.tail):
        if "|" not in text:
            continue
        for line in text.split("\n"):
            for value in read_line(line):
                found[value.probe, value.label] = value
    return list(found.values())


def read_line(line: str) -> list[PerfValue]:
    """Returns the values in a line, none if the text after its `|` is not perfdata."""
    words, bar, text = line.partition("|")
    if not bar:
        return []
    named = _NAME.match(words)
    probe = named["name"].lower() if named else ""
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        item = _ITEM.match(text, at)
        if not item:
            return []
        at = item.end()
        if value := _value(probe, item):
            found.append(value)
    return found


def _value(probe: str, item: re.Match[str]) -> PerfValue | None:
    quoted, label, text, suffix, rest = item.groups()
    unit, factor = _UNITS.get(suffix.lower(), (None, 0.0))
    value = _number(text)
    if unit is None or value is None:
        return None
    limits = rest.split(";")
    maximum = _number(limits[4]) if len(limits) == 5 else None
    if quoted:
        label = quoted.replace("''", "'")
    return PerfValue(
        probe, label, value * factor, unit, None if maximum is None else maximum * factor
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
