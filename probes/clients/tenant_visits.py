"""Visits to the databases of tenants: several at once, each with its own time limit."""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from probes.clients import postgres as libpq
from probes.clients.tenant_checks import Checks
from probes.framework import memory
from probes.framework.probe import Context
from probes.framework.verdict import Status, show

if TYPE_CHECKING:
    import psycopg


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

    async def work() -> None:
        for tenant in waiting:
            if not (visit := await _visit(tenant, patience, end)):
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
    return visits


async def _visit(tenant: Tenant, patience: float, end: float) -> Visit | None:
    """Connect, and have one query answered within `patience`.

    Returns None if `end` on the monotonic clock comes first.
    """
    import psycopg

    if tenant.problem:
        return Visit(Status.UNKNOWN, tenant.problem)
    started = time.monotonic()
    where = ":".join(filter(None, libpq.address(tenant.parameters)))
    try:
        await _reach(tenant.parameters, min(started + patience, end))
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
    return Visit(Status.OK, "", seconds=time.monotonic() - started)


async def _reach(parameters: libpq.Parameters, end: float) -> None:
    """Connect and run a query until `end` on the monotonic clock.

    Raises psycopg.Error, TimeoutError.
    """
    import psycopg

    loop = asyncio.get_running_loop()
    left = end - time.monotonic()
    async with asyncio.timeout(left):
        given = libpq.shared(parameters, left)
        connection = await psycopg.AsyncConnection.connect(**given, autocommit=True)
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


def _shut(connection: "psycopg.AsyncConnection") -> None:
    """End a connection as if the server had done it."""
    with socket.socket(fileno=os.dup(connection.fileno())) as descriptor:
        descriptor.shutdown(socket.SHUT_RDWR)
