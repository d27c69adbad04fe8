"""hcrun and a real Healthchecks server: what its Management API says afterwards.

The tests delete what they create there.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.ping.test_contract import Kept, Real, State
from tests.support.command import (
    HCCTL,
    PATIENCE,
    last_run,
    run_hcctl,
    run_hcrun,
    start_hcrun,
    wait_until,
)

pytestmark = pytest.mark.real
LATER = "a later run or `hcctl flush` delivers it"
# Nobody listens there: for hcrun, the server is down.
DOWN = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"} | {
    "HEALTHCHECKS_RETRY_COUNT": "1"
}


@pytest.fixture
def real() -> Iterator[Real]:
    server = Real()
    yield server
    server.close()


def env(real: Real, **more: str) -> dict[str, str]:
    return {
        "HEALTHCHECKS_ENABLED": "true",
        "HEALTHCHECKS_PING_URL": real.ping_url,
        "HEALTHCHECKS_PING_KEY": real.ping_key,
        **more,
    }


def seen(pings: list[Kept]) -> list[tuple[str, str | None]]:
    assert {ping.method for ping in pings} <= {"POST"}
    return [(ping.kind, ping.rid) for ping in pings]


def verdict(ping: Kept) -> str:
    return ping.body.decode().splitlines()[-1]


def test_a_run(real: Real, tmp_path: Path) -> None:
    uuid = real.add()
    done = run_hcrun(tmp_path, uuid, "--", "echo", "grüße", env=env(real))
    assert (done.returncode, done.stderr) == (0, b"")
    run = last_run(tmp_path)
    start, end = real.pings(uuid)
    assert seen([start, end]) == [("start", run.run_id), ("success", run.run_id)]
    assert real.state(uuid) == State("up", started=False, timed=True)
    assert start.body.decode().endswith(f", run {run.run_id}\ncommand: echo grüße")
    header, opening, *_ = end.body.decode().splitlines()
    assert header.startswith(f"{run.why}; CPU ")
    assert opening == start.body.decode().splitlines()[0]
    assert "\n\ngrüße\n\n" in end.body.decode()
    assert verdict(end) == f"OK: {run.why}"


def test_while_it_runs_the_check_is_started(real: Real, tmp_path: Path) -> None:
    uuid = real.add()
    with start_hcrun(tmp_path, uuid, "--", "sleep", "60", env=env(real)) as process:
        wait_until(lambda: real.state(uuid).started, "the start has arrived")
        assert real.state(uuid) == State("new", started=True, timed=False)
        process.terminate()
        assert process.wait(PATIENCE) == 143
    assert [ping.kind for ping in real.pings(uuid)] == ["start", "fail"]
    assert real.state(uuid) == State("down", started=False, timed=True)
    assert verdict(real.pings(uuid)[1]).startswith("FAILED: killed by SIGTERM after ")


@pytest.mark.parametrize("status", [1, 127, 255])
def test_a_failed_run(status: int, real: Real, tmp_path: Path) -> None:
    uuid = real.add()
    done = run_hcrun(tmp_path, uuid, "sh", "-c", f"exit {status}", env=env(real))
    assert (done.returncode, done.stderr) == (status, b"")
    run = last_run(tmp_path)
    assert seen(real.pings(uuid)) == [("start", run.run_id), ("fail", run.run_id)]
    assert real.state(uuid) == State("down", started=False, timed=True)
    assert verdict(real.pings(uuid)[1]) == f"FAILED: {run.why}"
    assert run.why.startswith(f"exit status {status} after ")


def test_a_run_without_a_start(real: Real, tmp_path: Path) -> None:
    uuid = real.add()
    run_hcrun(tmp_path, "--no-start", uuid, "--", "true", env=env(real))
    assert seen(real.pings(uuid)) == [("success", None)]
    assert real.state(uuid) == State("up", started=False, timed=False)


def test_a_run_that_is_not_counted(real: Real, tmp_path: Path) -> None:
    uuid = real.add()
    run_hcrun(tmp_path, "--on-exit", "1=log", uuid, "--", "false", env=env(real))
    assert seen(real.pings(uuid)) == [("log", None)]
    assert real.state(uuid) == State("new", started=False, timed=False)


def test_a_skipped_run(real: Real, tmp_path: Path) -> None:
    uuid = real.add()
    options = ("--overlap", "skip", uuid, "--")
    with start_hcrun(tmp_path, *options, "sleep", "60", env=env(real)) as first:
        wait_until(lambda: real.state(uuid).started, "the start has arrived")
        second = run_hcrun(tmp_path, *options, "true", env=env(real))
        assert second.returncode == 75
        assert real.state(uuid).started
        first.terminate()
        first.wait(PATIENCE)
    start, skip, end = real.pings(uuid)
    assert [p.kind for p in (start, skip, end)] == ["start", "log", "fail"]
    assert (skip.rid, end.rid) == (None, start.rid)
    assert verdict(skip).startswith(
        f"SKIPPED: the previous run is still in progress: pid {first.pid}, "
    )
    assert real.state(uuid) == State("down", started=False, timed=True)


def test_a_word_from_inside_of_a_job(real: Real, tmp_path: Path) -> None:
    uuid = real.add()
    script = f'{HCCTL} ping "$HCRUN_CHECK" log "half way"'
    done = run_hcrun(tmp_path, uuid, "sh", "-c", script, env=env(real))
    assert (done.returncode, done.stderr) == (0, b"")
    rid = last_run(tmp_path).run_id
    pings = real.pings(uuid)
    # The command does not wait for the start ping: its word may be there first.
    assert sorted(seen(pings)[:-1]) == [("log", rid), ("start", rid)]
    assert seen(pings)[-1] == ("success", rid)
    assert b"half way" in [ping.body for ping in pings]
    assert real.state(uuid) == State("up", started=False, timed=True)


def test_late_delivery(real: Real, tmp_path: Path) -> None:
    """The older result goes to the log, the newer one is the check's state."""
    uuid = real.add()
    for script in ("echo first; exit 4", "echo second"):
        done = run_hcrun(tmp_path, uuid, "sh", "-c", script, env=env(real, **DOWN))
        assert done.stderr.decode() == (
            "hcrun: result not delivered: cannot reach the server:"
            f" the proxy 127.0.0.1:1: Connection refused; {LATER}\n"
        )
    assert real.pings(uuid) == []
    flush = run_hcctl(tmp_path, "flush", env=env(real))
    assert (flush.returncode, flush.stderr) == (0, "")
    first, second = real.pings(uuid)
    assert seen([first, second]) == [("log", None), ("success", None)]
    assert first.body.startswith(b"Delivered late: this run ended at ")
    assert b" A newer result of this check is known.\n" in first.body
    assert verdict(first).startswith("FAILED: exit status 4 after ")
    assert verdict(second).startswith("OK: exit status 0 after ")
    assert real.state(uuid) == State("up", started=False, timed=False)


