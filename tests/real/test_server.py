"""hcrun and a real Healthchecks server: what its Management API says afterwards.

The tests delete what they create there.
"""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.ping.test_contract import Kept, Server, State, real_server
from tests.support.command import (
    HCCTL,
    PATIENCE,
    last_run,
    run_hcctl,
    run_hcrun,
    start_hcrun,
    wait_until,
)
from tests.support.real import setting

pytestmark = pytest.mark.real
# Nobody listens there: for hcrun, the server is down.
DOWN = {
    "http_proxy": "http://127.0.0.1:1",
    "https_proxy": "http://127.0.0.1:1",
    "HEALTHCHECKS_RETRY_COUNT": "1",
}


@pytest.fixture
def real() -> Iterator[Server]:
    with real_server() as server:
        yield server


def env(real: Server, **more: str) -> dict[str, str]:
    return {
        "HEALTHCHECKS_ENABLED": "true",
        "HEALTHCHECKS_PING_URL": real.ping_url,
        "HEALTHCHECKS_PING_KEY": real.ping_key,
        **more,
    }


def kinds(pings: list[Kept]) -> list[tuple[str, str | None]]:
    assert {ping.method for ping in pings} <= {"POST"}
    return [(ping.kind, ping.rid) for ping in pings]


def first_line(ping: Kept) -> str:
    return ping.body.decode().splitlines()[0]


def test_a_run(real: Server, tmp_path: Path) -> None:
    uuid = real.add()
    done = run_hcrun(tmp_path, uuid, "--", "echo", "grüße", env=env(real))
    assert (done.returncode, done.stderr) == (0, b"")
    run = last_run(tmp_path)
    start, end = real.pings(uuid)
    assert kinds([start, end]) == [("start", run.run_id), ("success", run.run_id)]
    assert real.state(uuid) == State("up", started=False, timed=True)
    assert start.body.decode().endswith(f", run {run.run_id}\ncommand: echo grüße")
    assert "\n\ngrüße" in end.body.decode()
    assert first_line(end).startswith(f"OK: {run.why}")


@pytest.mark.parametrize(
    ("options", "script", "expected", "state"),
    [
        ([], "exit 1", ["start", "fail"], State("down", started=False, timed=True)),
        ([], "exit 255", ["start", "fail"], State("down", started=False, timed=True)),
        (["--no-start"], "exit 0", ["success"], State("up", started=False, timed=False)),
        (["--on-exit", "1=log"], "exit 1", ["log"], State("new", started=False, timed=False)),
    ],
)
def test_results(
    options: list[str], script: str, expected: list[str], state: State, real: Server, tmp_path: Path
) -> None:
    """A start and its end have the run's id; without a start no ping has one."""
    uuid = real.add()
    done = run_hcrun(tmp_path, *options, uuid, "sh", "-c", script, env=env(real))
    assert (done.returncode, done.stderr) == (int(script.split()[1]), b"")
    run = last_run(tmp_path)
    rid = run.run_id if "start" in expected else None
    assert kinds(real.pings(uuid)) == [(kind, rid) for kind in expected]
    assert real.state(uuid) == state
    assert run.why in first_line(real.pings(uuid)[-1])


def test_in_progress_skipped_and_terminated(real: Server, tmp_path: Path) -> None:
    uuid = real.add()
    options = ("--overlap", "skip", uuid, "--")
    with start_hcrun(tmp_path, *options, "sleep", "60", env=env(real)) as first:
        wait_until(lambda: real.state(uuid).started, "the start has arrived")
        assert real.state(uuid) == State("new", started=True, timed=False)
        second = run_hcrun(tmp_path, *options, "true", env=env(real))
        assert second.returncode == 75
        assert real.state(uuid).started
        first.terminate()
        assert first.wait(PATIENCE) == 143
    start, skip, end = real.pings(uuid)
    assert [p.kind for p in (start, skip, end)] == ["start", "log", "fail"]
    assert (skip.rid, end.rid) == (None, start.rid)
    assert first_line(skip).startswith("SKIPPED: ")
    assert real.state(uuid) == State("down", started=False, timed=True)


def test_a_log_ping_from_inside_of_a_job(real: Server, tmp_path: Path) -> None:
    uuid = real.add()
    script = f'{HCCTL} ping "$HCRUN_CHECK" log "half way"'
    done = run_hcrun(tmp_path, uuid, "sh", "-c", script, env=env(real))
    assert (done.returncode, done.stderr) == (0, b"")
    rid = last_run(tmp_path).run_id
    pings = real.pings(uuid)
    # The command does not wait for the start ping: its ping may arrive first.
    assert sorted(kinds(pings)[:-1]) == [("log", rid), ("start", rid)]
    assert kinds(pings)[-1] == ("success", rid)
    assert b"half way" in [ping.body for ping in pings]
    assert real.state(uuid) == State("up", started=False, timed=True)


