"""--needs: a failure while a check that this one needs is failing."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence

import pytest

from hcrun.catalog import blame
from tests.stub.healthchecks import Check
from tests.support.command import HCRUN, environment, last_run, runs
from tests.support.host import Host
from tests.support.journals import Past

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="mounts its own /etc"
)
# `state` has the exit status of the command of redis.
CATALOGUE = """
[checks.redis]
every = "30s"
timeout = "1s"
command = ["sh", "-c", "echo said; exit $(cat state)"]
options = "--on-exit 1=success"
[checks.api]
every = "1m"
command = "true"
needs = ["redis"]
[checks.app]
every = "1m"
settle = "1m"
needs = ["redis"]
[checks.other]
every = "1m"
"""
Past_ = Sequence[tuple[str, float]]  # results and how many seconds ago, oldest first


class Needy(Host):
    """A host whose /etc/hcrun/checks.toml is CATALOGUE, with the check `job`."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.path, host.stub)
        self.check = host.stub.add_check("job")
        self.catalogue = host.path / "etc/hcrun/checks.toml"
        self.catalogue.parent.mkdir(parents=True)
        self.catalogue.write_text(CATALOGUE)
        self.state(0)

    def state(self, status: int | str) -> None:
        (self.path / "state").mkdir(exist_ok=True)
        (self.path / "state/state").write_text(str(status))

    def past(self, check: str, results: Past_) -> None:
        past = Past(self.path)
        for result, ago in results:
            past.run(check, time.time() - ago - 0.1, 0.1, result)

    def fail(self, options: str = "--needs redis", name: str = "job", **env: str) -> str:
        """Run a command that fails; returns what hcrun says."""
        environ = environment(self.path, self.stub) | env
        environ["HEALTHCHECKS_PING_KEY"] = self.stub.ping_key
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", f"mount --bind {self.path}/etc /etc && exec $0 $*"]
            + [HCRUN, *options.split(), name, "--", "false"],
            env=environ,
            cwd=self.path / "state",
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr


@pytest.fixture
def needy(host: Host) -> Needy:
    return Needy(host)


def reported(needy: Needy) -> tuple[str, str]:
    """The result in the journal and the ping of the last run, which has no start ping."""
    assert [ping.kind for ping in needy.check.pings] == [needy.check.pings[0].kind]
    return last_run(needy.path).result, needy.check.pings[-1].kind


BLOCKED, FAIL = ("blocked", "log"), ("fail", "fail")
HISTORIES: list[tuple[Past_, tuple[str, str]]] = [
    ([], FAIL),
    ([("success", 10)], FAIL),
    ([("fail", 20), ("success", 10)], BLOCKED),  # when the run began, or just before
    ([("held", 20), ("success", 10)], BLOCKED),
    ([("held", 20)], BLOCKED),
    ([("fail", 50)], BLOCKED),  # its newest result
    ([("held", 50)], FAIL),
    ([("fail", 50), ("success", 40)], FAIL),
    ([("fail", 65)], FAIL),  # it has run no more since: its command is asked
    ([("lost", 20)], FAIL),  # hcrun was killed: this says nothing about redis
    ([("log", 20)], FAIL),
    ([("skip", 20)], FAIL),
]


@pytest.mark.parametrize(("history", "expected"), HISTORIES)
def test_what_the_journal_knows_of_the_need(history: Past_, expected: tuple[str, str]) -> None:
    now = time.time()
    newest_first = [(result, now - ago - 0.1, now - ago) for result, ago in history[::-1]]
    results = blame.evidence(newest_first, [], 30)
    assert bool(blame.recorded(results, now - 1.0, now, 30)) == (expected == BLOCKED)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, FAIL),
        (1, FAIL),  # --on-exit 1=success
        (2, BLOCKED),
        (3, FAIL),  # a probe that could not look
        (127, FAIL),
        ("$(kill -9 $$)", BLOCKED),
        ("$(sleep 20)", BLOCKED),  # longer than its time-out
    ],
)
def test_the_command_of_the_need_is_asked(
    status: int | str, expected: tuple[str, str], needy: Needy
) -> None:
    needy.catalogue.write_text(CATALOGUE.replace("$(cat state)", str(status)))
    redis = needy.stub.add_check("redis")
    assert needy.fail() == ""
    assert reported(needy) == expected
    assert redis.pings == []
    assert {run.check for run in runs(needy.path)} == {"job"}


def test_the_text_of_a_blocked_run(needy: Needy) -> None:
    needy.state(2)
    needy.fail()
    why = last_run(needy.path).why
    assert why.startswith("blocked by redis, which fails now (exit status 2 after ")
    assert "): exit status 1 after " in why
    assert needy.check.pings[-1].body.decode().startswith(f"FAILED, BLOCKED: {why}")


