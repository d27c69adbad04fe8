"""What the server is told of a run, by how it ended and what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcrun.journal.run import Run
from hcrun.results import FAIL, HELD, LOG, SUCCESS
from hcrun.run.job import Job, Outcome, judge, signal_name
from hcrun.run.options import parse
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import last_run, run_hcrun


def job(options: str = "") -> Job:
    return parse([*options.split(), "check", "--", "command"])


def outcome(status: int = 0, **known: object) -> Outcome:
    ended = Outcome(1_700_000_000.0)
    ended.status, ended.duration = status, 4.2
    for name, value in known.items():
        assert hasattr(ended, name)
        setattr(ended, name, value)
    return ended


UNMET = "printed no line matching --expect 'done'"


@pytest.mark.parametrize(
    ("options", "ended", "result", "why"),
    [
        ("", outcome(), SUCCESS, "exit status 0 after 4.2 s"),
        ("", outcome(3), FAIL, "exit status 3 after 4.2 s"),
        ("", outcome(255), FAIL, "exit status 255 after 4.2 s"),
        ("", outcome(143, signal=15), FAIL, "killed by SIGTERM after 4.2 s"),
        (
            "",
            outcome(137, signal=9, oom=True),
            FAIL,
            "killed by SIGKILL after 4.2 s, out of memory",
        ),
        ("", outcome(137, oom=True), FAIL, "exit status 137 after 4.2 s, out of memory"),
        ("", outcome(0, oom=True), SUCCESS, "exit status 0 after 4.2 s"),
        ("", outcome(3, attempts=2), FAIL, "exit status 3 after 4.2 s, 2 attempts"),
        ("", outcome(0, attempts=3), SUCCESS, "exit status 0 after 4.2 s, 3 attempts"),
        # a limit, a failed start
        ("", outcome(124, trouble="timed out"), FAIL, "timed out after 4.2 s"),
        ("--on-exit 124=success", outcome(124, trouble="timed out"), FAIL, "timed out after 4.2 s"),
        ("--on-exit 127=log", outcome(127, trouble="not found"), FAIL, "not found after 4.2 s"),
        ("", outcome(127, trouble="x: not found", duration=0.0), FAIL, "x: not found"),
        # --on-exit
        ("--on-exit 1=log", outcome(1), LOG, "exit status 1 after 4.2 s (--on-exit 1=log)"),
        ("--on-exit 1=log", outcome(2), FAIL, "exit status 2 after 4.2 s"),
        ("--on-exit 1=log", outcome(0), SUCCESS, "exit status 0 after 4.2 s"),
        ("--on-exit 0=fail", outcome(0), FAIL, "exit status 0 after 4.2 s (--on-exit 0=fail)"),
        ("--on-exit 0=log", outcome(0), LOG, "exit status 0 after 4.2 s (--on-exit 0=log)"),
        ("--on-exit 1-9=fail", outcome(3), FAIL, "exit status 3 after 4.2 s"),
        (
            "--on-exit 143=success",
            outcome(143, signal=15),
            SUCCESS,
            "killed by SIGTERM after 4.2 s (--on-exit 143=success)",
        ),
        # --min-runtime
        ("--min-runtime 4s", outcome(0), SUCCESS, "exit status 0 after 4.2 s"),
        ("--min-runtime 4200ms", outcome(0), SUCCESS, "exit status 0 after 4.2 s"),
        (
            "--min-runtime 1m",
            outcome(0),
            FAIL,
            "exit status 0 after 4.2 s, quicker than --min-runtime 1 min",
        ),
        ("--min-runtime 1m", outcome(3), FAIL, "exit status 3 after 4.2 s"),
        (
            "--min-runtime 1m --on-exit 1=log",
            outcome(1),
            LOG,
            "exit status 1 after 4.2 s (--on-exit 1=log)",
        ),
        (
            "--min-runtime 1m --on-exit 1=success",
            outcome(1),
            FAIL,
            "exit status 1 after 4.2 s (--on-exit 1=success), quicker than --min-runtime 1 min",
        ),
        # --expect, --reject
        ("", outcome(0, unmet=UNMET), FAIL, f"exit status 0 after 4.2 s, {UNMET}"),
        ("", outcome(3, unmet=UNMET), FAIL, "exit status 3 after 4.2 s"),
        (
            "--on-exit 1=log",
            outcome(1, unmet=UNMET),
            LOG,
            "exit status 1 after 4.2 s (--on-exit 1=log)",
        ),
        (
            "--min-runtime 1m",
            outcome(0, unmet=UNMET),
            FAIL,
            f"exit status 0 after 4.2 s, {UNMET}",
        ),
    ],
)
def test_alone(options: str, ended: Outcome, result: str, why: str) -> None:
    verdict = judge(job(options), ended, failures_before=None)
    assert (verdict.result, verdict.why) == (result, why)
    verdict = judge(job(options), ended, failures_before=7)
    assert (verdict.result, verdict.why) == (result, why)


@pytest.mark.parametrize(
    ("options", "status", "before", "result", "why"),
    [
        ("--fail-after 3", 2, 0, HELD, " (failure 1 of 3 before an alert)"),
        ("--fail-after 3", 2, 1, HELD, " (failure 2 of 3 before an alert)"),
        ("--fail-after 3", 2, 2, FAIL, " (failure 3 in a row)"),
        ("--fail-after 3", 2, 3, FAIL, " (more than 3 failures in a row)"),
        ("--fail-after 3", 2, None, FAIL, ""),
        ("--fail-after 3", 0, 1, SUCCESS, ""),
        ("--fail-after 3 --on-exit 2=log", 2, 1, LOG, " (--on-exit 2=log)"),
        ("--fail-after 1", 2, 5, FAIL, ""),
    ],
)
def test_in_a_row(options: str, status: int, before: int | None, result: str, why: str) -> None:
    verdict = judge(job(options), outcome(status), before)
    assert (verdict.result, verdict.why) == (result, f"exit status {status} after 4.2 s{why}")


def test_trouble_is_held_back_as_well() -> None:
    verdict = judge(job("--fail-after 2"), outcome(124, trouble="timed out"), 0)
    assert verdict.result == HELD
    assert verdict.why == "timed out after 4.2 s (failure 1 of 2 before an alert)"


@pytest.mark.parametrize(
    ("options", "sends"),
    [
        ("", True),
        ("--no-start", False),
        ("--fail-after 1", True),
        ("--fail-after 2", False),
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
def test_what_goes_to_the_log_had_no_start(
    status: int, on_exit: dict[int, str], fail_after: int, before: int | None, limit: bool
) -> None:
    """A start that only `/log` follows turns a check down after its grace."""
    asked = Job("check", ["command"])
    asked.on_exit, asked.fail_after = on_exit, fail_after
    run = Run("id", 0.0)
    run.result = judge(asked, outcome(status, trouble="limit" if limit else ""), before).result
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
        ("skip", 0, "/log"),
        ("lost", 0, "/fail"),
    ],
)
def test_action(result: str, status: int, action: str) -> None:
    run = Run("id", 0.0)
    run.result, run.status = result, status
    assert run.action == action


@pytest.mark.parametrize(
    ("number", "name"), [(9, "SIGKILL"), (15, "SIGTERM"), (34, "SIGRTMIN"), (40, "signal 40")]
)
def test_signal_name(number: int, name: str) -> None:
    assert signal_name(number) == name


class TestRun:
    """Through the real command: what arrives at the server."""

    @pytest.mark.parametrize(
        ("options", "script", "kinds", "status"),
        [
            ("", "exit 3", ["start", "fail"], 3),
            ("--on-exit 3=success", "exit 3", ["start", "success"], 3),
            ("--on-exit 3=log", "exit 3", ["log"], 3),
            ("--on-exit 3=log", "exit 0", ["success"], 0),
            ("--on-exit 0=fail", "exit 0", ["start", "fail"], 0),
            ("--min-runtime 1m", "exit 0", ["start", "fail"], 0),
            ("--expect done", "echo done", ["start", "success"], 0),
            ("--expect done", "echo not yet", ["start", "fail"], 0),
            ("--reject rror", "echo Error >&2", ["start", "fail"], 0),
            ("--reject rror", "echo fine", ["start", "success"], 0),
            ("--expect ^red$", "printf '\\033[31mred\\033[0m'", ["start", "success"], 0),
        ],
    )
    def test_pings(
        self,
        tmp_path: Path,
        stub: HealthchecksStub,
        options: str,
        script: str,
        kinds: list[str],
        status: int,
    ) -> None:
        check = stub.add_check(slug="x")
        argv = [*options.split(), check.uuid, "--", "sh", "-c", script]
        assert run_hcrun(tmp_path, *argv, stub=stub).returncode == status
        assert [ping.kind for ping in check.pings] == kinds

    def test_fail_after(self, tmp_path: Path, stub: HealthchecksStub) -> None:
        """Failures in a row; a success begins anew, what --on-exit logs does not count."""
        check = stub.add_check(slug="x")
        expected = [
            (1, "log", "(failure 1 of 2 before an alert)"),
            (9, "log", "(--on-exit 9=log)"),
            (0, "success", "s"),
            (1, "log", "(failure 1 of 2 before an alert)"),
            (9, "log", "(--on-exit 9=log)"),
            (1, "fail", "(failure 2 in a row)"),
            (1, "fail", "(more than 2 failures in a row)"),
            (0, "success", "s"),
            (1, "log", "(failure 1 of 2 before an alert)"),
        ]
        for count, (status, kind, words) in enumerate(expected):
            argv = ["--fail-after", "2", "--on-exit", "9=log", check.uuid]
            done = run_hcrun(tmp_path, *argv, "--", "sh", "-c", f"exit {status}", stub=stub)
            assert done.returncode == status
            ping = check.pings[count]
            assert (ping.kind, ping.rid) == (kind, None)
            assert last_run(tmp_path).why.endswith(words)
            assert ping.body.decode().endswith(words)
