"""The journal summed up: counts, durations, the newest of each kind."""

from pathlib import Path

import pytest

from hcrun.journal import queries
from hcrun.journal.queries import LastRun
from tests.support.journals import Past

T = 1_700_000_000.0


def test_run_counts_what_started_in_the_time(tmp_path: Path) -> None:
    past = Past(tmp_path)
    for at in (-1, 0, 5, 9.5, 10):
        past.run("a", T + at)
    past.run("a", T + 1, result="fail")
    past.run("b", T + 2, None, "lost")
    past.run("b", T + 3, 0.0, "skip")
    past.run("b", T + 4, 1.0, "log")
    found = queries.run_counts(past.journal, T, T + 10)
    assert {name: dict(tally.results) for name, tally in found.items()} == {
        "a": {"success": 3, "fail": 1},
        "b": {"lost": 1, "skip": 1, "log": 1},
    }
    assert (found["a"].good, found["a"].bad, found["a"].ratio) == (3, 1, 0.75)
    assert (found["b"].good, found["b"].bad, found["b"].ratio) == (0, 1, 0.0)
    assert queries.RunCounts().ratio is None


def test_one_name_of_two_checks_is_one(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run("a", T)
    past.journal.change("INSERT INTO checks (name, identity) VALUES ('a', 7)")
    past.journal.change(
        "INSERT INTO runs (check_id, run_id, pid, started, ended, duration, result, command, user)"
        " SELECT id, 'x', 1, ?, ?, 9.0, 'fail', 'true', 'app' FROM checks WHERE identity = 7",
        (T - 5, T + 4),
    )
    assert dict(queries.run_counts(past.journal, 0, 2 * T)["a"].results) == {
        "success": 1,
        "fail": 1,
    }
    assert queries.durations(past.journal, 0, 2 * T) == {"a": [1.0, 9.0]}
    assert queries.newest(past.journal, queries.STARTED, T + 60)["a"].result == "success"


def test_durations_are_of_runs_that_took_time(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run("a", T, 3.0)
    past.run("a", T + 1, 1.0, "fail")
    past.run("a", T + 2, 0.0, "skip")
    past.run("a", T + 3, None, "lost")
    past.run("a", T + 60, 2.0)
    assert queries.durations(past.journal, T, T + 60) == {"a": [1.0, 3.0]}


def test_the_newest_run_result_and_failure(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run("a", T + 1, 1.0, "fail", "exit status 3 after 1 s: no room")
    past.run("a", T + 2, 2.0)
    past.run("a", T + 3, 0.0, "skip", "still going")
    going = past.run("b", T)
    past.journal.change(
        "UPDATE runs SET ended = NULL, result = NULL, why = NULL WHERE run_id = ?", (going.run_id,)
    )
    failure = LastRun(T + 1, T + 2, 1.0, "fail", "exit status 3 after 1 s: no room", 1, 1)
    success = LastRun(T + 2, T + 4, 2.0, "success", "exit status 0", 0, 2)
    assert queries.newest(past.journal, queries.DECIDES, T + 60) == {"a": success}
    assert queries.last_failures(past.journal, T + 60) == {"a": failure}
    assert queries.newest(past.journal, queries.STARTED, T + 60) == {
        "a": success,
        "b": LastRun(T, T, 1.0, "", "", 0, 4),
    }


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("", ""),
        ("\n \n", ""),
        ("one\ntwo\n\n", "two"),
        ("REDIS CRITICAL - full | up=0;;;0\n", "REDIS CRITICAL - full"),
        ("DISK CRITICAL - full | /=9GB\nlong | /var=2MB\n/usr=3MB\n", "long"),
        ("sort: a | b\n", "sort: a | b"),
        ("ps aux | grep=1\n", "ps aux | grep=1"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_the_last_line(output: str, line: str) -> None:
    assert queries.last_line(output) == line


def test_of_a_long_output_the_end_is_read(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run("a", T, result="fail", output="first\n" + "line\n" * 10_000 + "last\n")
    run = past.run("b", T, result="fail", output="first\n")
    past.journal.change(
        "UPDATE outputs SET omitted = 9, tail = 'end\n' WHERE id ="
        " (SELECT id FROM runs WHERE run_id = ?)",
        (run.run_id,),
    )
    found = queries.last_failures(past.journal, T + 60)
    assert {name: last.text for name, last in found.items()} == {
        "a": "exit status 1: last",
        "b": "exit status 1: end",
    }


def test_what_is_pending_and_since_when_it_is_known(tmp_path: Path) -> None:
    past = Past(tmp_path)
    assert queries.oldest_start(past.journal) is None
    past.run("a", T, pending=True)
    past.run("a", T - 9, pending=True)
    past.run("b", T + 5)
    assert queries.pending(past.journal) == {"a": 2}
    assert queries.oldest_start(past.journal) == T - 9
    past.journal.change("INSERT INTO checks (name, identity) VALUES ('pruned', 7)")
    assert queries.first_starts(past.journal) == {"a": T - 9, "b": T + 5}
