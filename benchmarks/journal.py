"""A journal of 1,000,000 runs: 200 checks over 90 days, most of them probes with perfdata.

Measures the commands that read it, and compares recording a run with recording it in an empty
journal. Then smaller journals: the delivery of results after many runs, and runs beside many
results that cannot be delivered. `python -m benchmarks.journal DIRECTORY` keeps the journal there
and uses it again.
"""

import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from uuid import uuid4

from benchmarks.measure import BARE, BIN, HCRUN, Contender, clean_environment, in_turns, medians
from hcrun.excerpt import Excerpt
from hcrun.journal.backlog import Undelivered, pending_results, undelivered
from hcrun.journal.journal import Journal
from hcrun.journal.pruning import prune
from hcrun.journal.run import Run
from hcrun.results import SENT
from tests.stub.healthchecks import HealthchecksStub

RUNS, CHECKS, DAYS = 1_000_000, 200, 90
HCCTL = str(BIN / "hcctl")

# One run in a hundred fails; nine checks in ten are probes, and their usage grows.
_FILL = f"""
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {RUNS - 1}),
runs_of AS (
    SELECT n, 1 + n % {CHECKS} AS check_id,
        :now - {DAYS * 86400} + n * ({DAYS * 86400.0} / {RUNS}) AS started,
        0.2 + n % {CHECKS} * 0.1 + abs(random() % 1000) / 5000.0 AS duration,
        CASE WHEN random() % 100 = 0 THEN 1 ELSE 0 END AS status FROM numbers)
INSERT INTO runs (id, check_id, run_id, pid, started, ended, duration, status, cpu_user,
    cpu_system, memory, result, why, command, user, delivery)
SELECT n + 1, check_id, lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4'
    || substr(hex(randomblob(2)), 2) || '-a' || substr(hex(randomblob(2)), 2) || '-'
    || hex(randomblob(6))), 1000 + n % 30000, started, started + duration, duration, status,
    0.08, 0.02, 25000000, iif(status, 'fail', 'success'),
    'exit status ' || status || ' after ' || round(duration, 2) || ' s',
    'probe-check --host service' || check_id || '.example.com', 'app', 'sent' FROM runs_of;
INSERT INTO outputs SELECT id, 'CHECK OK - service' || check_id || '.example.com:6379 answers in '
    || round(duration, 3) || ' s, 12 clients | latency=' || round(duration, 4) || 's;0.5;1;0 usage='
    || round(40 + id * 40.0 / {RUNS}, 2) || '%;80;90;0;100 clients=12;800;900;0;1000' || char(10),
    0, '' FROM runs WHERE check_id % 10;
"""  # noqa: S608 - constants


def make(directory: str) -> None:
    """Create the journal that 90 days of runs leave."""
    Journal(directory)
    database = sqlite3.connect(os.path.join(directory, "journal.db"), isolation_level=None)
    database.execute("PRAGMA synchronous=OFF")
    database.executemany(
        "INSERT INTO checks (id, name, identity) VALUES (?, ?, ?)",
        [(number, f"service-{number:03}", number) for number in range(1, CHECKS + 1)],
    )
    for statement in _FILL.strip().split(";\n"):
        database.execute(statement, {"now": time.time()} if ":now" in statement else {})
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def main() -> None:
    if len(sys.argv) > 1:
        measure(sys.argv[1])
        return
    with tempfile.TemporaryDirectory() as directory:
        measure(directory)


def measure(directory: str) -> None:
    path = Path(directory) / "journal.db"
    if not path.exists():
        make(directory)
    print(f"A journal of {RUNS:,} runs of {CHECKS} checks: {path.stat().st_size / 1e6:.0f} MB")
    looking(directory)
    with tempfile.TemporaryDirectory() as empty:
        recording(directory, empty)
    pruning(directory)
    delivering()
    beside_a_backlog()


# A report needs schedules for states, and objectives for error budgets.
_CHECK = """
[checks.service-{number:03}]
{when}
grace = "10m"
command = "probe-check"
slo = {{ {kind} = 99 }}
"""


def catalog(path: Path) -> None:
    """Write a catalogue of all checks, which run every 26 minutes."""
    path.write_text(
        "".join(
            _CHECK.format(
                number=number,
                when='every = "26m"' if number % 3 else 'cron = "*/30 * * * *"',
                kind="availability" if number % 2 else "success",
            )
            for number in range(1, CHECKS + 1)
        )
    )


def looking(directory: str) -> None:
    """Measure commands that read the journal."""
    known = Path(directory) / "checks.toml"
    catalog(known)
    for words, goal in (
        ("status --local", "under 0.5 s"),
        ("report week", "under 3 s"),
        ("report week --format html", "under 3 s"),
        ("metrics", ""),
    ):
        env = clean_environment(directory)
        argv = [HCCTL, *words.split(), "--catalog", str(known)]
        costs = in_turns([Contender(words, argv, env)], 5)
        wall, cpu = (medians(costs, what)[words] for what in ("wall", "cpu"))
        print(f"  hcctl {words:26}{wall:6.2f} s, {cpu:.2f} s of CPU  {goal}".rstrip())


