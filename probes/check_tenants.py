#!/usr/bin/env python3
"""The tenants' databases: are there any, and does each of them answer?

The list comes from SQL, from options, or both; each database is connected to and asked
`SELECT 1` (a pooler may take connections for a server that is gone).

The defaults, and why:
- at least 1 tenant: a list that is empty is a list gone wrong.
- failed 0: each tenant is somebody's whole product.
- slowest 2 s, off: many connect at once, so it is longer than one would take alone.
- 3 s for one tenant, 10 at once: a few that hang must not hide the others, and the probe must
  not be the one that takes the last connection.
Tenants for which there was no time are UNKNOWN, and counted: "120 of 500 tenants looked at".

With --ping each tenant has a Healthchecks check of its own: see tenant_checks.py. A quarter of the
time is left to that; a server takes 40 to 300 pings a second, so raise --timeout for many tenants.
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

import asyncio
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import click

from probes.clients import postgres as libpq
from probes.clients.tenant_checks import Checks, few
from probes.framework.options import Threshold, duration, option
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.verdict import Range, Reading, Status, count, show, state_reading

if TYPE_CHECKING:
    import psycopg


class Tenant(NamedTuple):
    name: str
    parameters: libpq.Parameters
    problem: str = ""  # why it cannot be looked at


class Visit(NamedTuple):
    """How a tenant was found."""

    status: Status
    text: str  # what is wrong
    hint: str = ""
    seconds: float = 0.0  # until it answered


def check_tenants(context: Context) -> None:
    tenants = _tenants(context)
    total, minimum = len(tenants), context.options["min_tenants"]
    context.add(
        Reading("tenants", total, "", count(total, "tenant"), None, Range(low=minimum), minimum=0)
    )
    names = [tenant.name for tenant in tenants]
    for name, times in Counter(names).items():
        if times > 1:
            raise UnknownError(f"the list has {name} {times} times", hint="give each its own name")
    checks = Checks(context, names, context.options["create"]) if context.options["ping"] else None
    found = _visit_all(tenants, context, checks)
    context.add(*evaluate(found, total, context.ranges))
    if checks:
        context.add(*checks.told())


def _tenants(context: Context) -> list[Tenant]:
    import psycopg  # noqa: F401 - so that its lack is said first

    rows: list[libpq.Row] = list(context.options["tenant"])
    common = libpq.parameters(context)
    context.at(*libpq.address(common))
    if query := context.options["tenant_sql"]:
        with libpq.connect(context) as connection:
            rows += libpq.select(connection, query, context)
    elif not rows:
        raise UnknownError("no list of tenants", hint="give one with --tenant-sql or --tenant")
    tenants = [as_tenant(row, common) for row in rows]
    passwords = {str(tenant.parameters.get("password") or "") for tenant in tenants}
    context.source.secrets |= passwords - {""}
    return tenants


def as_tenant(row: libpq.Row, common: libpq.Parameters) -> Tenant:
    """A row of a name and, if it is not the same, a database or a URL. Raises BlindError."""
    if len(row) not in (1, 2):
        raise UnknownError(
            f"the list of tenants has {count(len(row), 'column')}",
            hint="select a name, and a database or URL if that is not its name",
        )
    if row[0] in (None, ""):
        raise UnknownError("the list of tenants has one without a name", hint="look at its query")
    name, where = str(row[0]), str(row[-1])
    if row[-1] in (None, ""):
        return Tenant(name, {}, "the list has neither database nor URL for it")
    parts = {"dbname": where}
    if len(row) == 2 and ("://" in where or "=" in where):  # as libpq tells them apart
        try:
            parts = libpq.split_url(where)
        except ValueError:
            return Tenant(name, {}, "the list has no valid URL for it")
    if not parts.keys().isdisjoint({"host", "hostaddr", "service"}):
        # An address is taken as a whole, or it would be half of another server's.
        address = ("host", "hostaddr", "port", "service")
        common = {name: value for name, value in common.items() if name not in address}
    return Tenant(name, {**common, **parts})


def _visit_all(
    tenants: Sequence[Tenant], context: Context, checks: Checks | None
) -> dict[str, Visit]:
    """Visit as many tenants as there is time for, and ping their checks meanwhile."""
    left = context.deadline.left() * (0.75 if checks else 1)
    at_once = context.options["at_once"]
    visits: dict[str, Visit] = {}

    def keep(tenant: Tenant, visit: Visit) -> None:
        visits[tenant.name] = visit = visit._replace(text=context.source.quote(visit.text))
        if checks:
            text = visit.text or f"answers in {show(visit.seconds, 's')}"
            checks.tell(tenant.name, visit.status, text)

    async def visit_all() -> None:
        end = time.monotonic() + left
        patience = min(context.options["tenant_timeout"], left / 2)
        waiting = iter(tenants)  # shared, so that each tenant is visited once
        await asyncio.gather(*(_work(waiting, patience, end, keep) for _ in range(at_once)))

    # asyncio.run() would wait for host names that do not resolve.
    with closing(asyncio.new_event_loop()) as loop:
        loop.set_default_executor(ThreadPoolExecutor(at_once))  # psycopg resolves host names in it
        loop.run_until_complete(visit_all())
    return visits


async def _work(
    tenants: Iterator[Tenant], patience: float, end: float, keep: Callable[[Tenant, Visit], None]
) -> None:
    """Visit one tenant after the other until `end` on the monotonic clock."""
    for tenant in tenants:
        started = time.monotonic()
        try:
            visit = await _visit(tenant, min(started + patience, end))
        except TimeoutError:
            if time.monotonic() >= end:
                return  # this tenant had less time than it may take
            where = _where(tenant)
            visit = Visit(Status.CRITICAL, f"no answer from {where} within {show(patience, 's')}")
        keep(tenant, visit)


async def _visit(tenant: Tenant, end: float) -> Visit:
    """Connect, and have one query answered. Raises TimeoutError."""
    import psycopg

    if tenant.problem:
        return Visit(Status.UNKNOWN, tenant.problem)
    started = time.monotonic()
    try:
        await _reach(tenant.parameters, end)
    except psycopg.Error as error:
        refusal = libpq.refused(str(error))
        status = Status.UNKNOWN if refusal.is_blind else Status.CRITICAL
        return Visit(status, f"{_where(tenant)}: {refusal.text}", refusal.hint)
    except TimeoutError:
        raise
    except Exception as error:  # one surprising tenant must not hide the others
        text = f"{_where(tenant)}: unexpected {type(error).__name__}: {error}"
        return Visit(Status.UNKNOWN, text)
    return Visit(Status.OK, "", seconds=time.monotonic() - started)


def _where(tenant: Tenant) -> str:
    return ":".join(filter(None, libpq.address(tenant.parameters)))


async def _reach(parameters: libpq.Parameters, end: float) -> None:
    """Connect and run a query until `end` on the monotonic clock.

    Raises psycopg.Error, TimeoutError.
    """
    import psycopg

    loop = asyncio.get_running_loop()
    async with asyncio.timeout(end - time.monotonic()):
        connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
    # Cancelling a query would make psycopg ask the server to stop it, and wait for that.
    timer = loop.call_later(end - time.monotonic(), _shut, connection)
    try:
        await connection.execute("SELECT 1")
    except psycopg.OperationalError:
        if time.monotonic() >= end:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        await connection.close()


def _shut(connection: psycopg.AsyncConnection) -> None:
    """End a connection as if the server had done it."""
    with socket.socket(fileno=os.dup(connection.fileno())) as descriptor:
        descriptor.shutdown(socket.SHUT_RDWR)


def evaluate(found: Mapping[str, Visit], total: int, ranges: Ranges) -> Iterator[Reading]:
    """How the tenants were found that could be visited -> readings."""
    failed = {name: visit for name, visit in found.items() if visit.status == Status.CRITICAL}
    text = f"{len(failed)} of {count(total, 'tenant')} not reached: {_named(failed)}"
    text = text if failed else ""
    yield Reading("failed", len(failed), "", text, *ranges["failed"], minimum=0, maximum=total)
    if blind := {name: visit for name, visit in found.items() if visit.status == Status.UNKNOWN}:
        text = f"{len(blind)} of {count(total, 'tenant')} not to be looked at: {_named(blind)}"
        yield state_reading("blind", Status.UNKNOWN, text)
    if len(found) < total:
        text = f"{len(found)} of {count(total, 'tenant')} looked at when the time was up"
        yield state_reading("looked_at", Status.UNKNOWN, text, "raise --timeout or --at-once")
    reached = [(visit.seconds, name) for name, visit in found.items() if not visit.status]
    if reached:
        seconds, name = max(reached)
        text = f"slowest is {name} with {show(seconds, 's')}"
        yield Reading("slowest", seconds, "s", text, *ranges["slowest"], minimum=0)


def _named(visits: Mapping[str, Visit]) -> str:
    """`a, b, c: Connection refused; d: ...`: the names by what is wrong, the most common first."""
    groups: dict[str, list[str]] = {}
    for name in sorted(visits):
        visit = visits[name]
        groups.setdefault(visit.text + (f"; {visit.hint}" if visit.hint else ""), []).append(name)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    said = [f"{few(names)}: {text}" for text, names in ordered[:5]]
    more = sum(len(names) for _, names in ordered[5:])
    return "; ".join(said) + (f"; and {more} more" if more else "")


def _named_tenant(text: str) -> tuple[str, ...]:
    """NAME or NAME=DATABASE -> a row of the list."""
    name, equals, where = text.partition("=")
    if not name or (equals and not where):
        raise click.BadParameter(f"{text!r} is not NAME or NAME=DATABASE")
    if re.search(r"://[^/]*:[^/]*@|password\s*=", where):
        raise click.BadParameter(f"the URL of {name} has a password in it; see PGPASSWORD")
    return (name, where) if equals else (name,)


PROBE = Probe(
    "tenants",
    """Look whether there are tenants, and whether the database of each answers.

    --tenant-sql gives one row for each active tenant: its name, and its database or URL if that
    is not its name. What a URL does not say is as for the database with the list.

    \b
    Examples:
      probe-tenants --tenant-sql "SELECT slug, database_url FROM tenants"
      probe-tenants --tenant acme --tenant globex=postgresql://db2/globex --ping

    With --ping each tenant has its own check, tenant-NAME, by HEALTHCHECKS_PING_KEY (by
    reference, as for hcrun) or HC_CHECK_TENANT_NAME.

    DATABASE_URL says where the list is; what it does not say, libpq's variables do (PGHOST,
    PGSERVICE and all the others), and then its defaults. The password is never a flag: it is in
    PGPASSWORD_FILE (a path), in $CREDENTIALS_DIRECTORY/pgpassword, in PGPASSWORD, in the URL, or
    in ~/.pgpass.
    """,
    check_tenants,
    url=libpq.URL,
    extra="postgres",
    options=[
        option("--tenant-sql", "PROBE_TENANTS_SQL", "The query that lists them.", metavar="SQL"),
        option(
            "--tenant",
            "PROBE_TENANTS_LIST",
            "A tenant, or several in the variable; may be repeated.",
            type=_named_tenant,
            metavar="NAME[=DATABASE]",
            multiple=True,
        ),
        option(
            "--min-tenants",
            "PROBE_TENANTS_MIN",
            "Fewer than this are CRITICAL.",
            type=click.IntRange(min=0),
            default=1,
        ),
        option(
            "--tenant-timeout",
            "PROBE_TENANTS_TIMEOUT",
            "How long one may take.",
            type=duration,
            default="3s",
            metavar="DURATION",
        ),
        option(
            "--at-once",
            "PROBE_TENANTS_AT_ONCE",
            "How many are looked at together.",
            type=click.IntRange(1, 100),
            default=10,
        ),
        option("--ping/--no-ping", "PROBE_TENANTS_PING", "Ping their checks.", default=False),
        option(
            "--create/--no-create",
            "PROBE_TENANTS_CREATE",
            "Make missing checks; let this run on one host only.",
            default=False,
        ),
        *libpq.OPTIONS,
    ],
    thresholds=[
        Threshold("failed", "", "off", "0", "tenants not reached, or per cent of all"),
        Threshold("slowest", "s", "2s", "off", "time that the slowest tenant takes"),
    ],
)


main = PROBE.main
run = PROBE.run

if __name__ == "__main__":
    run()
