"""Whether a late result is sent as a normal ping, or to the check's log because it is too old."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.stub.healthchecks import Check, Fault, HealthchecksStub, answers, hangs
from tests.support.application import application, python
from tests.support.command import HCCTL, PATIENCE, hcctl_environment, run_hcctl
from tests.support.host import Host

HOUR, DAY = 3600.0, 86400.0
WEEK = 7 * DAY
READ, WRITE, NONE = "HEALTHCHECKS_READ_KEY", "HEALTHCHECKS_API_KEY", "none"
AGAIN = "import hcrun\n@hcrun.monitor_task('other')\ndef again(): pass\nagain()\nhcrun.flush(10)\n"


def keep(host: Host, check: Check, command: str, ago: float = 0.0) -> None:
    """A run that ended so long ago while the server accepted no pings."""
    host.stub.fault = Fault(answers(503))
    host.run("--no-start", check.uuid, "sh", "-c", command, HEALTHCHECKS_RETRY_COUNT="1")
    host.stub.fault = None
    host.journal.change(
        "UPDATE runs SET started = started - ?, ended = ended - ? WHERE delivery = 'pending'",
        (ago, ago),
    )


def with_key(stub: HealthchecksStub, key: str) -> dict[str, str]:
    if key == NONE:
        return {}
    value = stub.read_key if key == READ else stub.api_key
    return {"HEALTHCHECKS_API_URL": stub.api_url, READ: "", WRITE: "", key: value}


def flush(host: Host, env: dict[str, str]) -> None:
    assert run_hcctl(host.path, "flush", env=env).returncode == 0


def run_another(host: Host, env: dict[str, str]) -> None:
    for _ in range(3):  # on a loaded machine the first may not have the time
        host.run("--no-start", host.stub.add_check().uuid, "--", "true", **env)
        if not host.journal.count_pending():
            break


def run_a_task(host: Host, env: dict[str, str]) -> None:
    done = python(host.path, AGAIN, host.stub, env, other=host.stub.add_check())
    assert (done.returncode, done.stderr) == (0, "")


WAYS = [flush, run_another, run_a_task]
Way = Callable[[Host, dict[str, str]], None]


@pytest.fixture
def second(host: Host) -> Host:
    """Another host, or another user, whose runs report to the same checks."""
    return Host(host.path / "second", host.stub)


def pings(check: Check) -> list[tuple[str, int | None]]:
    return [(ping.kind, ping.exitstatus) for ping in check.pings]


@pytest.mark.parametrize("key", [READ, WRITE])
@pytest.mark.parametrize(("kept", "newer"), [("exit 0", "exit 1"), ("exit 4", "exit 0")])
def test_a_newer_result_of_another_host_stays_the_state(
    kept: str, newer: str, key: str, host: Host, second: Host, check: Check
) -> None:
    keep(host, check, kept)
    time.sleep(1.1 if key == READ else 0.0)  # a read-only key tells only seconds
    second.run("--no-start", check.uuid, "sh", "-c", newer)
    state = check.status
    flush(host, with_key(host.stub, key))
    assert [kind for kind, _ in pings(check)] == ["fail" if newer == "exit 1" else "success", "log"]
    assert check.status == state
    assert b"The server has a newer result of this check.\n" in check.pings[-1].body


@pytest.mark.parametrize("deliver", WAYS)
@pytest.mark.parametrize("key", [READ, NONE])
def test_all_ways_of_delivery_have_the_same_rules(
    deliver: Way, key: str, host: Host, second: Host, check: Check
) -> None:
    """Without a key, hcrun cannot know what other hosts report."""
    keep(host, check, "exit 0")
    second.run("--no-start", check.uuid, "--", "false")
    deliver(host, with_key(host.stub, key))
    late = ("success", None) if key == NONE else ("log", None)
    assert pings(check) == [("fail", 1), late]


@pytest.mark.parametrize(
    ("command", "ago", "period", "key", "late"),
    [
        ("exit 0", 20 * HOUR, DAY, READ, ("success", None)),
        ("exit 0", 26 * HOUR, DAY, READ, ("log", None)),
        ("exit 0", 3 * DAY, WEEK, READ, ("success", None)),
        ("exit 0", 20 * HOUR, HOUR, READ, ("log", None)),
        ("exit 0", 20 * HOUR, HOUR, NONE, ("success", None)),
        ("exit 0", 3 * DAY, WEEK, NONE, ("log", None)),
        ("exit 4", 3 * DAY, HOUR, READ, ("fail", 4)),
        ("exit 4", 3 * DAY, HOUR, NONE, ("fail", 4)),
    ],
)
@pytest.mark.parametrize("deliver", [flush, run_another])
def test_an_old_success_says_nothing_any_more(
    command: str,
    ago: float,
    period: float,
    key: str,
    late: tuple[str, int | None],
    deliver: Way,
    host: Host,
) -> None:
    """The check should have run again since. The server knows its period; else it is one day."""
    check = host.stub.add_check(timeout=period)
    keep(host, check, command, ago)
    deliver(host, with_key(host.stub, key))
    assert pings(check) == [late]


@pytest.mark.parametrize(("cron", "late"), [("0 3 * * 1", "success"), ("*/10 * * * *", "log")])
def test_a_schedule_of_cron_is_known_from_the_server(cron: str, late: str, host: Host) -> None:
    check = host.stub.add_check("job", schedule=cron, grace=WEEK if late == "success" else 60)
    env = with_key(host.stub, READ) | {"HEALTHCHECKS_PING_KEY": host.stub.ping_key}
    host.stub.fault = Fault(answers(503))
    host.run("--no-start", "job", "--", "true", **env)
    host.stub.fault = None
    host.journal.change("UPDATE runs SET started = started - 9e4, ended = ended - 9e4")
    flush(host, env | {"HEALTHCHECKS_PING_URL": host.stub.ping_url})
    assert pings(check) == [(late, None)]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root")
@pytest.mark.parametrize(("every", "late"), [("7d", "success"), ("1h", "log")])
def test_the_catalogue_of_the_host_knows_the_period(every: str, late: str, host: Host) -> None:
    check = host.stub.add_check("job")
    etc = host.path / "etc"
    (etc / "hcrun").mkdir(parents=True)
    (etc / "hcrun/checks.toml").write_text(f'[checks.job]\nevery = "{every}"\ncommand = "true"\n')
    env = {"HEALTHCHECKS_PING_KEY": host.stub.ping_key}
    host.stub.fault = Fault(answers(503))
    host.run("--no-start", "job", "--", "true", **env)
    host.stub.fault = None
    host.journal.change("UPDATE runs SET started = started - 2.6e5, ended = ended - 2.6e5")
    env |= hcctl_environment(host.path) | {"HEALTHCHECKS_PING_URL": host.stub.ping_url}
    script = f"mount --bind {etc} /etc && exec {HCCTL} flush"
    subprocess.run(["unshare", "-m", "sh", "-c", script], env=env, check=True)
    assert pings(check) == [(late, None)]


@pytest.mark.parametrize(
    ("first", "key", "expected"),
    [
        (120.0, WRITE, ("fail", 4)),  # the text of the ping shows how old the success is
        (120.0, READ, ("log", None)),  # the server only tells when it arrived
        (0.0, WRITE, ("log", None)),
    ],
)
def test_the_newer_result_was_late_itself(
    first: float, key: str, expected: tuple[str, int | None], host: Host, second: Host, check: Check
) -> None:
    """Two hosts after an outage: a success of `first` seconds ago, and a failure a minute ago."""
    keep(second, check, "exit 0", first)
    keep(host, check, "exit 4", 60.0)
    flush(second, {})
    flush(host, with_key(host.stub, key))
    assert pings(check) == [("success", None), expected]


def test_a_success_waits_until_the_server_can_be_asked(host: Host) -> None:
    """It might hide a newer failure. A failure hides nothing that matters more."""
    good, bad, old = (host.stub.add_check() for _ in range(3))
    keep(host, old, "exit 0", 2 * DAY)
    keep(host, good, "exit 0")
    keep(host, bad, "exit 4")
    env = with_key(host.stub, READ)
    host.stub.fault = Fault(answers(503), only="/api/")
    done = run_hcctl(host.path, "flush", env=env)
    assert done.returncode == 1
    assert "the Management API does not answer: " in done.stderr
    assert [pings(check) for check in (good, bad, old)] == [[], [("fail", 4)], [("log", None)]]
    assert len([r for r in host.stub.requests if "/api/" in r.path]) == 1
    host.stub.fault = None
    flush(host, env)
    assert pings(good) == [("success", None)]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_of_another_project_does_not_keep_results_back(
    status: int, host: Host, check: Check
) -> None:
    keep(host, check, "exit 0")
    host.stub.fault = Fault(answers(status), only="/api/")
    flush(host, with_key(host.stub, READ))
    assert pings(check) == [("success", None)]


def test_a_run_waits_only_briefly_for_the_api(host: Host, check: Check) -> None:
    keep(host, check, "exit 0")
    host.stub.fault = Fault(hangs, only="/api/")
    began = time.monotonic()
    host.run("--no-start", host.stub.add_check().uuid, "--", "true", **with_key(host.stub, READ))
    assert time.monotonic() - began < 15
    assert pings(check) == []
    host.stub.fault = None
    run_another(host, with_key(host.stub, READ))
    assert pings(check) == [("success", None)]


KEEPS = """
import sys, hcrun, hcrun.integrations.sender
hcrun.integrations.sender._PAUSE = 0.2
with hcrun.monitor_task("job"):
    pass
hcrun.flush(10)
print("kept", flush=True)
sys.stdin.readline()
"""


def test_a_result_that_only_a_process_keeps_has_the_same_rules(
    host: Host, second: Host, check: Check
) -> None:
    """An application whose journal cannot be used."""
    (host.path / "state").write_text("in the way")
    host.stub.fault = Fault(answers(503))
    with application(host.path, KEEPS, host.stub, with_key(host.stub, WRITE), job=check) as process:
        assert process.stdout
        assert process.stdout.readline() == "kept\n"
        process.send_signal(signal.SIGSTOP)
        host.stub.fault = None
        second.run("--no-start", check.uuid, "--", "false")
        process.send_signal(signal.SIGCONT)
        host.stub.wait_for(check, 2, PATIENCE)
        process.communicate(timeout=PATIENCE)
    assert pings(check) == [("fail", 1), ("log", None)]
