"""A fleet of 1,000 hosts: shipping their runs to a real PostgreSQL, and asking it.

A thousand hosts are a thousand journals, each with 30 checks. PostgreSQL writes as in production
(fsync), and shares the cores with its clients. `python -m benchmarks.fleet` prints the rows; the
goals are those of docs/fleet.md. `python -m benchmarks.fleet sustained SECONDS` sends 5,000 runs a
second for so long, and prints what they cost at the start and in the end.
"""

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from benchmarks.measure import BARE, BIN, Contender, clean_environment, in_turns, medians
from hcrun.catalog import SHIPPED, load
from hcrun.catalog.schedule import period
from hcrun.excerpt import Excerpt
from hcrun.fleet import ship as shipping
from hcrun.fleet.connection import open_connection
from hcrun.journal import ends
from hcrun.journal.journal import Journal
from hcrun.journal.run import Run
from hcrun.schedulers.invocation import delay
from hcrun.text import checksum
from tests.servers.fleet import ROLES, Fleet
from tests.servers.postgres import PASSWORD, SETTINGS, cluster_of, initialised

HOSTS, CHECKS, RUNS = 1000, 30, 33  # RUNS of each check: about one batch of 1,000
EVERY = 300.0  # seconds
HCCTL = str(BIN / "hcctl")
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    if sys.argv[1:2] == ["sustained"]:
        sustained(float(sys.argv[2]))
        return
    hosts = int(sys.argv[1]) if len(sys.argv) > 1 else HOSTS
    print(f"A fleet of {hosts:,} hosts with {CHECKS} checks each:")
    bare = Contender("bare", BARE, clean_environment("/nowhere"))
    unit = medians(in_turns([bare], 30), "cpu")["bare"]
    print(f"  a bare start of Python here: {1000 * unit:.1f} ms of CPU")
    trigger()
    pings(hosts)
    with tempfile.TemporaryDirectory() as base, fleet_database() as fleet:
        template = Path(base) / "template"
        fill(Journal(str(template)))
        shipped(fleet, Path(base), template, hosts)
        nothing_to_ship(fleet, template)
        asking(fleet, Path(base))


@contextmanager
def fleet_database() -> Iterator[Fleet]:
    settings = SETTINGS | {"fsync": "on", "max_connections": 30, "shared_buffers": "256MB"}
    with initialised() as data, cluster_of(data) as cluster:
        cluster.start(settings)
        for role in ROLES:
            rights = "CREATEROLE" if role == "fleet_owner" else ""
            cluster.ask(f"CREATE ROLE {role} LOGIN {rights} PASSWORD '{PASSWORD}'")
        fleet = Fleet(cluster)
        fleet.init()
        yield fleet


def sustained(seconds: float, rate: int = 5000, hosts: int = 200) -> None:
    """Batches of 990 runs of hosts in turns; their shippers' work is not in the figures."""
    with tempfile.TemporaryDirectory() as base, fleet_database() as fleet:
        journal = Journal(f"{base}/template")
        fill(journal)
        journal.change("DELETE FROM outputs")
        ends.prepare(journal)
        found, _ = ends.after(journal, 0)
        connection = open_connection(fleet.settings("web1"), "benchmark")
        journals = [str(uuid4()) for _ in range(hosts)]
        cursors = [0] * hosts
        for number, own in enumerate(journals):
            values: tuple[Any, ...] = (own, f"host{number}", "app", datetime.now(UTC))
            connection.execute("SELECT hcrun.hello_1(%s, %s, %s, %s)", values)
        sent, started = 0, time.monotonic()
        before = (0, _server_cpu(fleet), started)
        while (now := time.monotonic()) < started + seconds:
            if now - before[2] >= seconds / 6:
                cpu = 1e6 * (_server_cpu(fleet) - before[1]) / (sent - before[0])
                speed = (sent - before[0]) / (now - before[2])
                print(f"  {sent:,} runs: {speed:,.0f} a second, {cpu:.0f} ms of CPU for 1,000")
                before = (sent, _server_cpu(fleet), now)
            number = sent // len(found) % hosts
            for place, each in enumerate(found):
                run = each.run
                run.run_id, run.started = str(uuid4()), time.time() - 60 + place / len(found)
                run.ended = run.started + (run.duration or 0.0)
            batch = json.dumps(shipping._batch(found, {}, []))
            values = (journals[number], cursors[number], cursors[number] + len(found), batch)
            connection.execute("SELECT hcrun.take_1(%s, %s, %s, %s::jsonb)", values)
            cursors[number] += len(found)
            sent += len(found)
            time.sleep(max(0.0, started + sent / rate - time.monotonic()))
        [(rows,)] = fleet.ask("SELECT count(*) FROM hcrun.run")
        [(sums,)] = fleet.ask("SELECT sum(s + f) FROM hcrun.life")
        print(f"  sent {sent:,} runs, found {rows:,}, in the sums {sums:,}")