def test_late_delivery(real: Server, tmp_path: Path) -> None:
    """The older result goes to the log; the latest one is the check's state."""
    uuid = real.add()
    for script in ("echo first; exit 4", "echo second"):
        run_hcrun(tmp_path, uuid, "sh", "-c", script, env=env(real, **DOWN))
    assert real.pings(uuid) == []
    flush = run_hcctl(tmp_path, "flush", env=env(real))
    assert (flush.returncode, flush.stderr) == (0, "")
    first, second = real.pings(uuid)
    assert kinds([first, second]) == [("log", None), ("success", None)]
    assert b"\nDelivered late: this run ended at " in first.body
    assert first_line(first).startswith("FAILED: exit status 4 after ")
    assert real.state(uuid) == State("up", started=False, timed=False)


def test_a_later_run_delivers_a_late_failure(real: Server, tmp_path: Path) -> None:
    uuid, other = real.add(), real.add()
    run_hcrun(tmp_path, uuid, "--", "false", env=env(real, **DOWN))
    run_hcrun(tmp_path, other, "--", "true", env=env(real))
    assert kinds(real.pings(uuid)) == [("fail", None)]
    assert real.state(uuid) == State("down", started=False, timed=False)


@pytest.mark.parametrize("key", ["READ_KEY", "API_KEY"])
@pytest.mark.parametrize("by_slug", [False, True])
@pytest.mark.parametrize(("kept", "newer"), [("true", "false"), ("false", "true")])
def test_a_late_result_and_a_newer_one_of_another_host(
    kept: str, newer: str, by_slug: bool, key: str, real: Server, tmp_path: Path
) -> None:
    slug = f"real-{uuid4()}"
    uuid = real.add(slug)
    name = slug if by_slug else uuid
    run_hcrun(tmp_path / "one", "--no-start", name, "--", kept, env=env(real, **DOWN))
    time.sleep(1.1)  # the server tells only seconds
    run_hcrun(tmp_path / "two", "--no-start", name, "--", newer, env=env(real))
    keys = {"HEALTHCHECKS_READ_KEY": "", "HEALTHCHECKS_API_KEY": ""}
    keys |= {"HEALTHCHECKS_API_URL": setting("API_URL"), f"HEALTHCHECKS_{key}": setting(key)}
    flush = run_hcctl(tmp_path / "one", "flush", env=env(real, **keys))
    assert (flush.returncode, flush.stderr) == (0, "")
    result = "success" if newer == "true" else "fail"
    assert kinds(real.pings(uuid)) == [(result, None), ("log", None)]
    assert real.state(uuid).status == ("up" if newer == "true" else "down")


def test_a_vanished_run(real: Server, tmp_path: Path) -> None:
    uuid = real.add()
    with start_hcrun(tmp_path, uuid, "--", "sleep", "60", env=env(real)) as process:
        wait_until(lambda: real.state(uuid).started, "the start has arrived")
        process.kill()
    done = run_hcctl(tmp_path, "flush", env=env(real))
    assert (done.returncode, done.stderr) == (0, "")
    run = last_run(tmp_path)
    assert kinds(real.pings(uuid)) == [("start", run.run_id), ("fail", None)]
    assert first_line(real.pings(uuid)[1]) == f"LOST: {run.why}"
    assert real.state(uuid) == State("down", started=False, timed=False)


def test_slugs(real: Server, tmp_path: Path) -> None:
    """--create creates a check once; an unknown or ambiguous slug is said on stderr."""
    slug = f"real-{uuid4()}"
    assert slug in run_hcrun(tmp_path, slug, "--", "true", env=env(real)).stderr.decode()
    for said in (True, False):
        done = run_hcrun(tmp_path, "--create", slug, "--", "true", env=env(real))
        assert (done.returncode, b"created the check" in done.stderr) == (0, said)
    uuid = real.uuid_of(slug)
    assert [ping.kind for ping in real.pings(uuid)] == ["start", "success"] * 2
    real.add(slug)
    done = run_hcrun(tmp_path, slug, "--", "true", env=env(real))
    assert (done.returncode, slug in done.stderr.decode()) == (0, True)
    assert len(real.pings(uuid)) == 4


def test_a_long_output(real: Server, tmp_path: Path) -> None:
    """The server keeps all that was sent."""
    uuid = real.add(filter_http_body=True, success_kw="OK: exit status 0")
    script = "seq 100000; printf '\\303'; yes ä | head -n 50000"
    done = run_hcrun(tmp_path, "--no-start", uuid, "sh", "-c", script, env=env(real))
    assert (done.returncode, done.stderr) == (0, b"")
    (ping,) = real.pings(uuid)
    assert ping.kind == "success"
    assert 9_500 < len(ping.body) <= 10_000
    assert first_line(ping).startswith(f"OK: {last_run(tmp_path).why}")


def test_many_at_once(real: Server, tmp_path: Path) -> None:
    """Twenty jobs in one minute: none is lost, each in its order."""
    checks = [real.add() for _ in range(20)]
    together = [
        start_hcrun(tmp_path, uuid, "--", "true", env=env(real), stderr=subprocess.PIPE)
        for uuid in checks
    ]
    for process in together:
        with process:
            _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, b"")
    for uuid in checks:
        assert [ping.kind for ping in real.pings(uuid)] == ["start", "success"]
        assert real.state(uuid) == State("up", started=False, timed=True)
