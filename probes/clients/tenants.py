"""Readings of each tenant: of the first ones by name, and of the rest together.

A label is tenant/NAME/READING; `hcctl report` has a table of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from hcrun.text import counted, printable, shortened
from probes.framework.probe import Ranges
from probes.framework.verdict import Reading, Status, state_reading

NAMED = 20  # tenants: each reading of each is a series in metrics
_LONGEST = 40  # characters of a name
OTHERS = "*"  # instead of a name: all that are not named
_LARGEST = re.compile(r"p\d+|.*max")  # of these readings the rest has the largest, else the sum

Values = Mapping[str, tuple[float, str]]  # value and unit, by reading


def evaluate(
    tenants: Sequence[tuple[str, Values]], ranges: Ranges, limits: Mapping[str, str]
) -> Iterator[Reading]:
    """The readings of all tenants, those first that are to be named.

    `limits` has the name of a threshold by reading; it applies to each tenant, named or not.
    """
    rest: dict[str, list[tuple[float, str]]] = {}
    broken = 0
    named = {name for name, _ in [one for one in tenants if one[0] != OTHERS][:NAMED]}
    for name, values in tenants:
        for what, (value, unit) in values.items():
            own = ranges[limits[what]] if what in limits else (None, None)
            one = Reading(_label(name, what), value, unit, "", *own)
            broken += one.status is not Status.OK
            if name in named or (one.status is not Status.OK and broken <= NAMED):
                yield one
            if name not in named:
                rest.setdefault(what, []).append((value, unit))
    for what, found in rest.items():
        numbers = [value for value, _ in found]
        value = max(numbers) if _LARGEST.fullmatch(what) else sum(numbers)
        yield Reading(f"tenant/{OTHERS}/{_clean(what)}", value, found[0][1])
    text = counted(len(tenants), "tenant")
    if broken > NAMED:
        text += f", {broken} of their readings break a threshold"
    yield state_reading("tenants", Status.OK, text)


def _label(tenant: str, what: str) -> str:
    return f"tenant/{_clean(tenant)}/{_clean(what)}"


def _clean(name: str) -> str:
    """In a label a slash ends the name, and an equals sign the label."""
    text = shortened(printable(name), _LONGEST) or "-"
    return re.sub(r"[/=|'*\s]", "_", text)