def recording(directory: str, empty: str, rounds: int = 200) -> None:
    """Measure one more run in both journals: the recording alone, and a whole hcrun."""
    full, new = Journal(directory), Journal(empty)
    taken: dict[str, list[float]] = {"full": [], "empty": []}
    for number in range(rounds):
        for name, journal in (("full", full), ("empty", new)):
            check = f"service-{1 + number % CHECKS:03}"
            taken[name].append(_timed(lambda j=journal, c=check: _record(j, c)))  # type: ignore[misc]
    ours, theirs = median(taken["full"]), median(taken["empty"])
    print(
        f"  recording one more run  {ours * 1e6:6.0f} us, {ours / theirs:.2f} of an empty journal"
    )
    argv = [HCRUN, "service-001", "--", "true"]
    off = {"HEALTHCHECKS_ENABLED": "false"}
    contenders = [
        Contender("full", argv, clean_environment(directory, **off)),
        Contender("empty", argv, clean_environment(empty, **off)),
        Contender("unit", BARE, clean_environment(empty)),
    ]
    cpu = medians(in_turns(contenders, 40), "cpu")
    print(
        f"  hcrun service-001 -- true: {cpu['full'] / cpu['unit']:.2f} interpreter starts of CPU,"
        f" {cpu['full'] / cpu['empty']:.2f} of an empty journal"
    )


def pruning(directory: str) -> None:
    """Measure the deletion of 1,000 old runs, which hcrun does from time to time."""
    journal = Journal(directory)
    later = time.time() + 30 * 86400.0
    taken = [_timed(lambda: prune(journal, later)) for _ in range(10)]
    print(f"  pruning 1,000 old runs  {median(taken) * 1000:6.1f} ms")


# Runs of one check, one each minute until now; the last ones are not delivered.
_MORE = """
WITH RECURSIVE numbers (n) AS (
    SELECT :sent + :pending UNION ALL SELECT n - 1 FROM numbers WHERE n > 1)
INSERT INTO runs (check_id, run_id, pid, started, ended, duration, result, why, command, user,
    delivery)
SELECT check_id, n, pid, started - n * 60, ended - n * 60, duration, result, why, command, user,
    iif(n > :pending, 'sent', 'pending') FROM numbers, runs WHERE id = 1
"""


def _backlog(directory: str, sent: int, pending: int) -> Journal:
    journal = Journal(directory)
    _record(journal, "job-001", "http://127.0.0.1:1")
    journal.release(1)
    with journal:
        journal._db.execute(_MORE, {"sent": sent, "pending": pending - 1})
        journal._db.execute("UPDATE totals SET newest = (SELECT max(id) FROM runs)")
    return journal


def delivering(results: int = 200) -> None:
    """Measure what a late result costs in the journal, after few runs and after many."""
    for sent in (200, 130_000):
        with tempfile.TemporaryDirectory() as directory:
            journal = _backlog(directory, sent, results)
            (check,) = undelivered(journal)

            def deliver(journal: Journal = journal, check: Undelivered = check) -> None:
                for pending in pending_results(journal, check):
                    journal.mark(pending.row, SENT, check.identity)

            taken = _timed(deliver) / results
            print(f"  delivering a result after {sent:7,} runs  {taken * 1e6:6.0f} us")


def beside_a_backlog(results: int = 100_000) -> None:
    """Measure a run beside many results for a server that is gone, and beside none."""
    with HealthchecksStub() as stub, tempfile.TemporaryDirectory() as place:
        url = f"{stub.ping_url}/{stub.add_check().uuid}"
        _backlog(f"{place}/backlog", 0, results)
        contenders = [
            Contender(name, [HCRUN, url, "--", "true"], clean_environment(f"{place}/{name}"))
            for name in ("backlog", "none")
        ]
        cpu = medians(in_turns(contenders, 60), "cpu")
    print(
        f"  hcrun beside {results:,} results for a server that is gone:"
        f" {cpu['backlog'] / cpu['none']:.2f} of a run beside none"
    )


def _record(journal: Journal, check: str, server: str = "") -> None:
    run = Run(str(uuid4()), time.time())
    run.check, run.command, run.user = check, "probe-check", "app"
    row = journal.begin(run, os.getpid(), int(check[-3:]), server, "")
    run.ended, run.duration, run.result, run.why = time.time(), 0.5, "success", "exit status 0"
    run.excerpt = Excerpt("CHECK OK - well | latency=0.5s\n")
    journal.finish(row, run)


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
