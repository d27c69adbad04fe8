#!/usr/bin/env python3
"""The trend of a number that another probe prints: when is it full?

    probe-trend CHECK METRIC --full-in 14d

looks at this host's journal, so it has to run as the user who runs CHECK under hcrun. The pace is
the Theil-Sen slope of 30 runs in the last 30 days, or in the time for which the journal keeps
outputs, as in `hcctl status`; of fewer than 12 runs, or of less than 3 days, there is none. Where
it stands the last three runs say. What has no trend, or one that points elsewhere, is OK.

The defaults, and why:
- full in 14 d: time enough to buy a disk.
- limit: the maximum that the perfdata itself has, as `usage=83%;80;90;0;100` has 100.
A metric that nobody printed for two days is UNKNOWN.
"""

from __future__ import annotations

if __name__ == "__main__":  # run as a file or with -m: hcrun lies beside this directory
    import os
    import sys

    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import os
import time
from collections.abc import Mapping, Sequence
from typing import NoReturn

from hcrun.journal.database import FILE
from hcrun.journal.journal import Journal
from hcrun.journal.samples import sample
from hcrun.paths import state_directory
from hcrun.reports.forecast import Series, roughly, series
from hcrun.reports.statistics import DAY, MIN_POINTS, MIN_SPAN, project
from hcrun.units import seconds, size
from probes.framework.options import Argument, duration, option
from probes.framework.probe import Context, Probe, UnknownError
from probes.framework.verdict import Range, Reading, Status, show, state_reading

STALE = 2 * DAY
# Unit of the metric -> its sign in perfdata, and how many of that sign one is.
_SIGNS = {"seconds": ("s", 1.0), "bytes": ("B", 1.0), "ratio": ("%", 100.0)}


def check_trend(context: Context) -> None:
    check, metric = context.options["check"], context.options["metric"]
    path = os.path.join(state_directory(), FILE)
    context.at(path)
    if not os.path.exists(path):
        raise UnknownError(
            f"{path}: there is no journal", hint=f"run as the user who runs {check} under hcrun"
        )
    now = time.time()
    journal = Journal(os.path.dirname(path), timeout=context.deadline.left())
    found = series(journal, sample(journal, now, [check], printed=True).get(check, []))
    name = choose(found, metric, check)
    limit = limit_of(found[name], context.options["limit"], name)
    context.add(*evaluate(name, found[name], limit, context.options["full_in"], now))


def choose(found: Mapping[str, Series], metric: str, check: str) -> str:
    """The name of the series that is meant: "minio usage", or "usage" if it is the only one."""
    names = [name for name in found if metric in (name, name.partition(" ")[2])]
    if len(names) == 1:
        return names[0]
    if names:
        hint = f"name one of them: {', '.join(map(repr, names))}"
        raise UnknownError(f"{check} has several of the name {metric}", hint=hint)
    if not found:
        hint = "hcctl history shows what it prints"
        raise UnknownError(f"no run of {check} in 30 days printed perfdata", hint=hint)
    raise UnknownError(f"{check} prints no {metric}", hint=f"it has {', '.join(found)}")


def limit_of(line: Series, given: str, name: str) -> float:
    """In the metric's base unit."""
    if not given:
        if line.maximum is None:
            raise UnknownError(f"{name} says no maximum", hint="give one with --limit")
        return line.maximum
    try:
        if line.unit == "seconds":
            return seconds(given)
        if line.unit == "bytes":
            return size(given)
        return float(given.removesuffix("%")) / (100 if given.endswith("%") else 1)
    except ValueError:
        examples = {"seconds": "30s", "bytes": "200GB", "ratio": "80%"}
        hint = f"write it like {examples.get(line.unit, '1000')}"
        raise UnknownError(f"--limit {given} is no limit of {name}", hint=hint) from None


def evaluate(name: str, line: Series, limit: float, full_in: float, now: float) -> list[Reading]:
    """The metric as it is now, and the time that is left."""
    sign, factor = _SIGNS.get(line.unit, ("", 1.0))
    ((first, _), *_), (last, value) = line.points, line.points[-1]
    if now - last > STALE:
        text = f"{name} was not printed for {roughly(now - last)}"
        return [state_reading(name, Status.UNKNOWN, text, "see hcctl history")]
    ends = f"{show(value * factor, sign)} of {show(limit * factor, sign)}"
    label = name.rpartition(" ")[2]
    now_reading = Reading(label, value * factor, sign, f"{name} {ends}", maximum=limit * factor)
    if len(line.points) < MIN_POINTS or last - first < MIN_SPAN:
        text = f"too few runs to tell: {len(line.points)} of {MIN_POINTS}"
        return [
            now_reading,
            state_reading("left", Status.OK, f"{text}, over {roughly(last - first)}"),
        ]
    seen = project(line.points, limit)
    if seen is None and value < limit:
        return [now_reading, state_reading("left", Status.OK, "no trend towards it")]
    left = max(0.0, seen.left - (now - last)) if seen else 0.0
    words = f"full in {roughly(left)}" if left else "full"
    if seen:
        pace = abs(seen.pace) * DAY * factor
        a_day = f"{pace:.2g}%" if sign == "%" else show(pace, sign)
        words += f" at {a_day} a day, seen over {roughly(seen.span)}"
    return [now_reading, Reading("left", left, "s", words, critical=Range(full_in), minimum=0)]


PROBE = Probe(
    "trend",
    """Look when a number that CHECK prints is full: METRIC is its name in the perfdata, `usage`,
    or `"minio usage"` if several probes print one of that name. What is not given is taken from
    PROBE_TREND_CHECK and PROBE_TREND_METRIC.

    \b
    Examples:
      probe-trend minio usage --full-in 14d
      probe-trend postgres size --limit 200GB
    """,
    check_trend,
    options=[
        Argument(["check"], envvar="PROBE_TREND_CHECK"),
        Argument(["metric"], envvar="PROBE_TREND_METRIC"),
        option(
            "--full-in",
            "PROBE_TREND_FULL_IN",
            "Critical when it is full sooner than that.",
            type=duration,
            default="14d",
            metavar="DURATION",
        ),
        option(
            "--limit",
            "PROBE_TREND_LIMIT",
            "When it is full: 200GB, 80%, 1000.  [default: its maximum in the perfdata]",
            metavar="LIMIT",
            default="",
            show_default=False,
        ),
    ],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