@pytest.mark.parametrize(
    ("command", "expected"),
    [('"/no/such/probe"', FAIL), ('["sh", "-c", "read line; exit 2"]', BLOCKED)],
)
def test_a_command_that_cannot_start_or_reads(
    command: str, expected: tuple[str, str], needy: Needy
) -> None:
    text = CATALOGUE.replace('["sh", "-c", "echo said; exit $(cat state)"]', command)
    needy.catalogue.write_text(text)
    assert needy.fail() == ""
    assert reported(needy) == expected


@pytest.mark.parametrize(
    ("well_since", "expected"), [(50, ("blocked", "log")), (70, ("fail", "fail"))]
)
def test_what_reconnects_slowly(well_since: float, expected: tuple[str, str], needy: Needy) -> None:
    needy.check.slug = "app"
    needy.past("redis", [("fail", 100), ("success", well_since), ("success", 10)])
    needy.fail(name="app")
    assert reported(needy) == expected


@pytest.mark.parametrize(
    ("own", "redis", "expected"),
    [
        (["success", "blocked"], [("held", 20)], BLOCKED),
        (["blocked", "blocked"], [("held", 80), ("success", 50), ("held", 20)], FAIL),
        (["blocked", "blocked"], [("held", 80), ("fail", 50), ("held", 20)], BLOCKED),
    ],
)
def test_a_need_that_flaps_blocks_two_runs_in_a_row(
    own: list[str], redis: Past_, expected: tuple[str, str], needy: Needy
) -> None:
    """Its failures are held, so nobody is told about it."""
    needy.past("job", [(result, 60.0 * ago) for result, ago in zip(own, (2, 1), strict=False)])
    needy.past("redis", redis)
    needy.fail()
    assert reported(needy) == expected


def test_needs_of_needs_and_several(needy: Needy) -> None:
    needy.past("redis", [("held", 20)])
    needy.past("api", [("blocked", 20)])
    needy.fail("--needs other,api")
    assert reported(needy) == BLOCKED
    assert last_run(needy.path).why.startswith("blocked by redis, which failed 2")


def test_fail_after_holds_it_first(needy: Needy) -> None:
    """A blocked run is a failure: the first that is not blocked alerts."""
    needy.state(2)
    for expected in ("held", "blocked"):
        needy.fail("--needs redis --fail-after 2")
        assert last_run(needy.path).result == expected
    needy.state(0)
    needy.fail("--needs redis --fail-after 2")
    assert last_run(needy.path).result == "fail"
    assert [ping.kind for ping in needy.check.pings] == ["log", "log", "fail"]


def change(needy: Needy, text: str | None) -> None:
    needy.catalogue.unlink()
    if text is not None:
        needy.catalogue.write_text(text)


@pytest.mark.parametrize(
    ("text", "options", "problem"),
    [
        (None, "--needs redis", "/etc/hcrun/checks.toml: No such file or directory; create it"),
        ("[", "--needs redis", "/etc/hcrun/checks.toml:1: "),
        (CATALOGUE, "--needs db", "/etc/hcrun/checks.toml: there is no check db; add it"),
    ],
)
def test_without_a_catalogue_the_failure_is_reported(
    text: str | None, options: str, problem: str, needy: Needy
) -> None:
    needy.past("redis", [("fail", 10)])
    change(needy, text)
    assert f"--needs has no effect: {problem}" in needy.fail(options)
    assert reported(needy) == FAIL


def test_a_catalogue_that_others_can_change_is_not_obeyed(needy: Needy) -> None:
    needy.catalogue.chmod(0o666)
    assert "--needs has no effect: /etc/hcrun/checks.toml: " in needy.fail()
    assert reported(needy) == FAIL


def test_without_a_journal_the_failure_is_reported(needy: Needy) -> None:
    needy.state(2)
    needy.fail(STATE_DIRECTORY="/proc/none")
    assert [ping.kind for ping in needy.check.pings] == ["fail"]


def test_a_success_asks_nobody(host: Host, check: Check) -> None:
    done = host.run("--needs", "redis", check.uuid, "--", "true")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [ping.kind for ping in check.pings] == ["success"]


def test_dry_run(host: Host, check: Check) -> None:
    done = host.run("--needs", "redis,db", "--dry-run", check.uuid, "--", "true")
    assert b"/log  on failure while redis or db is failing\n" in done.stdout
    assert b"/start" not in done.stdout


@pytest.mark.parametrize("value", ["", ",", "redis,"])
def test_no_names(value: str, host: Host) -> None:
    done = host.run("--needs", value, "job", "--", "true")
    assert done.returncode == 125
    assert b"give names of checks, with a comma between two" in done.stderr
