#!/usr/bin/env python3
"""The fleet database: does each host ship its runs, and is its clock right?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import time
from collections.abc import Iterator, Sequence

from hcrun.text import counted, listed
from probes.clients import postgres as libpq
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, show, state_reading

_HOSTS = "SELECT host, silent, ahead FROM hcrun.hosts ORDER BY host"
_KNOWN = "SELECT to_regclass('hcrun.hosts') IS NOT NULL, pg_database_size(current_database())"
_SILENT = "look at hcctl ship there; docs/fleet.md says what to do with a host that is gone"


def check_fleet(context: Context) -> None:
    with libpq.connected(context, "GRANT hcrun_reader to the role") as connection:
        started = time.perf_counter()
        [(is_known, size)] = libpq.select(connection, _KNOWN, context)
        context.answered(time.perf_counter() - started)
        libpq.check_certificate(connection, context)
        if not is_known:
            raise UnknownError("no fleet in this database", hint="run hcctl fleet init")
        hosts = libpq.select(connection, _HOSTS, context)
    context.add(*evaluate(hosts, context.ranges))
    context.add(Reading("size", size, "B", "", *context.ranges["size"], minimum=0))


def evaluate(hosts: Sequence[libpq.Row], ranges: Ranges) -> Iterator[Reading]:
    """The readings of rows: a host, the seconds since it shipped, and those its clock is ahead."""
    if not hosts:
        yield state_reading(
            "hosts", Status.UNKNOWN, "no host has shipped", "run hcctl ship on each"
        )
        return
    yield state_reading("hosts", Status.OK, counted(len(hosts), "host"))
    for label, column, what, hint in (
        ("silent", 1, "silent", _SILENT),
        ("skew", 2, "wrong clock", "start NTP there: its figures are of other hours"),
    ):
        values = {str(row[0]): abs(float(row[column])) for row in hosts}
        far = sorted(values, key=lambda host: -values[host])
        broken = [
            f"{host} {show(values[host], 's')}"
            for host in far
            if Reading(label, values[host], "s", "", *ranges[label]).status is not Status.OK
        ]
        text = f"{what}: {listed(broken, 10)}" if broken else ""
        yield Reading(label, values[far[0]], "s", text, *ranges[label], minimum=0, hint=hint)


URL = libpq.url("PROBE_FLEET_URL")
PROBE = Probe("fleet", table("fleet", types=libpq.TYPES), check_fleet, url=URL, extra="postgres")

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
