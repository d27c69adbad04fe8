"""What late results cost: nothing that grows with the history or with the results that wait."""

from collections.abc import Callable

from hcrun.journal.backlog import pending_results, undelivered
from hcrun.journal.journal import Journal
from hcrun.journal.run import Run
from hcrun.results import PENDING
from tests.support.host import Host

IDENTITY, GONE, ALIVE = 7, "http://127.0.0.1:1", "http://127.0.0.1:2"
# 20,000 copies of the first run, each minute after it.
COPIES = """
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO runs (check_id, run_id, pid, started, ended, duration, result, why, command, user,
    delivery)
SELECT check_id, n, pid, started + n * 60, ended + n * 60, duration, result, why, command, user,
    ? FROM runs, n WHERE id = 1
"""


def steps(journal: Journal, work: Callable[[], object]) -> int:
    """How many times ten steps of SQLite's machine it takes."""
    taken: list[int] = []
    journal._db.set_progress_handler(lambda: taken.append(1), 10)
    work()
    journal._db.set_progress_handler(None, 10)
    return len(taken)


def record(journal: Journal, at: float) -> None:
    run = Run("run", at)
    run.check, run.ended, run.duration, run.result = "job", at + 1, 1.0, "success"
    row = journal.begin(run, 1, IDENTITY, GONE, "")
    journal.finish(row, run)
    journal.release(row)


def beside(journal: Journal) -> None:
    """What each run asks, of another server or of the same check."""
    assert not journal.has_undelivered(ALIVE)
    assert journal.has_others_pending(IDENTITY)


def deliver(journal: Journal) -> None:
    """What one late result costs, without the ping."""
    (check,) = undelivered(journal)
    pending = next(iter(pending_results(journal, check)))
    assert not pending.superseded
    journal.mark(pending.row, PENDING, check.identity)


def test_many_results_that_wait_cost_other_runs_nothing(host: Host) -> None:
    journal = host.journal
    record(journal, 1000.0)
    few = steps(journal, lambda: beside(journal))
    journal.change(COPIES, (PENDING,))
    assert steps(journal, lambda: beside(journal)) <= few + 2


def test_a_late_result_costs_the_same_after_many_runs(host: Host) -> None:
    journal = host.journal
    record(journal, 1000.0)
    few = steps(journal, lambda: deliver(journal))
    journal.change(COPIES, ("sent",))
    journal.change("UPDATE runs SET delivery = 'sent'")
    record(journal, 2e6)
    assert steps(journal, lambda: deliver(journal)) <= few + 5
