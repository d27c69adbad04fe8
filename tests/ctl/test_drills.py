"""`hcctl drill alert|outage|load|random`: what is measured, put back and kept."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stub.healthchecks import Check, HealthchecksStub
from tests.support.catalogs import write
from tests.support.command import HCCTL, HCRUN, hcctl_environment, run_hcctl, wait_until


@pytest.fixture
def stub() -> Iterator[HealthchecksStub]:
    with HealthchecksStub() as stub:
        yield stub


def up(stub: HealthchecksStub, slug: str = "job") -> Check:
    check = stub.add_check(slug)
    check.stored_status = "up"
    return check


def drill(
    tmp_path: Path, stub: HealthchecksStub, *words: str, **more: str
) -> subprocess.CompletedProcess[str]:
    return run_hcctl(tmp_path, "drill", *words, stub=stub, env=key(stub) | more)


def key(stub: HealthchecksStub) -> dict[str, str]:
    return {"HEALTHCHECKS_PING_KEY": stub.ping_key}


def kept(tmp_path: Path) -> list[tuple[str, bool]]:
    lines = (tmp_path / "state/drills.jsonl").read_text().splitlines()
    return [(found["drill"], found["good"]) for found in map(json.loads, lines)]


def kinds(check: Check) -> list[str]:
    return [ping.kind for ping in check.pings]


def manage(tmp_path: Path, *lines: str) -> str:
    """A manage.py whose script answers with these lines."""
    path = tmp_path / "manage"
    text = "\n".join(("#!/bin/sh", "cat >/dev/null", *(f"echo '{line}'" for line in lines)))
    path.write_text(text + "\n")
    path.chmod(0o755)
    return str(path)


def test_an_alert_fails_the_check_and_puts_it_back(stub: HealthchecksStub, tmp_path: Path) -> None:
    check = up(stub)
    done = drill(tmp_path, stub, "alert", "job", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert kinds(check) == ["fail", "success"]
    assert all(ping.body.startswith(b"DRILL: ") for ping in check.pings)
    assert [line.split()[0] for line in done.stdout.splitlines()][-3:] == ["DOWN", "UP", "alert"]
    assert kept(tmp_path) == [("alert job", True)]
    assert (tmp_path / "state/drills.jsonl").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("state", "status", "said"),
    [
        ("2100-01-01T00:00:00Z ", 0, "ops: alert sent within "),
        ("2020-01-01T00:00:00Z ", 1, "ops: no alert; see hcctl doctor"),
        ("never failed: 550", 1, "ops: failed: 550"),
    ],
)
def test_each_channel_is_waited_for(
    state: str, status: int, said: str, stub: HealthchecksStub, tmp_path: Path
) -> None:
    channel = stub.add_channel("ops")
    check = up(stub)
    check.channels = {channel.id}
    script = manage(tmp_path, "reminders 1:00:00 ", f"{channel.id} {state}")
    words = ("alert", "job", "--yes", "--patience", "1s")
    done = drill(tmp_path, stub, *words, HEALTHCHECKS_MANAGE=script)
    assert done.returncode == status, done
    assert said in done.stdout
    assert kinds(check) == ["fail", "success"]
    assert kept(tmp_path) == [("alert job", not status)]


def test_a_check_that_is_not_up_is_left_alone(stub: HealthchecksStub, tmp_path: Path) -> None:
    check = stub.add_check("job")
    for name, error in (
        ("job", "hcctl: job: is new; a drill begins with a check that is up\n"),
        ("other", "hcctl: other: the server has no such check; see hcctl status\n"),
    ):
        done = drill(tmp_path, stub, "alert", name, "--yes")
        assert (done.returncode, done.stderr) == (1, error)
    done = drill(tmp_path, stub, "alert", "job")
    assert (done.returncode, done.stderr) == (
        2,
        "hcctl: not a terminal: add --yes to alert without asking\n",
    )
    assert kinds(check) == []


def test_an_outage_ends_with_the_start_command(stub: HealthchecksStub, tmp_path: Path) -> None:
    check, other = up(stub), up(stub, "other")
    stop = f"{HCRUN} --no-start job -- false; {HCRUN} --no-start other -- false; true"
    start = ("--", HCRUN, "--no-start", "job", "--", "true")
    done = drill(tmp_path, stub, "outage", "job", "--yes", "--", "sh", "-c", stop, *start)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert (kinds(check), kinds(other)) == (["fail", "success"], ["fail"])
    assert "also DOWN: other\n" in done.stdout
    assert kept(tmp_path) == [("outage job", True)]


@pytest.mark.parametrize("how", ["stop fails", "never down", "Ctrl-C"])
def test_the_start_command_runs_whatever_happens(
    how: str, stub: HealthchecksStub, tmp_path: Path
) -> None:
    up(stub)
    stopped, started = tmp_path / "stopped", tmp_path / "started"
    stop = f"touch {stopped}; exit {int(how == 'stop fails')}"
    words = ["outage", "job", "--yes", "--patience", "1s" if how == "never down" else "1m"]
    words += ["--", "sh", "-c", stop, "--", "touch", str(started)]
    process = subprocess.Popen(
        [HCCTL, "drill", *words],
        env=hcctl_environment(tmp_path, stub),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if how == "Ctrl-C":
        wait_until(stopped.exists, "the service is stopped")
        process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert started.exists()
    said = {
        "stop fails": "hcctl: sh: exit status 1\n",
        "never down": "hcctl: job: not down within 1 s; see hcctl doctor;",
        "Ctrl-C": "Aborted!\n",
    }
    assert said[how] in error
    assert not (tmp_path / "state/drills.jsonl").exists()


def test_an_outage_without_a_start_command(stub: HealthchecksStub, tmp_path: Path) -> None:
    up(stub)
    for words in (["true"], ["true", "--"], ["--", "true"]):
        done = drill(tmp_path, stub, "outage", "job", "--yes", "--", *words)
        assert done.returncode == 2, done
        assert "missing START; write -- STOP-COMMAND -- START-COMMAND" in done.stderr


def test_load(stub: HealthchecksStub, tmp_path: Path) -> None:
    check = stub.add_check()
    url = f"{stub.ping_url}/{check.uuid}"
    words = ("load", url, "--hosts", "20", "--every", "1s", "--for", "1s")
    done = drill(tmp_path, stub, *words)
    assert done.returncode == 0, done
    assert kinds(check) == ["success"] * 20
    assert done.stdout.startswith("load 127.0.0.1: 20 pings in ")
    assert check.uuid not in done.stdout
    stub.go_down()
    done = drill(tmp_path, stub, *words)
    assert done.returncode == 1
    assert "20 x no answer" in done.stdout
    assert kept(tmp_path) == [("load 127.0.0.1", True), ("load 127.0.0.1", False)]


def test_load_on_another_host_needs_a_yes(stub: HealthchecksStub, tmp_path: Path) -> None:
    url = "http://192.0.2.1/ping/0d2f4a7e-1c4b-4b57-9f3a-8f1f5b0e7c11"
    done = drill(tmp_path, stub, "load", url)
    error = "hcctl: not a terminal: add --yes to load a server on another host without asking\n"
    assert (done.returncode, done.stderr) == (2, error)
    done = drill(tmp_path, stub, "load", "http://127.0.0.1/nonsense")
    assert (done.returncode, done.stdout) == (2, "")


def test_random_does_what_the_catalogue_allows(stub: HealthchecksStub, tmp_path: Path) -> None:
    check = up(stub)
    catalog = str(write(tmp_path, head='[drills]\npager = "alert job --patience 1m"\n'))
    done = drill(tmp_path, stub, "random", "--yes", "--catalog", catalog)
    assert done.returncode == 0, done
    assert kinds(check) == ["fail", "success"]
    report = run_hcctl(tmp_path, "report", "day", "--catalog", catalog, stub=stub)
    assert "alert job" in report.stdout.partition("Drills\n")[2]
    write(tmp_path, head='[drills]\ncache = "outage redis -- true -- true"\n')
    words = ("report", "day", "--format", "json", "--catalog", catalog)
    found = json.loads(run_hcctl(tmp_path, *words, stub=stub).stdout)["drills"]
    assert [(each["drill"], each["good"]) for each in found] == [
        ("alert job", True),
        ("outage redis", None),  # never
    ]


def test_random_without_drills_and_a_wrong_one(stub: HealthchecksStub, tmp_path: Path) -> None:
    catalog = str(write(tmp_path))
    done = drill(tmp_path, stub, "random", "--yes", "--catalog", catalog)
    assert (done.returncode, done.stderr.split("; ")[0]) == (
        1,
        f"hcctl: {catalog}: the catalogue allows no drills",
    )
    write(tmp_path, head='[drills]\npager = "nonsense"\n')
    done = drill(tmp_path, stub, "random", "--yes", "--catalog", catalog)
    assert done.returncode == 1
    assert 'drills.pager: is not a drill; write it like "alert redis"' in done.stderr
