"""Verdicts: which result is reported for a run, by how it ended and by the options."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcrun.journal.run import Run
from hcrun.results import FAIL, HELD, LOG, LOST, RECOVERS, SKIP, SUCCESS
from hcrun.run.job import Job, Outcome, attempt_result, dampened
from hcrun.run.options import parse
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import last_run, run_hcrun


def job(options: str = "") -> Job:
    return parse([*options.split(), "check", "--", "command"])


def outcome(status: int = 0, **attributes: object) -> Outcome:
    ended = Outcome(1_700_000_000.0)
    ended.status, ended.duration = status, 4.2
    for name, value in attributes.items():
        assert hasattr(ended, name)
        setattr(ended, name, value)
    return ended


MISMATCH = "printed no line matching --expect 'done'"
EXIT_0, EXIT_1, EXIT_3 = (f"exit status {status} after 4.2 s" for status in (0, 1, 3))
UP = "before the check is up"
OOM = "killed by SIGKILL after 4.2 s, out of memory"
KILLED = outcome(137, signal=9, oom=True)
TIMED_OUT = outcome(124, trouble="timed out")


@pytest.mark.parametrize(
    ("options", "ended", "result", "why"),
    [
        ("", outcome(), SUCCESS, EXIT_0),
        ("", outcome(3), FAIL, EXIT_3),
        ("", outcome(255), FAIL, "exit status 255 after 4.2 s"),
        ("", outcome(143, signal=15), FAIL, "killed by SIGTERM after 4.2 s"),
        ("", KILLED, FAIL, OOM),
        ("", outcome(137, oom=True), FAIL, "exit status 137 after 4.2 s, out of memory"),
        ("", outcome(0, oom=True), SUCCESS, EXIT_0),
        ("", outcome(3, attempts=2), FAIL, f"{EXIT_3}, 2 attempts"),
        ("", outcome(0, attempts=3), SUCCESS, f"{EXIT_0}, 3 attempts"),
        # A limit was reached, or the command could not be started.
        ("", TIMED_OUT, FAIL, "timed out after 4.2 s"),
        ("--on-exit 124=success", TIMED_OUT, FAIL, "timed out after 4.2 s"),
        ("--on-exit 127=log", outcome(127, trouble="not found"), FAIL, "not found after 4.2 s"),
        ("", outcome(127, trouble="x: not found", duration=0.0), FAIL, "x: not found"),
        ("--on-exit 1=log", outcome(1), LOG, f"{EXIT_1} (--on-exit 1=log)"),
        ("--on-exit 1=log", outcome(3), FAIL, EXIT_3),
        ("--on-exit 1=log", outcome(0), SUCCESS, EXIT_0),
        ("--on-exit 0=fail", outcome(0), FAIL, f"{EXIT_0} (--on-exit 0=fail)"),
        ("--on-exit 0=log", outcome(0), LOG, f"{EXIT_0} (--on-exit 0=log)"),
        ("--on-exit 1-9=fail", outcome(3), FAIL, EXIT_3),
        ("--on-exit 2-4,9=success", outcome(3), SUCCESS, f"{EXIT_3} (--on-exit 3=success)"),
        ("--on-exit 4-5,3=success", outcome(3), SUCCESS, f"{EXIT_3} (--on-exit 3=success)"),
        ("--on-exit 4-5,9=success", outcome(3), FAIL, EXIT_3),
        ("--on-exit 1-255=success --on-exit 3=fail", outcome(3), FAIL, EXIT_3),
        (
            "--on-exit 143=success",
            outcome(143, signal=15),
            SUCCESS,
            "killed by SIGTERM after 4.2 s (--on-exit 143=success)",
        ),
        (
            "--on-exit 1=success",
            outcome(1, mismatch=MISMATCH),
            FAIL,
            f"{EXIT_1} (--on-exit 1=success), {MISMATCH}",
        ),
        ("", outcome(0, mismatch=MISMATCH), FAIL, f"{EXIT_0}, {MISMATCH}"),
        ("", outcome(3, mismatch=MISMATCH), FAIL, EXIT_3),
        ("--on-exit 1=log", outcome(1, mismatch=MISMATCH), LOG, f"{EXIT_1} (--on-exit 1=log)"),
    ],
)
def test_attempt_result(options: str, ended: Outcome, result: str, why: str) -> None:
    asked = job(options)
    verdict = attempt_result(asked, ended)
    assert (verdict.result, verdict.why) == (result, why)
    hidden = ("out of memory", "no line", "0=fail")
    assert verdict.unseen == (result == FAIL and any(word in why for word in hidden))
    for failures in (None, 7):  # without --fail-after they do not matter
        verdict = dampened(asked, verdict, failures)
        assert (verdict.result, verdict.why) == (result, why)


@pytest.mark.parametrize(
    ("options", "ended", "before", "result", "why"),
    [
        ("3 --recover-after 3", outcome(3), 0, HELD, f"{EXIT_3} (failure 1 of 3 before an alert)"),
        ("3", outcome(3), 1, HELD, f"{EXIT_3} (failure 2 of 3 before an alert)"),
        ("3", outcome(3), 2, FAIL, f"{EXIT_3} (failure 3 in a row)"),
        ("3", outcome(3), 3, FAIL, f"{EXIT_3} (more than 3 failures in a row)"),
        ("3", outcome(3), None, FAIL, EXIT_3),
        ("3", outcome(0), 1, SUCCESS, EXIT_0),
        ("3 --on-exit 3=log", outcome(3), 1, LOG, f"{EXIT_3} (--on-exit 3=log)"),
        ("1", outcome(3), 5, FAIL, EXIT_3),
        ("2", TIMED_OUT, 0, HELD, "timed out after 4.2 s (failure 1 of 2 before an alert)"),
        ("1 --recover-after 3", outcome(0), None, SUCCESS, EXIT_0),
        ("1 --recover-after 3", outcome(0), 0, RECOVERS, f"{EXIT_0} (success 1 of 3 {UP})"),
        ("1 --recover-after 3", outcome(0), 1, RECOVERS, f"{EXIT_0} (success 2 of 3 {UP})"),
        ("1 --recover-after 3", outcome(0), 2, SUCCESS, f"{EXIT_0} (success 3 in a row)"),
        ("1 --recover-after 3", outcome(3), 0, FAIL, EXIT_3),
        ("1 --recover-after 3 --on-exit 3=log", outcome(3), 0, LOG, f"{EXIT_3} (--on-exit 3=log)"),
    ],
)
def test_dampened(options: str, ended: Outcome, before: int | None, result: str, why: str) -> None:
    asked = job(f"--fail-after {options}")
    verdict = dampened(asked, attempt_result(asked, ended), before)
    assert (verdict.result, verdict.why) == (result, why)


@pytest.mark.parametrize(
    ("options", "sends"),
    [
        ("", True),
        ("--no-start", False),
        ("--fail-after 1", True),
        ("--fail-after 2", False),
        ("--recover-after 2", False),
        ("--on-exit 1=success --on-exit 0=fail", True),
        ("--on-exit 1=success --on-exit 2-3=log", False),
        ("--on-exit 1=log --on-exit 1=fail", True),
        ("--retries 3 --min-runtime 1s --timeout 1s --quiet", True),
    ],
)
def test_sends_start(options: str, sends: bool) -> None:
    assert job(options).sends_start is sends


@given(
    st.integers(0, 255),
    st.dictionaries(st.integers(0, 255), st.sampled_from([SUCCESS, FAIL, LOG]), max_size=4),
    st.integers(1, 3),
    st.one_of(st.none(), st.integers(0, 4)),
    st.booleans(),
)
def test_a_log_ping_never_follows_a_start(
    status: int, on_exit: dict[int, str], fail_after: int, before: int | None, limit: bool
) -> None:
    """A start that only `/log` follows turns the check down after its grace time."""
    asked = Job("check", ["command"])
    asked.on_exit, asked.fail_after = on_exit, fail_after
    ended = outcome(status, trouble="limit" if limit else "")
    run = Run("id", 0.0)
    run.result = dampened(asked, attempt_result(asked, ended), before).result
    if run.action == "/log":
        assert not asked.sends_start


@pytest.mark.parametrize(
    ("result", "status", "action"),
    [
        (SUCCESS, 0, ""),
        (SUCCESS, 3, ""),
        (FAIL, 3, "/3"),
        (FAIL, 255, "/255"),
        (FAIL, 0, "/fail"),
        (FAIL, 256, "/fail"),
        (LOG, 1, "/log"),
        (HELD, 1, "/log"),
        (SKIP, 0, "/log"),
        (LOST, 0, "/fail"),
    ],
)
def test_action(result: str, status: int, action: str) -> None:
    run = Run("id", 0.0)
    run.result, run.status = result, status
    assert run.action == action


@pytest.mark.parametrize(
    ("options", "script", "kinds", "status"),
    [
        ("", "exit 3", "start fail", 3),
        ("--on-exit 3=success", "exit 3", "start success", 3),
        ("--on-exit 3=log", "exit 3", "log", 3),
        ("--on-exit 3=log", "exit 0", "success", 0),
        ("--on-exit 0=fail", "exit 0", "start fail", 0),
        ("--min-runtime 1m", "exit 0", "start fail", 0),
        ("--expect done", "echo done", "start success", 0),
        ("--expect done", "echo not yet", "start fail", 0),
        ("--reject rror", "echo Error >&2", "start fail", 0),
        ("--reject rror", "echo fine", "start success", 0),
    ],
)
def test_pings(
    tmp_path: Path, stub: HealthchecksStub, options: str, script: str, kinds: str, status: int
) -> None:
    check = stub.add_check(slug="x")
    argv = [*options.split(), check.uuid, "--", "sh", "-c", script]
    assert run_hcrun(tmp_path, *argv, stub=stub).returncode == status
    assert [ping.kind for ping in check.pings] == kinds.split()


def test_pings_with_fail_after(tmp_path: Path, stub: HealthchecksStub) -> None:
    """A success ends a row of failures; a run that --on-exit logs does not."""
    check = stub.add_check(slug="x")
    for status, result, kind in [
        (1, HELD, "log"),
        (9, LOG, "log"),
        (0, SUCCESS, "success"),
        (1, HELD, "log"),
        (9, LOG, "log"),
        (1, FAIL, "fail"),
        (1, FAIL, "fail"),
        (0, SUCCESS, "success"),
        (1, HELD, "log"),
    ]:
        argv = ["--fail-after", "2", "--on-exit", "9=log", check.uuid]
        done = run_hcrun(tmp_path, *argv, "--", "sh", "-c", f"exit {status}", stub=stub)
        run, ping = last_run(tmp_path), check.pings[-1]
        assert (done.returncode, run.result) == (status, result)
        assert (ping.kind, ping.rid) == (kind, None)
        assert run.why in ping.body.decode().splitlines()[0]
    assert len(check.pings) == 9
