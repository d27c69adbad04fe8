"""Visits to the databases of tenants: several at once, each with its own time limit."""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from probes.clients import certificate
from probes.clients import postgres as libpq
from probes.clients.tenant_checks import Checks
from probes.framework import memory
from probes.framework.probe import Context
from probes.framework.verdict import Status, show

if TYPE_CHECKING:
    import psycopg


Ends = dict[str, float | None]  # seconds for which certificates are valid, by host


class Tenant(NamedTuple):
    name: str
    parameters: libpq.Parameters
    problem: str = ""  # why it cannot be checked


class Visit(NamedTuple):
    """The result for a tenant."""

    status: Status
    text: str  # what is wrong
    hint: str = ""
    seconds: float = 0.0  # until it answered


def visit_all(
    tenants: Sequence[Tenant], context: Context, checks: Checks | None
) -> dict[str, Visit]:
    """Visit as many tenants as there is time for, and ping their checks meanwhile."""
    left = context.deadline.left() * (0.75 if checks else 1)
    end = time.monotonic() + left
    patience = min(context.options["tenant_timeout"], left / 2)
    at_once = context.options["at_once"]
    waiting = iter(tenants)  # shared, so that each tenant is visited once
    visits: dict[str, Visit] = {}
    ends: Ends = {}

    async def work() -> None:
        for tenant in waiting:
            if not (visit := await _visit(tenant, patience, end, ends)):
                return  # the time is up
            visits[tenant.name] = visit = visit._replace(text=context.source.quote(visit.text))
            if checks:
                text = visit.text or f"answers in {show(visit.seconds, 's')}"
                checks.ping(tenant.name, visit.status, text)

    async def work_at_once() -> None:
        await asyncio.gather(*(work() for _ in range(at_once)))

    memory.limit(threads=2 * min(at_once, len(tenants)))
    # asyncio.run() would wait for host names that do not resolve.
    with closing(asyncio.new_event_loop()) as loop:
        loop.set_default_executor(ThreadPoolExecutor(at_once))  # psycopg resolves host names in it
        loop.run_until_complete(work_at_once())
    known = {left: host for host, left in ends.items() if left is not None}
    if known:
        left = min(known)
        of = f" of {known[left]}" if len(ends) > 1 else ""
        context.add(*certificate.evaluate(left, context.ranges, of))
    return visits


async def _visit(tenant: Tenant, patience: float, end: float, ends: Ends) -> Visit | None:
    """Connect, and have one query answered within `patience`.

    Returns None if `end` on the monotonic clock comes first.
    """
    import psycopg

    if tenant.problem:
        return Visit(Status.UNKNOWN, tenant.problem)
    where = ":".join(filter(None, libpq.address(tenant.parameters)))
    try:
        seconds = await _reach(tenant.parameters, min(time.monotonic() + patience, end), ends)
    except TimeoutError:
        if time.monotonic() >= end:
            return None  # this tenant had less time than it may take
        return Visit(Status.CRITICAL, f"no answer from {where} within {show(patience, 's')}")
    except psycopg.Error as error:
        refusal = libpq.refused(str(error))
        status = Status.UNKNOWN if refusal.is_unknown else Status.CRITICAL
        return Visit(status, f"{where}: {refusal.text}", refusal.hint)
    except Exception as error:  # a bug with one tenant must not hide the others
        return Visit(Status.UNKNOWN, f"{where}: unexpected {type(error).__name__}: {error}")
    return Visit(Status.OK, "", seconds=seconds)


async def _reach(parameters: libpq.Parameters, end: float, ends: Ends) -> float:
    """Connect and run a query until `end` on the monotonic clock. Returns the seconds it took.

    The first one at a host adds the end of its certificate. Raises psycopg.Error, TimeoutError.
    """
    import psycopg

    loop = asyncio.get_running_loop()
    started = time.monotonic()
    left = end - started
    async with asyncio.timeout(left):
        given = libpq.shared(parameters, left)
        connection = await psycopg.AsyncConnection.connect(**given, autocommit=True)
    # Cancelling a query would make psycopg ask the server to stop it, and wait for that.
    timer = loop.call_later(end - time.monotonic(), _shut, connection)
    try:
        await connection.execute("SELECT 1")
        seconds = time.monotonic() - started
        host = connection.info.host
        if host not in ends:
            ends[host] = None
            left = max(0.1, end - time.monotonic())
            ends[host] = await asyncio.to_thread(certificate.postgres_left, connection, left)
        return seconds
    except psycopg.OperationalError:
        if time.monotonic() >= end:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        await connection.close()


def _shut(connection: "psycopg.AsyncConnection") -> None:
    """End a connection as if the server had done it."""
    with socket.socket(fileno=os.dup(connection.fileno())) as descriptor:
        descriptor.shutdown(socket.SHUT_RDWR)
