#!/usr/bin/env python3
"""One number from SQL: tokens refreshed, tenants active, rows in a table.

The query gives one row. One column is a number; two are a part and its whole (`19, 20`), and then
thresholds may be in per cent of the whole: `--value-critical 95%:` is an alert below 95%.

The defaults, and why:
- value: off, as only the operator knows what it ought to be.
- min sample 20: of three log-ins one failed is 67%, and says nothing. A smaller whole is shown,
  and not judged: that there is any traffic at all is for a query of its own.
- latency 5 s, off: who counts rows may take a while.
NULL, no row, or what is no number is UNKNOWN: nothing was counted. So is a query that is wrong or
not allowed. The query runs in a read-only transaction, and is one statement.
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

import math
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NoReturn

import click

from probes.clients import postgres as libpq
from probes.framework.options import Threshold, option
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.verdict import Reading, Status, count, number, state_reading


def check_sql(context: Context) -> None:
    query = context.options["query"]
    if not query:
        raise UnknownError("no query", hint="give one with --query or PROBE_SQL_QUERY")
    with libpq.connect(context) as connection:
        started = time.perf_counter()
        rows = libpq.select(connection, query, context, maximum=2)
        context.answered(time.perf_counter() - started)
    context.add(
        evaluate(rows, context.options["name"], context.options["min_sample"], context.ranges)
    )


def evaluate(rows: Sequence[libpq.Row], name: str, min_sample: int, ranges: Ranges) -> Reading:
    """The first two rows at most, of which there must be one -> a reading called `name`."""
    if len(rows) != 1 or len(rows[0]) not in (1, 2):
        gives = "no row" if not rows else "several rows"
        if len(rows) == 1:
            gives = f"a row of {count(len(rows[0]), 'column')}"
        hint = "select one row of a number, or of a part and its whole"
        return state_reading(name, Status.UNKNOWN, f"{name}: the query gives {gives}", hint)
    numbers = []
    for value in rows[0]:
        if (read := _number(value)) is None:
            text = f"{name}: the query gives {_kind(value)}"
            hint = "" if value is None else "cast it to numeric, a time by extract(epoch FROM ...)"
            return state_reading(name, Status.UNKNOWN, text, hint)
        numbers.append(read)
    part, whole = numbers[0], numbers[1] if len(numbers) == 2 else None
    text = f"{name} {_plain(part)}"
    if whole is not None:
        text += f" of {_plain(whole)}"
        if whole < min_sample:
            text += f" (too few to judge: under {min_sample})"
            return Reading(name, part, "", text, minimum=0, maximum=whole)
        text += f", {100 * part / whole:.3g}%"
    minimum = None if whole is None else 0
    return Reading(name, part, "", text, *ranges["value"], minimum=minimum, maximum=whole)


def _number(value: Any) -> float | None:
    """An int, a numeric, a float or a truth value of PostgreSQL as a number."""
    if isinstance(value, int | float | Decimal) and math.isfinite(value):
        return float(value)
    return None


def _kind(value: Any) -> str:
    """What the value is instead of a number, and not the value: it may be anybody's name."""
    if isinstance(value, float | Decimal):
        is_finite = Decimal(value).is_finite()
        return "a number that is too large" if is_finite else f"{value}"  # NaN, Infinity
    return "NULL" if value is None else f"a {type(value).__name__}, no number"


def _plain(value: float) -> str:
    return number(round(value, 2))


def _name(text: str) -> str:
    if not text.strip():
        raise click.BadParameter("a name has a letter at least")
    return text


def _query(text: str) -> str:
    """SQL, or @ and the path of a file of it: crontab takes every % for a line break."""
    if not text.startswith("@"):
        return text
    try:
        with open(text[1:], encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise click.BadParameter(f"{text[1:]}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.BadParameter(f"{text[1:]}: is not UTF-8 text") from None


PROBE = Probe(
    "sql",
    """Look at one number that SQL gives, or at a part of a whole (`SELECT 19, 20`).

    \b
    Examples:
      probe-sql --query 'SELECT count(*) FROM tenants' --value-critical 1:
      probe-sql --query @/etc/hcrun/fresh.sql --name fresh --value-critical 95%:

    In a crontab a % must be \\%. The query may only read, and be one statement.

    DATABASE_URL says where the database is; what it does not say, libpq's variables do (PGHOST,
    PGSERVICE and all the others), and then its defaults. The password is never a flag: it is in
    PGPASSWORD_FILE (a path), in $CREDENTIALS_DIRECTORY/pgpassword, in PGPASSWORD, in the URL, or
    in ~/.pgpass.
    """,
    check_sql,
    url=libpq.URL,
    extra="postgres",
    options=[
        option(
            "--query",
            "PROBE_SQL_QUERY",
            "What gives the number: SQL, or @FILE.",
            type=_query,
            metavar="SQL",
        ),
        option("--name", "PROBE_SQL_NAME", "What the number is of.", default="value", type=_name),
        option(
            "--min-sample",
            "PROBE_SQL_MIN_SAMPLE",
            "The smallest whole that is judged.",
            type=click.IntRange(min=1),
            default=20,
        ),
        *libpq.OPTIONS,
    ],
    thresholds=[
        Threshold("value", "", "off", "off", "the number, or per cent of the whole"),
        Threshold("latency", "s", "5s", "off", "time that the query takes"),
    ],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
