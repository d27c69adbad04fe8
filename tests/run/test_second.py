"""HEALTHCHECKS_PING_URL_2: each result reaches two servers, and neither waits for the other."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stub.healthchecks import Fault, HealthchecksStub, hangs
from tests.support.command import HCRUN, environment, run_hcctl, run_hcrun

KEY = "secondkey"
Two = tuple[HealthchecksStub, HealthchecksStub]


@pytest.fixture
def servers() -> Iterator[Two]:
    with HealthchecksStub() as first, HealthchecksStub(ping_key=KEY) as second:
        yield first, second


def settings(two: Two) -> dict[str, str]:
    first, second = two
    return {
        "HEALTHCHECKS_PING_URL": first.ping_url,
        "HEALTHCHECKS_PING_KEY": first.ping_key,
        "HEALTHCHECKS_PING_URL_2": second.ping_url,
        "HEALTHCHECKS_PING_KEY_2": second.ping_key,
        "HEALTHCHECKS_ENABLED": "true",
        "HEALTHCHECKS_RETRY_DELAY": "0.1s",
    }


def kinds(stub: HealthchecksStub) -> list[str]:
    return [ping.kind for ping in stub.by_slug("job").pings]


def test_both_servers_get_start_and_result(servers: Two, tmp_path: Path) -> None:
    for stub in servers:
        stub.add_check("job")
    done = run_hcrun(tmp_path, "job", "--", "sh", "-c", "echo out; exit 3", env=settings(servers))
    assert (done.returncode, done.stderr) == (3, b"")
    for stub in servers:
        start, end = stub.by_slug("job").pings
        assert (start.kind, end.kind, end.exitstatus) == ("start", "fail", 3)
        assert start.rid == end.rid
        assert b"\nout" in end.body
    assert kinds(servers[0]) == kinds(servers[1])


def test_a_check_with_a_uuid_of_the_first_is_known_by_its_slug_to_the_second(
    servers: Two, tmp_path: Path
) -> None:
    first, second = servers
    check = first.add_check()
    second.add_check("job")
    env = settings(servers) | {"HC_CHECK_JOB": check.uuid, "HEALTHCHECKS_PING_KEY": ""}
    assert run_hcrun(tmp_path, "--no-start", "job", "--", "true", env=env).stderr == b""
    assert [ping.kind for ping in check.pings] == kinds(second) == ["success"]
    done = run_hcrun(tmp_path, "--no-start", check.uuid, "--", "true", env=env)
    assert (done.stderr, len(check.pings), kinds(second)) == (b"", 2, ["success"])


@pytest.mark.parametrize("dead", [0, 1])
@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_a_dead_server_costs_the_other_nothing(
    dead: int, how: str, servers: Two, tmp_path: Path
) -> None:
    """The result of each run is at the living one at once, and at the dead one when it is back."""
    for stub in servers:
        stub.add_check("job")
    lame, alive = servers[dead], servers[1 - dead]
    if how == "hangs":
        lame.fault = Fault(hangs)
    else:
        lame.go_down()
    env = settings(servers)
    words = ("--no-start", "--deadline", "3s", "job", "--")
    process = subprocess.Popen(
        [HCRUN, *words, "false"], env=environment(tmp_path) | env, stderr=subprocess.PIPE
    )
    alive.wait_for(alive.by_slug("job"), 1)
    assert how == "refuses" or process.poll() is None  # it still waits for the other
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert stderr.count(b"\n") == 1, stderr
    assert stderr.startswith(b"hcrun: second server: result not delivered: ") == bool(dead)
    assert kinds(alive) == ["fail"]
    assert kinds(lame) == []
    done = run_hcctl(tmp_path, "flush", env=env)
    assert done.returncode == 1
    assert "1 of 1 results are not delivered" in done.stderr
    if how == "hangs":
        lame.fault = None
    else:
        lame.come_back()
    assert run_hcrun(tmp_path, *words, "true", env=env).stderr == b""
    assert kinds(alive) == ["fail", "success"]
    assert kinds(lame) == ["success", "log"]  # the newest first, and the older one late
    assert b"Delivered late" in lame.by_slug("job").pings[-1].body
    done = run_hcctl(tmp_path, "flush", env=env)
    assert (done.returncode, done.stdout) == (0, "nothing to deliver\n")


def test_flush_delivers_to_both(servers: Two, tmp_path: Path) -> None:
    env = settings(servers)
    for stub in servers:
        stub.add_check("job")
        stub.go_down()
    run_hcrun(tmp_path, "--deadline", "100ms", "job", "--", "false", env=env)
    for stub in servers:
        stub.come_back()
    done = run_hcctl(tmp_path, "flush", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert [kinds(stub) for stub in servers] == [["fail"], ["fail"]]


def test_a_run_that_vanished_is_reported_to_both(servers: Two, tmp_path: Path) -> None:
    for stub in servers:
        stub.add_check("job")
    env = settings(servers)
    process = subprocess.Popen(
        [HCRUN, "job", "--", "sleep", "60"], env=environment(tmp_path) | env, start_new_session=True
    )
    for stub in servers:
        stub.wait_for(stub.by_slug("job"), 1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run_hcrun(tmp_path, "--no-start", "job", "--", "true", env=env)
    for stub in servers:
        bodies = [ping.body for ping in stub.by_slug("job").pings if ping.kind != "start"]
        assert sum(b"LOST: hcrun (pid " in body for body in bodies) == 1, bodies


def test_a_wrong_second_setting_costs_the_first_nothing(servers: Two, tmp_path: Path) -> None:
    servers[0].add_check("job")
    for wrong, note in (
        ({"HEALTHCHECKS_PING_KEY_2": ""}, "set HEALTHCHECKS_PING_KEY_2 to the ping key of its"),
        ({"HEALTHCHECKS_PING_URL_2": "nonsense"}, "HEALTHCHECKS_PING_URL_2: is not a URL"),
        ({}, "not pinged: "),  # it has no such check
    ):
        env = settings(servers) | wrong
        done = run_hcrun(tmp_path, "--no-start", "job", "--", "true", env=env)
        assert done.returncode == 0
        assert done.stderr.startswith(b"hcrun: second server: "), done.stderr
        assert note.encode() in done.stderr
        assert done.stderr.count(b"\n") == 1
        assert KEY.encode() not in done.stderr
    assert kinds(servers[0]) == ["success"] * 3


def test_the_second_journal_that_cannot_be_used_costs_no_ping(servers: Two, tmp_path: Path) -> None:
    for stub in servers:
        stub.add_check("job")
    (tmp_path / "state").mkdir()
    (tmp_path / "state/second").write_text("a file")
    done = run_hcrun(tmp_path, "--no-start", "job", "--", "true", env=settings(servers))
    assert b"second server: not recorded: " in done.stderr
    assert [kinds(stub) for stub in servers] == [["success"], ["success"]]


def test_dry_run_names_the_second_server_without_its_key(servers: Two, tmp_path: Path) -> None:
    env = settings(servers)
    done = run_hcrun(tmp_path, "--dry-run", "job", "--", "true", env=env)
    server = servers[1].ping_url.removesuffix("/ping")
    assert f"second server: {server}/.../job\n" in done.stdout.decode()
    assert KEY.encode() not in done.stdout
    uuid = servers[0].add_check().uuid
    done = run_hcrun(tmp_path, "--dry-run", uuid, "--", "true", env=env)
    assert b"second server: not pinged: it knows checks by slug only" in done.stdout
