#!/usr/bin/env python3
"""Databases of tenants: are there any, and does each of them answer?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping

import click

from hcrun.errors import SettingsError
from hcrun.ping.target import is_uuid
from hcrun.text import counted, listed
from probes.clients import postgres as libpq
from probes.clients.tenant_checks import Checks
from probes.clients.tenant_visits import Tenant, Visit, visit_all
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Range, Reading, Status, show, state_reading


def check_tenants(context: Context) -> None:
    tenants = _tenants(context)
    total, minimum = len(tenants), context.options["min_tenants"]
    context.add(
        Reading("tenants", total, "", counted(total, "tenant"), None, Range(low=minimum), minimum=0)
    )
    names = [tenant.name for tenant in tenants]
    for name, times in Counter(names).items():
        if times > 1:
            raise UnknownError(f"the list has {name} {times} times", hint="use unique names")
    if context.options["create"] and not context.options["like"]:
        hint = "give --like CHECK, a check with the period and the channels for new ones"
        raise UnknownError("--create needs --like", hint=hint)
    checks = Checks(context, names) if context.options["ping"] else None
    visits = visit_all(tenants, context, checks)
    context.add(*evaluate(visits, total, context.ranges))
    if context.options["per_tenant"]:
        context.add(*each(visits))
    if checks:
        context.add(*checks.results())


def _tenants(context: Context) -> list[Tenant]:
    import psycopg  # noqa: F401 - if it is missing, say so first

    rows: list[libpq.Row] = list(context.options["tenant"])
    common = libpq.parameters(context)
    context.at(*libpq.address(common))
    if query := context.options["tenant_sql"]:
        with libpq.connected(context) as connection:
            rows += libpq.select(connection, query, context)
    elif not rows:
        raise UnknownError("no list of tenants", hint="give one with --tenant-sql or --tenant")
    tenants = [as_tenant(row, common) for row in rows]
    passwords = {str(tenant.parameters.get("password") or "") for tenant in tenants}
    context.source.secrets |= passwords - {""}
    return tenants


def as_tenant(row: libpq.Row, common: libpq.Parameters) -> Tenant:
    """The tenant in a row: a name, and a database or URL if it differs. Raises UnknownError."""
    if len(row) not in (1, 2):
        raise UnknownError(
            f"the list of tenants has {counted(len(row), 'column')}",
            hint="select a name, and a database or URL if it differs",
        )
    if row[0] in (None, ""):
        raise UnknownError("a tenant in the list has no name", hint="fix the query")
    name, where = str(row[0]), str(row[-1])
    if row[-1] in (None, ""):
        return Tenant(name, {}, "no database or URL in the list")
    parts = {"dbname": where}
    if len(row) == 2 and ("://" in where or "=" in where):  # the rule of libpq
        try:
            parts = libpq.split_url(where)
        except SettingsError as error:
            return Tenant(name, {}, f"its URL {error.what}")
        except ValueError:
            return Tenant(name, {}, "invalid URL in the list")
    if not parts.keys().isdisjoint({"host", "hostaddr", "service"}):
        # Do not mix the address with the one of another server.
        address = ("host", "hostaddr", "port", "service")
        common = {name: value for name, value in common.items() if name not in address}
    return Tenant(name, {**common, **parts})


def evaluate(visits: Mapping[str, Visit], total: int, ranges: Ranges) -> Iterator[Reading]:
    """Returns readings on the tenants that were visited, of a `total` of tenants."""
    of_all = f"of {counted(total, 'tenant')}"
    failed = {name: visit for name, visit in visits.items() if visit.status == Status.CRITICAL}
    text = f"{len(failed)} {of_all} not reached: {_grouped(failed)}" if failed else ""
    yield Reading("failed", len(failed), "", text, *ranges["failed"], minimum=0, maximum=total)
    if unknown := {name: visit for name, visit in visits.items() if visit.status == Status.UNKNOWN}:
        text = f"{len(unknown)} {of_all} cannot be checked: {_grouped(unknown)}"
        yield state_reading("blind", Status.UNKNOWN, text)
    if len(visits) < total:
        text = f"{len(visits)} {of_all} checked in time"
        yield state_reading("looked_at", Status.UNKNOWN, text, "raise --timeout or --at-once")
    reached = [(visit.seconds, name) for name, visit in visits.items() if not visit.status]
    if reached:
        seconds, name = max(reached)
        text = f"slowest is {name} with {show(seconds, 's')}"
        yield Reading("slowest", seconds, "s", text, *ranges["slowest"], minimum=0)


def each(visits: Mapping[str, Visit]) -> Iterator[Reading]:
    """Returns readings for graphs: whether each tenant answers, and in what time."""
    for name, visit in sorted(visits.items()):
        if visit.status == Status.UNKNOWN:
            continue
        yield Reading(f"tenant_up/{name}", int(visit.status == Status.OK), minimum=0, maximum=1)
        if not visit.status:
            yield Reading(f"tenant_time/{name}", visit.seconds, "s", minimum=0)


def _grouped(visits: Mapping[str, Visit]) -> str:
    """`a, b, c: Connection refused; d: ...`: names grouped by problem, the most common first."""
    groups: dict[str, list[str]] = {}
    for name in sorted(visits):
        visit = visits[name]
        groups.setdefault(visit.text + (f"; {visit.hint}" if visit.hint else ""), []).append(name)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    parts = [f"{listed(names, 10)}: {text}" for text, names in ordered[:5]]
    if more := sum(len(names) for _, names in ordered[5:]):
        parts.append(f"and {more} more")
    return "; ".join(parts)


def _named_tenant(text: str) -> tuple[str, ...]:
    """The row of the list for NAME or NAME=DATABASE."""
    name, equals, where = text.partition("=")
    if not name or (equals and not where):
        raise click.BadParameter(f"{text!r} is not NAME or NAME=DATABASE")
    if re.search(r"://[^/]*:[^/]*@|password\s*=", where):
        raise click.BadParameter(f"the URL of {name} contains a password; use PGPASSWORD")
    return (name, where) if equals else (name,)


def _model(_context: click.Context, _option: click.Parameter, text: str | None) -> str:
    """A check for --like. HCRUN_CHECK may be a UUID or a ping URL, which are secrets."""
    run = os.environ.get("HCRUN_CHECK", "").lower()
    is_name = re.fullmatch(r"[a-z0-9_-]+", run) and not is_uuid(run)
    return text or (run if is_name else "")


TABLE = table(
    "tenants", types={**libpq.TYPES, "--tenant": _named_tenant}, callbacks={"--like": _model}
)
PROBE = Probe("tenants", TABLE, check_tenants, url=libpq.URL, extra="postgres")

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