def fill(journal: Journal) -> None:
    """The runs of 30 checks in the last hours, nine of ten with three readings."""
    now = time.time()
    for number in range(RUNS):
        for check in range(CHECKS):
            run = Run(str(uuid4()), now - (RUNS - number) * EVERY + check)
            run.check, run.command, run.user = f"check-{check:02}", "probe-check", "app"
            row = journal.begin(run, 1, check + 1, "", "")
            run.duration = 0.2 + (number * 7 + check) % 100 / 50
            run.ended, run.why = run.started + run.duration, "exit status 0"
            bad = (number * CHECKS + check) % 97 == 0
            run.result, run.status = ("fail", 1) if bad else ("success", 0)
            if check % 10:
                run.excerpt = Excerpt(
                    f"CHECK OK - well | latency={run.duration}s;0.5;1 usage={40 + number}%;80;90"
                    f" clients={number}\n"
                )
            journal.finish(row, run)
    journal.query("PRAGMA wal_checkpoint(TRUNCATE)")


def shipped(fleet: Fleet, base: Path, template: Path, hosts: int) -> None:
    """Each host ships all its runs, two at a time: with readings, without, and with few runs."""
    bare = base / "bare"
    shutil.copytree(template, bare)
    Journal(str(bare)).change("DELETE FROM outputs")
    few = base / "few"
    shutil.copytree(template, few)
    Journal(str(few)).change("DELETE FROM runs WHERE id > ?", (CHECKS,))
    for source, name, number, warm in (
        (bare, f"{RUNS * CHECKS} runs of a host", hosts // 5, True),
        (template, "the same with 2.7 readings each", hosts, True),
        (few, f"{CHECKS} runs with readings, a connection each", hosts // 5, False),
    ):
        runs, wall, client, server = _ship_all(fleet, source, base, number, warm)
        goals = ("  at least 5,000", "  at most 15") if source == bare else ("", "")
        print(f"  shipping {name}: {runs / wall:,.0f} runs a second{goals[0]}")
        print(f"    CPU of PostgreSQL for 1,000 runs: {1e6 * server / runs:.0f} ms{goals[1]}")
        print(f"    CPU of hcctl ship for 1,000 runs: {1e6 * client / runs:.0f} ms")
    for what, goal in (("run", "  at most 160"), ("reading", ""), ("hour", ""), ("day", "")):
        size = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('hcrun.{}')"
        [(bytes_,)] = fleet.ask(size.format(what))
        [(rows,)] = fleet.ask(f"SELECT count(*) FROM hcrun.{what}")  # noqa: S608 - constants
        print(f"  bytes of a {what}, with its indexes: {bytes_ / rows:.0f}{goal}")


def _ship_all(
    fleet: Fleet, source: Path, base: Path, hosts: int, warm: bool
) -> tuple[int, float, float, float]:
    """Runs, seconds, seconds of CPU of the shippers, and of PostgreSQL."""
    Journal(str(source)).query("PRAGMA wal_checkpoint(TRUNCATE)")
    places = [base / f"{source.name}{number}" for number in range(hosts)]
    for place in places:
        place.mkdir()
        shutil.copy(source / "journal.db", place)
    names = iter([place.name for place in places])
    own = threading.local()

    def connection() -> Any:
        if not warm or not hasattr(own, "connection"):
            own.connection = open_connection(fleet.settings("web1"), "benchmark")
        return own.connection

    def ship(place: Path) -> int:
        server = connection()
        done = shipping.ship(Journal(str(place)), server, dict, time.time())
        if not warm:
            server.close()
        shutil.rmtree(place)
        return done.runs

    def named() -> Any:
        return type("uname", (), {"nodename": next(names)})

    before, started, ours = _server_cpu(fleet), time.perf_counter(), time.process_time()
    with patch("os.uname", named), ThreadPoolExecutor(2) as pool:
        runs = sum(pool.map(ship, places))
    wall, client = time.perf_counter() - started, time.process_time() - ours
    return runs, wall, client, _server_cpu(fleet) - before


def nothing_to_ship(fleet: Fleet, template: Path) -> None:
    env = clean_environment(str(template), HCRUN_FLEET_URL=fleet.url("web1"))
    ours = Contender("ship", [HCCTL, "ship"], env)
    in_turns([ours], 1)
    wall = medians(in_turns([ours], 9), "wall")["ship"]
    print(f"  hcctl ship with nothing to ship: {wall:.2f} s  at most 0.15")


_P95 = """
SELECT check_id, array_agg(b ORDER BY b), array_agg(sum ORDER BY b) FROM (
    SELECT t.check_id, u.b, sum(u.n) FROM hcrun.day t, unnest(t.b, t.n) u (b, n)
    WHERE begin > now() - interval '30 days' GROUP BY 1, 2
) z GROUP BY 1
"""
_ASKED: Mapping[str, tuple[str, str]] = {
    "the last state of all checks": ("SELECT * FROM hcrun.last WHERE kind = 'd'", "at most 0.1"),
    "percentiles of 30 days": (_P95, "at most 8"),
    "healthchecks_metrics": ("SELECT * FROM healthchecks_metrics", "at most 2"),
}


def asking(fleet: Fleet, base: Path) -> None:
    """With a week of sums by hour, and two months of sums by day, of each check."""
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n"):
        fleet.ask(statement)
    with open_connection(fleet.settings("viewer"), "benchmark") as connection:
        for name, (query, goal) in _ASKED.items():
            taken = []
            for _ in range(5):
                started = time.perf_counter()
                connection.execute(query.encode()).fetchall()
                taken.append(time.perf_counter() - started)
            seconds = median(taken)
            print(f"  {name}: {seconds:.2f} s  {goal}".rstrip())
    env = clean_environment(str(base / "x"), HCRUN_FLEET_URL=fleet.url("viewer"))
    for words, goal in (
        ("status --local --fleet", ""),
        ("report week --local --fleet", ""),
        ("history --fleet", ""),
        ("history check-07 --failed --fleet", ""),
    ):
        ours = Contender(words, [HCCTL, *words.split()], env)
        cost = in_turns([ours], 1)
        wall = medians(cost, "wall")[words]
        print(f"  hcctl {words}: {wall:.2f} s  {goal}".rstrip())


def trigger(runs: int = 3000) -> None:
    """What the order of ends costs a run in the journal, without and with its trigger in turns."""
    with tempfile.TemporaryDirectory() as base:
        journals = {name: Journal(f"{base}/{name}") for name in ("without", "with")}
        ends.prepare(journals["with"])
        taken: dict[str, list[float]] = {name: [] for name in journals}
        for _ in range(runs):
            for name, journal in journals.items():
                run = Run(str(uuid4()), time.time())
                run.check, run.command, run.user = "check", "true", "app"
                row = journal.begin(run, 1, 1, "", "")
                run.ended, run.duration, run.result = time.time(), 1.0, "success"
                started = time.perf_counter()
                journal.finish(row, run)
                taken[name].append(time.perf_counter() - started)
        cost = median(taken["with"]) - median(taken["without"])
        print(f"  the trigger in the journal, for each run: {cost * 1e6:.1f} us  at most 5")


def pings(hosts: int, seconds: int = 3600) -> None:
    """What the hosts send to the Healthchecks server in an hour: simulated, not sent.

    Each runs the built-in catalogue; a run is two pings, and takes no time. cron starts jobs at the
    second 0, and --splay of the rendered lines delays them by a time that host and check determine.
    """
    checks = [check for check in load(SHIPPED).checks if check.command]
    for name, splay in (("as cron starts them", False), ("with the --splay of hcctl render", True)):
        counts: Counter[int] = Counter()
        for check in checks:
            every = period(check.schedule)
            if every > seconds:
                continue
            longest = delay(check) if splay else 0
            for host in range(hosts):
                late = int(longest * checksum(f"host{host:04} {check.slug}") / 2**32)
                for at in range(0, seconds, every):
                    counts[at + late] += 2
        total = sum(counts.values())
        peak = max(counts.values())
        print(f"  pings {name}: {total / seconds:,.0f} a second, at most {peak:,} in one")


def _server_cpu(fleet: Fleet) -> float:
    """Seconds of CPU of PostgreSQL and its children, those that have ended too."""
    postmaster = int((fleet.cluster.data / "postmaster.pid").read_text().split()[0])
    total = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if process.name == str(postmaster):
            total += sum(map(int, fields[11:15]))
        elif fields[1] == str(postmaster):
            total += sum(map(int, fields[11:13]))
    return total / _TICKS


if __name__ == "__main__":
    main()
