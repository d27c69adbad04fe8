"""`hcctl flush --readdress` and `--drop`, and `hcctl forget`."""

import os
import pty
import subprocess

import pytest

from hcrun.results import DROPPED
from tests.stub.healthchecks import Check, Fault, answers
from tests.support.command import HCCTL, hcctl_environment, run_hcctl
from tests.support.host import Host

NOWHERE = "http://127.0.0.1:1"
QUICK = {"HEALTHCHECKS_RETRY_COUNT": "1"}


@pytest.fixture
def job(host: Host) -> Check:
    return host.stub.add_check("job")


def env(host: Host, **more: str) -> dict[str, str]:
    key = {"HEALTHCHECKS_PING_KEY": host.stub.ping_key}
    return {"HEALTHCHECKS_PING_URL": host.stub.ping_url, **key, **QUICK, **more}


def misdirected(host: Host, name: str, *commands: str) -> None:
    """Runs under a wrong HEALTHCHECKS_PING_URL."""
    for command in commands:
        wrong = env(host, HEALTHCHECKS_PING_URL=f"{NOWHERE}/ping")
        host.run("--no-start", name, "sh", "-c", command, **wrong)


def pings(check: Check) -> list[tuple[str, int | None]]:
    return [(ping.kind, ping.exitstatus) for ping in check.pings]


@pytest.mark.parametrize("by_uuid", [False, True])
def test_results_follow_the_setting_when_told_to(by_uuid: bool, host: Host, job: Check) -> None:
    name = job.uuid if by_uuid else "job"
    misdirected(host, name, "exit 4", "exit 0")
    other = host.stub.add_check()
    host.run("--no-start", other.uuid, "--", "true", **env(host))
    assert pings(job) == []  # hcrun does not send them there by itself
    done = run_hcctl(host.path, "flush", env=env(host))
    assert done.returncode == 1
    label = job.uuid[:8] if by_uuid else "job"
    offer = f"results of {label} were meant for {NOWHERE}; add --readdress to send them to "
    assert offer + host.stub.site_root in done.stderr
    assert pings(job) == []
    done = run_hcctl(host.path, "flush", "--readdress", env=env(host))
    assert (done.returncode, done.stderr) == (0, "")
    assert pings(job) == [("log", None), ("success", None)]
    assert not list((host.path / "state").glob("journal.db.url-*"))


def test_a_newer_result_at_the_new_address_is_known(host: Host, job: Check) -> None:
    misdirected(host, "job", "exit 0")
    host.run("--no-start", "job", "--", "false", **env(host))
    run_hcctl(host.path, "flush", "--readdress", env=env(host))
    assert pings(job) == [("fail", 1), ("log", None)]


def test_a_changed_key_is_a_changed_address(host: Host) -> None:
    old = env(host, HEALTHCHECKS_PING_KEY="anotherkeyanotherkeyan")
    host.stub.fault = Fault(answers(503))
    host.run("--no-start", "job", "--", "true", **old)
    host.stub.fault = None
    done = run_hcctl(host.path, "flush", env=env(host))
    site = host.stub.site_root
    assert f"meant for {site}; add --readdress to send them to their present ping" in done.stderr
    assert host.journal.runs()[0][1] == "pending"
    assert run_hcctl(host.path, "flush", env=old).returncode == 1  # such a key is refused
    assert host.journal.runs()[0][1] == "refused"


@pytest.mark.parametrize("flags", [(), ("--readdress",)])
def test_never_to_the_default_server(flags: tuple[str, ...], host: Host, job: Check) -> None:
    misdirected(host, "job", "exit 0")
    done = run_hcctl(host.path, "flush", *flags, env=env(host, HEALTHCHECKS_PING_URL=""))
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == (
        f"job: its results were meant for {NOWHERE};"
        " set HEALTHCHECKS_PING_URL to send them elsewhere"
    )
    assert pings(job) == []


