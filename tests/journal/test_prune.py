"""What the journal forgets first, when it is too big; what it forgets by age is in test_journal."""

import time
from pathlib import Path

import pytest

from hcrun.journal.journal import Journal
from hcrun.journal.pruning import prune
from tests.support.journals import Past

pytestmark = pytest.mark.slow

DAY = 86400.0


@pytest.fixture
def big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """80 days of 60 runs each, and no room for any."""
    monkeypatch.setattr("hcrun.journal.pruning._KEPT_BYTES", 0)
    past, now = Past(tmp_path), time.time()
    for number in range(4800):
        past.run("job", now - 80 * DAY + (number + 0.5) * DAY / 60, output="x" * 10)
    return past.journal


def reach(journal: Journal, table: str) -> tuple[int, float]:
    """How many rows, and how many days they reach back."""
    join = "JOIN outputs USING (id)" if table == "outputs" else ""
    ((count, oldest),) = journal.query(f"SELECT count(*), min(started) FROM runs {join}")  # noqa: S608 - constants
    return count, round((time.time() - oldest) / DAY, 1)


def test_outputs_go_first_but_not_all_before_the_first_run(big: Journal) -> None:
    """Trends, and what the last runs printed, are for people who look: not all of it may go."""
    found = []
    for _ in range(8):
        prune(big, time.time())
        found.append((reach(big, "outputs"), reach(big, "runs")))
    assert found == [
        ((3800, 63.3), (4800, 80.0)),
        ((2800, 46.7), (4800, 80.0)),
        ((1800, 30.0), (4800, 80.0)),
        ((1200, 20.0), (4800, 80.0)),
        ((1200, 20.0), (3800, 63.3)),
        ((950, 15.8), (3800, 63.3)),
        ((950, 15.8), (2800, 46.7)),
        ((700, 11.7), (2800, 46.7)),
    ]


def test_runs_of_a_clock_that_was_ahead_do_not_keep_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hcrun.journal.pruning._KEPT_BYTES", 0)
    past, now = Past(tmp_path), time.time()
    for _ in range(1000):
        past.run("job", now + 3650 * DAY)
    newer = past.run("job", now - DAY)
    prune(past.journal, now)
    assert [run.run_id for run, _ in past.journal.runs()] == [newer.run_id]


def test_a_run_that_is_still_going_stays(tmp_path: Path) -> None:
    past, now = Past(tmp_path), time.time()
    past.run("old", now - 100 * DAY)
    past.journal.change("UPDATE runs SET ended = NULL, result = NULL")
    past.run("new", now)
    prune(past.journal, now)
    assert [run.check for run, _ in past.journal.runs()] == ["new", "old"]
