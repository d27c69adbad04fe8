#!/usr/bin/env python3
"""The trend of a number that another probe prints: when does it reach its limit?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import os
import time
from collections.abc import Collection, Sequence

from hcrun.journal.database import FILE
from hcrun.journal.journal import Journal
from hcrun.journal.samples import outputs_since, sample
from hcrun.paths import state_directory
from hcrun.reports.anomalies import Anomaly, watched
from hcrun.reports.forecast import Series, roughly, series, until_full
from hcrun.reports.novelty import QUIET
from hcrun.reports.statistics import DAY, MIN_POINTS, MIN_SPAN, project
from hcrun.text import counted
from hcrun.units import seconds, size
from probes.framework.probe import Context, Probe, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Range, Reading, Status, show, state_reading

STALE = 2 * DAY
# Unit of the metric: its symbol in perfdata, and the factor to convert into it.
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
    if context.options["anomaly"]:
        every = watched(journal, context.deadline.left() / 2)
        context.add(newness(every, check, metric, now))
        return
    sampled = sample(journal, outputs_since(journal, now), now, [check])
    all_series = series(journal, sampled.get(check, []))
    name = choose(all_series, metric, check)
    line = all_series[name]
    limit = limit_of(line, context.options["limit"], name)
    context.add(*evaluate(name, line, limit, context.options["full_in"], now))


def newness(series: Sequence[Anomaly], check: str, metric: str, now: float) -> Reading:
    """A reading on the last alert of the metric's detector, which lasts for a day."""
    by_name = {each.subject: each for each in series if each.check == check}
    found = by_name[choose(by_name, metric, check)]
    if now - found.alerted < QUIET:
        return state_reading("anomaly", Status.WARNING, found.text, f"see hcctl history {check}")
    text = f"{found.subject} is as in {counted(found.runs, 'successful run')} before"
    return state_reading("anomaly", Status.OK, text)


def choose(names: Collection[str], metric: str, check: str) -> str:
    """The name of the series for a metric: "minio usage", or "usage" if only one probe has it."""
    matches = [name for name in names if metric in (name, name.partition(" ")[2])]
    if len(matches) == 1:
        return matches[0]
    if matches:
        hint = f"choose one of {', '.join(map(repr, matches))}"
        raise UnknownError(f"{check} has several metrics named {metric}", hint=hint)
    if not names:
        hint = "see its output: hcctl history; items not read: hcctl doctor"
        raise UnknownError(f"no run of {check} in 30 days printed perfdata", hint=hint)
    raise UnknownError(f"{check} has no metric {metric}", hint=f"choose one of {', '.join(names)}")


def limit_of(line: Series, given: str, name: str) -> float:
    """The limit in the base unit of the metric. Raises UnknownError."""
    if not given:
        if line.maximum is None:
            raise UnknownError(f"{name} has no maximum", hint="set --limit")
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
        raise UnknownError(f"invalid --limit {given} for {name}", hint=hint) from None


def evaluate(name: str, line: Series, limit: float, full_in: float, now: float) -> list[Reading]:
    """Returns readings on the current value, and on the time left until it reaches the limit."""
    sign, factor = _SIGNS.get(line.unit, ("", 1.0))
    first, last, value = line.points[0][0], *line.points[-1]
    if now - last > STALE:
        text = f"{name} was not printed for {roughly(now - last)}"
        return [state_reading(name, Status.UNKNOWN, text, "see its output: hcctl history")]
    ends = f"{show(value * factor, sign)} of {show(limit * factor, sign)}"
    label = name.rpartition(" ")[2]
    now_reading = Reading(label, value * factor, sign, f"{name} {ends}", maximum=limit * factor)
    if len(line.points) < MIN_POINTS or last - first < MIN_SPAN:
        text = f"too few runs for a trend: {len(line.points)} of {MIN_POINTS}"
        text += f", over {roughly(last - first)}"
        return [now_reading, state_reading("left", Status.OK, text)]
    trend = project(line.points, limit)
    if trend is None and value < limit:
        return [now_reading, state_reading("left", Status.OK, "no trend towards the limit")]
    left = max(0.0, trend.left - (now - last)) if trend else 0.0
    text = until_full(left)
    if trend:
        pace = abs(trend.pace) * DAY * factor
        a_day = f"{pace:.2g}%" if sign == "%" else show(pace, sign)
        text += f" at {a_day} a day, measured over {roughly(trend.span)}"
    return [now_reading, Reading("left", left, "s", text, critical=Range(full_in), minimum=0)]


PROBE = Probe("trend", table("trend"), check_trend)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
