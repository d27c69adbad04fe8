#!/usr/bin/env python3
"""A number from SQL: tokens refreshed, tenants active, rows in a table."""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import math
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import click

from hcrun.text import counted
from probes.clients import postgres as libpq
from probes.clients import tenants
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, show, state_reading

MOST = 10_000  # tenants


def check_sql(context: Context) -> None:
    query = context.options["query"]
    if not query:
        raise UnknownError("no query", hint="give one with --query or PROBE_SQL_QUERY")
    with libpq.connected(context) as connection:
        started = time.perf_counter()
        columns: list[str] = []
        maximum = MOST + 1 if context.options["tenants"] else 2
        rows = libpq.select(connection, query, context, maximum, columns)
        context.answered(time.perf_counter() - started)
        libpq.check_certificate(connection, context)
    if context.options["tenants"]:
        context.add(*by_tenant(rows, columns, context.ranges))
        return
    context.add(
        evaluate(rows, context.options["name"], context.options["min_sample"], context.ranges)
    )


def by_tenant(
    rows: Sequence[libpq.Row], columns: Sequence[str], ranges: Ranges
) -> Iterator[Reading]:
    """The readings of rows with a tenant and its numbers; the threshold is for the first one."""
    if len(rows) > MOST:
        text = f"the query returns more than {MOST:,} tenants"
        yield state_reading("tenants", Status.UNKNOWN, text, "aggregate the small ones in SQL")
        return
    if rows and len(set(columns)) < max(2, len(columns)):
        text, hint = "the query returns no columns with own names", "SELECT tenant, requests, users"
        yield state_reading("tenants", Status.UNKNOWN, text, hint)
        return
    found = []
    for row in rows:
        values = {}
        for what, value in zip(columns[1:], row[1:], strict=True):
            if (number := _number(value)) is not None:
                values[what] = (number, "")
            elif value is not None:  # NULL: nothing is known of this tenant
                text = f"{what}: the query returns {_kind(value)}"
                yield state_reading("tenants", Status.UNKNOWN, text, "cast it to numeric")
                return
        found.append((str(row[0]), values))
    limits = {columns[1]: "value"} if rows else {}
    yield from tenants.evaluate(found, ranges, limits)


def evaluate(rows: Sequence[libpq.Row], name: str, min_sample: int, ranges: Ranges) -> Reading:
    """Returns a reading called `name` for the only one of `rows`."""
    if len(rows) != 1 or len(rows[0]) not in (1, 2):
        result = "several rows" if rows else "no row"
        if len(rows) == 1:
            result = f"a row of {counted(len(rows[0]), 'column')}"
        hint = "select one row with a number, or with a part and a total"
        return state_reading(name, Status.UNKNOWN, f"{name}: the query returns {result}", hint)
    numbers = []
    for value in rows[0]:
        if (read := _number(value)) is None:
            text = f"{name}: the query returns {_kind(value)}"
            hint = "" if value is None else "cast it to numeric, or use extract(epoch FROM ...)"
            return state_reading(name, Status.UNKNOWN, text, hint)
        numbers.append(read)
    part, whole = numbers[0], numbers[1] if len(numbers) == 2 else None
    text = f"{name} {show(part, '')}"
    if whole is not None:
        text += f" of {show(whole, '')}"
        if whole < min_sample:
            text += f" (sample smaller than {min_sample})"
            return Reading(name, part, "", text, minimum=0, maximum=whole)
        text += f", {100 * part / whole:.3g}%"
    minimum = None if whole is None else 0
    return Reading(name, part, "", text, *ranges["value"], minimum=minimum, maximum=whole)


def _number(value: Any) -> float | None:
    """The number in a value of PostgreSQL; None for other types, NaN and infinity."""
    if isinstance(value, int | float | Decimal) and math.isfinite(value):
        return float(value)
    return None


def _kind(value: Any) -> str:
    """What the value is instead of a number. The value itself may be personal data."""
    if isinstance(value, float | Decimal):
        is_finite = Decimal(value).is_finite()
        return "a number that is too large" if is_finite else f"{value}"  # NaN, Infinity
    return "NULL" if value is None else f"a {type(value).__name__}, not a number"


def _name(text: str) -> str:
    if not text.strip():
        raise click.BadParameter("the name is empty")
    return text


TYPES = {**libpq.TYPES, "--name": _name}
PROBE = Probe("sql", table("sql", types=TYPES), check_sql, url=libpq.URL, extra="postgres")

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