@pytest.mark.parametrize(("answer", "kinds"), [("y\n", [("success", None)]), ("\n", [])])
def test_a_question_at_a_terminal(
    answer: str, kinds: list[tuple[str, int | None]], host: Host, job: Check
) -> None:
    misdirected(host, "job", "exit 0")
    master, slave = pty.openpty()
    os.write(master, answer.encode())
    environ = hcctl_environment(host.path) | env(host)
    done = subprocess.run(
        [HCCTL, "flush"], env=environ, stdin=slave, stdout=slave, stderr=slave, check=False
    )
    text = os.read(master, 10_000).decode()
    os.close(master)
    os.close(slave)
    assert f"results of job were meant for {NOWHERE}. Send them to {host.stub.site_root}?" in text
    assert pings(job) == kinds
    assert done.returncode == (0 if kinds else 1)


def test_drop(host: Host, job: Check) -> None:
    misdirected(host, "job", "exit 4", "exit 0", "exit 0")
    misdirected(host, job.uuid, "exit 0")
    done = run_hcctl(host.path, "flush", "--drop")
    assert done.returncode == 2
    assert done.stderr == "hcctl: not a terminal: add --yes to drop them without asking\n"
    listed = [line.partition(", 20")[0] for line in done.stdout.splitlines()]
    assert sorted(listed) == sorted(
        [f"{job.uuid[:8]}: 1 result (success)", "job: 1 result (fail)", "job: 2 results (success)"]
    )
    assert host.journal.count_pending() == 4
    done = run_hcctl(host.path, "flush", "--drop", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "4 results dropped"
    assert {delivery for _, delivery in host.journal.runs()} == {DROPPED}
    assert not list((host.path / "state").glob("journal.db.url-*"))
    assert run_hcctl(host.path, "flush", "--drop").stdout == "nothing to drop\n"
    assert run_hcctl(host.path, "flush", "--readdress", env=env(host)).returncode == 0
    assert pings(job) == []


def test_forget(host: Host, job: Check) -> None:
    misdirected(host, "jbo", "exit 0", "exit 0")
    host.run("job", "--", "true", **env(host))
    done = run_hcctl(host.path, "forget", "jbo")
    assert done.returncode == 2
    assert done.stderr == (
        "hcctl: not a terminal: add --yes to delete jbo with 2 runs without asking\n"
    )
    done = run_hcctl(host.path, "forget", "jbo", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    first, last = done.stdout.splitlines()
    assert first.startswith("jbo: 2 results (success), 20")
    assert last == "jbo: 2 runs deleted"
    assert [run.check for run, _ in host.journal.runs()] == ["job"]
    assert "jbo" not in run_hcctl(host.path, "status", "--local").stdout
    assert "jbo" not in run_hcctl(host.path, "metrics").stdout
    assert job.status == "up"


def test_what_cannot_be_forgotten(host: Host, check: Check) -> None:
    with host.start(check.uuid, "--", "sleep", "60") as process:
        host.stub.wait_for(check, 1)
        done = run_hcctl(host.path, "forget", check.uuid[:8], "--yes")
        assert done.returncode == 1
        assert done.stderr == (
            f"hcctl: a run of {check.uuid[:8]} is in progress; try again after its end\n"
        )
        process.terminate()
    done = run_hcctl(host.path, "forget", "nothing", "--yes")
    assert done.returncode == 1
    assert "the journal has no check 'nothing'; hcctl status --local" in done.stderr


def test_a_flood_of_runs_is_forgotten(host: Host) -> None:
    host.run("job", "--", "true", HEALTHCHECKS_ENABLED="false")
    host.journal.change(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2500)"
        " INSERT INTO runs (check_id, run_id, pid, started, ended, result, command, user)"
        " SELECT check_id, n, pid, started, ended, result, command, user FROM runs, n"
    )
    done = run_hcctl(host.path, "forget", "job", "--yes")
    assert done.stdout == "job: 2,501 runs deleted\n"
