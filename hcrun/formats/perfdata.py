"""Reads the perfdata in the output of a probe as numbers in base units.

The format is that of the monitoring-plugins guidelines, which other plugins have, too: a line with
a status (`DISK OK - text | /=5MB;7;8;0;10`), and perhaps more lines of text, of which one has a `|`
again; all lines after that are perfdata. Each item is read by itself. A line without a status, as
`ps | grep=1`, is perfdata only if each of its items has a unit or limits.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from hcrun.excerpt import Excerpt

# Unit -> name of the base unit, and its size in that unit. Case counts: B is bytes, b is bits; c is
# a counter, C is degrees.
_UNITS = {"": ("", 1.0), "%": ("ratio", 1e-2), "c": ("total", 1.0)}
_UNITS |= dict.fromkeys(("A", "C", "F", "K", "V", "VA", "W", "Wh", "Hz", "rpm", "dB"), ("", 1.0))
_UNITS |= {"s": ("seconds", 1.0), "ms": ("seconds", 1e-3), "ns": ("seconds", 1e-9)}
_UNITS |= dict.fromkeys(("us", "\xb5s", "\u03bcs"), ("seconds", 1e-6))
_UNITS |= {"m": ("seconds", 60.0), "h": ("seconds", 3600.0), "d": ("seconds", 86400.0)}
for _letter, _size in (("B", 1.0), ("b", 1 / 8)):
    _UNITS[_letter] = ("bytes", _size)
    for _power, _prefix in enumerate("kmgtpe", 1):
        for _sign in (_prefix, _prefix.upper()):
            _UNITS[_sign + _letter] = ("bytes", _size * 1000.0**_power)  # 1 kB is 1,000 bytes
            _UNITS[f"{_sign}i{_letter}"] = ("bytes", _size * 1024.0**_power)
_ITEM = re.compile(r"(?:'((?:[^']|'')+)'|([^\s='|]+))=(\S*)|\S+")  # a label and the rest
_VALUE = re.compile(
    r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)([^\d\s;.,+-]*)"  # value, unit
    r"((?:;[^;\s]*){0,4});*"  # warning, critical, minimum, maximum
)
_OF_SEVERAL = re.compile(r"([a-z][a-z-]*)::(.+)")  # probe and label, in the perfdata of probe-all
_STATUS = re.compile(r"(?:^(?P<name>[\w-]+) )?\b(?:OK|WARN(?:ING)?|CRIT(?:ICAL)?|UNKNOWN)\b")


class PerfValue(NamedTuple):
    """One number of a probe, in the base unit: seconds, bytes, ratio (1 is 100%), or a count."""

    probe: str  # "redis", or "" if the line does not say
    label: str  # "latency"
    value: float
    unit: str  # "seconds", "bytes", "ratio", "total" (a counter) or ""
    maximum: float | None = None  # the largest possible value
    warning: float | None = None  # the upper end of its range, if it is plain: 10, not 5:10


class Line(NamedTuple):
    """A line of an output."""

    words: str  # without the perfdata
    values: list[PerfValue]
    refused: list[str]  # items of the perfdata that are not read: `a=1,5s`


def read(output: Excerpt) -> list[PerfValue]:
    """Returns the values in an output, of each label of a probe the last one."""
    found = {(v.probe, v.label): v for line in _lines(output) for v in line.values}
    return list(found.values())


def refused(output: Excerpt) -> list[str]:
    """Returns the items of the perfdata in an output that `read` leaves out, as printed."""
    return [item for line in _lines(output) for item in line.refused]


def _lines(output: Excerpt) -> Iterator[Line]:
    # If the middle was left out, the line before it may be cut: 15 would read as 1.
    head = output.head[: output.head.rfind("\n") + 1] if output.omitted else output.head
    for text in (head, output.tail):
        if "|" in text:
            yield from read_lines(text)


def read_lines(text: str) -> Iterator[Line]:
    """The lines of an output, with the perfdata in them."""
    probe = ""
    second = more = False  # the second part may begin; it goes on
    for line in text.split("\n"):
        words, bar, data = line.partition("|")
        if more and not bar:
            words, data = "", line
        items = list(_ITEM.finditer(data))
        labelled = [item[3] is not None for item in items]
        if status := _STATUS.search(words):
            probe, second, more = (status["name"] or "").lower(), True, False
            is_perfdata = any(labelled)
        elif more or (second and bar):
            more = is_perfdata = bool(labelled and labelled[0] and not (more and bar))
            second = second and not more
        else:
            is_perfdata = bool(items) and all(map(_is_clear, items))
            probe = "" if is_perfdata else probe
        yield _line(words, probe, items) if is_perfdata else Line(line, [], [])


def _is_clear(item: re.Match[str]) -> bool:
    """True for a value with a unit or limits, which only perfdata has."""
    parts = _VALUE.fullmatch(item[3] or "")
    return bool(parts and (parts[2] or parts[3]))


def _line(words: str, probe: str, items: list[re.Match[str]]) -> Line:
    result = Line(words, [], [])
    for item in items:
        quoted, label, text = item.groups()
        if (text or "").partition(";")[0] == "U":  # unknown
            continue
        if quoted:
            label = quoted.replace("''", "'")
        elif label and label.count('"') % 2:  # half of a label between "
            label = ""
        own = probe
        if of_several := _OF_SEVERAL.fullmatch(label or ""):
            own, label = of_several.groups()
        if value := _value(own, label, text):
            result.values.append(value)
        else:
            result.refused.append(item[0])
    return result


def _value(probe: str, label: str | None, text: str | None) -> PerfValue | None:
    parts = _VALUE.fullmatch(text or "")
    if not label or not parts:
        return None
    digits, sign, limits = parts.groups()
    unit, factor = _UNITS.get(sign, (None, 0.0))
    value = _number(digits, factor)
    if unit is None or value is None:
        return None
    ends = [_number(end, factor) for end in (limits + ";;;;").split(";")]
    return PerfValue(probe, label, value, unit, ends[4], ends[1])


def _number(text: str, factor: float) -> float | None:
    try:
        value = float(text) * factor
    except ValueError:
        return None
    return value if math.isfinite(value) else None