def test_late_failure(real: Real, tmp_path: Path) -> None:
    uuid = real.add()
    run_hcrun(tmp_path, uuid, "--", "false", env=env(real, **DOWN))
    other = real.add()
    run_hcrun(tmp_path, other, "--", "true", env=env(real))
    assert seen(real.pings(uuid)) == [("fail", None)]
    assert real.state(uuid) == State("down", started=False, timed=False)


def test_a_vanished_run(real: Real, tmp_path: Path) -> None:
    uuid = real.add()
    with start_hcrun(tmp_path, uuid, "--", "sleep", "60", env=env(real)) as process:
        wait_until(lambda: real.state(uuid).started, "the start has arrived")
        process.kill()
    done = run_hcctl(tmp_path, "flush", env=env(real))
    assert (done.returncode, done.stderr) == (0, "")
    run = last_run(tmp_path)
    assert seen(real.pings(uuid)) == [("start", run.run_id), ("fail", None)]
    assert verdict(real.pings(uuid)[1]) == f"LOST: {run.why}"
    assert real.state(uuid) == State("down", started=False, timed=False)


def test_create(real: Real, tmp_path: Path) -> None:
    slug = f"p5-{uuid4()}"
    for _ in range(2):
        done = run_hcrun(tmp_path, "--create", slug, "--", "true", env=env(real))
        assert (done.returncode, done.stderr) == (0, b"")
    uuid = real.uuid_of(slug)
    assert [ping.kind for ping in real.pings(uuid)] == ["start", "success"] * 2
    assert real.state(uuid) == State("up", started=False, timed=True)


def test_refusals(real: Real, tmp_path: Path) -> None:
    slug = f"p5-{uuid4()}"
    done = run_hcrun(tmp_path, slug, "--", "true", env=env(real))
    assert done.stderr.decode() == (
        f"hcrun: not pinged: no check has the slug {slug} in this project; add"
        " --create to create it, or correct HEALTHCHECKS_PING_KEY\n"
    )
    for _ in range(2):
        real.add(slug)
    done = run_hcrun(tmp_path, slug, "--", "true", env=env(real))
    assert done.stderr.decode() == (
        f"hcrun: not pinged: several checks have the slug {slug}; change the slug of all but one\n"
    )
    done = run_hcrun(tmp_path, str(uuid4()), "--", "true", env=env(real))
    assert done.stderr.decode() == (
        "hcrun: not pinged: no check has this UUID; copy it from the check's page,"
        " or create the check again\n"
    )


def test_a_long_output(real: Real, tmp_path: Path) -> None:
    """All that was sent is kept: the server cuts nothing."""
    uuid = real.add(filter_http_body=True, success_kw="OK: exit status 0")
    script = "seq 100000; printf '\\303'; yes ä | head -n 50000"
    done = run_hcrun(tmp_path, "--no-start", uuid, "sh", "-c", script, env=env(real))
    assert (done.returncode, done.stderr) == (0, b"")
    (ping,) = real.pings(uuid)
    assert ping.kind == "success"
    assert 9_500 < len(ping.body) <= 10_000
    assert verdict(ping) == f"OK: {last_run(tmp_path).why}"


def test_many_at_once(real: Real, tmp_path: Path) -> None:
    """Twenty jobs of one minute: none is lost, each in its order."""
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
