"""kill -9 of hcrun, at any moment: in the end the server has one verdict on every recorded run.

A verdict is repeated only if the kill came between the server's answer and its record.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from hcrun.journal.journal import Journal
from hcrun.start_marker import PREFIX
from tests.stub.healthchecks import Check, Exchange, Fault, HealthchecksStub, delays
from tests.support.command import (
    HCRUN,
    environment,
    run_hcctl,
    run_hcrun,
    runs,
    start_hcrun,
    wait_until,
)

pytestmark = pytest.mark.slow

RUN_ID = re.compile(r", run ([0-9a-f-]{36})\n")
WORDS = {"success": "OK", "fail": "FAILED", "lost": "LOST"}
SCRIPTS = ("exit 0", "echo some output; exit 3", "sleep 0.03", "seq 3000; kill -TERM $$")
FILES = {"journal.db", "journal.db-shm", "journal.db-wal", "journal.lock"}
STRACE = shutil.which("strace") or ""
needs_strace = pytest.mark.skipif(not STRACE, reason="strace is not installed")


@pytest.fixture(autouse=True, scope="module")
def copies() -> Iterator[None]:
    """End the launcher's copies: one stays if hcrun is killed before its Python has started."""
    yield
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            stopped = (path / "stat").read_text().rpartition(")")[2].split()[0] == "T"
        except OSError:  # it has ended
            continue
        if stopped and HCRUN.encode() in words:
            os.kill(int(path.name), signal.SIGKILL)


def verdicts(stub: HealthchecksStub) -> dict[str, list[str]]:
    """For each run, the verdicts of its pings in the order they came."""
    by_run: dict[str, list[str]] = {}
    for check in stub.checks:
        for ping in check.pings:
            body = ping.body.decode()
            (run_id,) = RUN_ID.findall(body)
            lines = by_run.setdefault(run_id, [])
            if ping.kind != "start":
                lines.append(re.split("; CPU |, peak memory ", body.splitlines()[0])[0])
    return by_run


def flush(tmp_path: Path) -> None:
    """Deliver everything with `hcctl flush`."""
    done = run_hcctl(tmp_path, "flush")
    assert (done.returncode, done.stderr) == (0, "")
    if done.stdout != "nothing to deliver\n":
        done = run_hcctl(tmp_path, "flush")
        assert (done.returncode, done.stdout, done.stderr) == (0, "nothing to deliver\n", "")


def one_verdict_each(tmp_path: Path, stub: HealthchecksStub) -> int:
    """Compare the journal with the server; returns how often a verdict was repeated."""
    reported = verdicts(stub)
    recorded = Journal(str(tmp_path / "state")).runs()
    assert {run.run_id for run, _ in recorded} >= set(reported)
    for run, delivery in recorded:
        expected = f"{WORDS[run.result]}: {run.why}"
        assert set(reported.get(run.run_id, ())) == {expected}, run.run_id
        assert delivery == "sent"
    return sum(len(lines) - 1 for lines in reported.values())


def check_status_is_the_newest_result(tmp_path: Path, check: Check) -> None:
    newest = next(run for run in runs(tmp_path) if run.check == check.uuid[:8])
    assert check.status == ("up" if newest.result == "success" else "down"), newest.why


def average_duration(tmp_path: Path, stub: HealthchecksStub, check: Check) -> float:
    """Seconds that one run takes on this machine."""
    started = time.monotonic()
    for script in SCRIPTS:
        run_hcrun(tmp_path, check.uuid, "sh", "-c", script, stub=stub)
    return (time.monotonic() - started) / len(SCRIPTS)


@pytest.mark.parametrize(("seed", "count", "together"), [(2, 150, 1), (3, 40, 4)])
def test_killed_at_random_moments(seed: int, count: int, together: int, tmp_path: Path) -> None:
    """Alone, or among others that deliver one another's results."""
    chance = random.Random(seed)
    killed = 0
    with HealthchecksStub() as stub:
        checks = [stub.add_check() for _ in range(3)]
        longest = 1.2 * average_duration(tmp_path, stub, checks[0])
        for _ in range(count):
            processes = []
            for _ in range(together):
                words = (chance.choice(checks).uuid, "sh", "-c", chance.choice(SCRIPTS))
                processes.append(start_hcrun(tmp_path, *words, stub=stub))
            for process in processes:
                with process:
                    try:
                        process.wait(chance.uniform(0, longest))
                    except subprocess.TimeoutExpired:
                        process.kill()
                        killed += 1
                    _, errors = process.communicate()
                assert errors == b""
        flush(tmp_path)
    assert killed > count / 10
    assert one_verdict_each(tmp_path, stub) <= killed
    if together == 1:  # otherwise the order of the runs is unknown
        for check in checks:
            check_status_is_the_newest_result(tmp_path, check)


def is_under_way(pid: int) -> bool:
    """Whether Python runs and has ended the launcher's copy."""
    words = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(OSError):  # it has just ended
            words.append(Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"))
    return b"-IS" in words[0] and not any(HCRUN.encode() in of_child for of_child in words[1:])


def test_killed_before_the_journal_has_the_run(tmp_path: Path) -> None:
    """At random moments of the start: each command that was started is reported, exactly once."""
    chance = random.Random(6)
    count = 160
    started = tmp_path / "started"
    started.touch()
    script = f'echo "$HCRUN_RUN_ID" >>{started}; exec sleep 5'
    with HealthchecksStub() as stub:
        checks = [stub.add_check() for _ in range(3)]
        longest = average_duration(tmp_path, stub, checks[0])
        for _ in range(count):
            uuid = chance.choice(checks).uuid
            with start_hcrun(
                tmp_path, uuid, "sh", "-c", script, stub=stub, stdout=None, stderr=None
            ) as process:
                wait_until(partial(is_under_way, process.pid), "Python runs")
                time.sleep(chance.uniform(0, longest))
                process.kill()
        run_hcrun(tmp_path, checks[0].uuid, "true", stub=stub)
        flush(tmp_path)
    killed = set(started.read_text().split())
    assert len(killed) > count / 10
    assert killed <= verdicts(stub).keys()
    assert one_verdict_each(tmp_path, stub) == 0
    only_empty_markers_are_left(tmp_path / "state")
    early = [run for run in runs(tmp_path) if run.command.startswith("unknown: ")]
    assert {run.result for run in early} == {"lost"}


def only_empty_markers_are_left(state: Path) -> None:
    """Beside the journal's own files: of hcruns that were killed before the command's start."""
    names = {path.name for path in state.iterdir()}
    assert names >= FILES
    left = [state / name for name in names - FILES]
    assert all(path.name.startswith(PREFIX) for path in left)
    assert [path.stat().st_size for path in left] == [0] * len(left)


def kill_when_asked(pid: list[int]) -> Callable[[Exchange], None]:
    """A server that kills hcrun before it answers."""

    def answer(_: Exchange) -> None:
        os.kill(pid[0], 9)

    return answer


@pytest.mark.parametrize(
    ("taken", "only", "expected"),
    [
        (False, "/start", ["fail"]),
        (True, "/start", ["start", "fail"]),
        (False, "/3", ["start", "fail"]),
        (True, "/3", ["start", "fail", "fail"]),
    ],
    ids=["before the start", "after the start", "before the end", "after the end"],
)
def test_killed_around_a_ping(taken: bool, only: str, expected: list[str], tmp_path: Path) -> None:
    """The end is sent again only if the server accepted it and the answer was not recorded."""
    pid: list[int] = []
    with HealthchecksStub() as stub:
        check = stub.add_check()
        stub.fault = Fault(kill_when_asked(pid), only=check.uuid + only, accepted=taken, times=1)
        # The command waits until the test knows hcrun's pid.
        command = ("sh", "-c", "read line; exit 3")
        with start_hcrun(
            tmp_path, check.uuid, "--", *command, stub=stub, stdin=subprocess.PIPE
        ) as process:
            pid.append(process.pid)
            assert process.stdin
            if only == "/3":
                process.stdin.write(b"go\n")
                process.stdin.close()
            assert process.wait(20) == -9
        stub.fault = None
        flush(tmp_path)
    assert [ping.kind for ping in check.pings] == expected
    assert one_verdict_each(tmp_path, stub) == expected.count("fail") - 1
    result = "fail" if only == "/3" else "lost"
    assert [run.result for run in runs(tmp_path)] == [result]
    assert check.status == "down"
    assert not check.started


def test_killed_while_it_delivers_an_old_result(tmp_path: Path) -> None:
    pid: list[int] = []
    with HealthchecksStub() as stub:
        missed, other = stub.add_check(), stub.add_check()
        stub.go_down()
        quick = {"HEALTHCHECKS_RETRY_COUNT": "1"}
        run_hcrun(tmp_path, missed.uuid, "--", "false", stub=stub, env=quick)
        stub.come_back()
        stub.fault = Fault(kill_when_asked(pid), only=missed.uuid, accepted=True, times=1)
        with start_hcrun(
            tmp_path, other.uuid, "--", "cat", stub=stub, stdin=subprocess.PIPE
        ) as process:
            pid.append(process.pid)
            assert process.stdin
            process.stdin.close()
            assert process.wait(20) == -9
        flush(tmp_path)
    assert [ping.kind for ping in missed.pings] == ["fail", "fail"]
    assert [ping.kind for ping in other.pings] == ["start", "success"]
    assert one_verdict_each(tmp_path, stub) == 1


def killed_at(tmp_path: Path, stub: HealthchecksStub, check: Check, call: str, nth: int) -> bool:
    """Run hcrun and kill it at one thread's nth system call; returns whether it came so far."""
    strace = [STRACE, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    strace += ["-e", f"inject={call}:signal=KILL:when={nth}"]
    command = ["sh", "-c", "echo output; exit 3"]
    done = subprocess.run(
        [*strace, sys.executable, "-IS", HCRUN, "0", check.uuid, *command],  # without its sh
        env=environment(tmp_path, stub),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) in ((-9, b""), (3, b""))
    return done.returncode == -9


@needs_strace
@pytest.mark.parametrize(
    ("call", "step", "first"),
    [
        ("sendto", 1, False),
        ("recvfrom", 1, False),
        ("connect", 1, False),
        ("pwrite64", 1, True),
        ("pwrite64", 1, False),
        ("fdatasync", 1, True),
        ("ftruncate", 1, True),
        # Most are of SQLite, several in a row: nothing in the files differs between them.
        ("fcntl", 3, True),
        ("fcntl", 3, False),
    ],
)
def test_killed_at_each_system_call(call: str, step: int, first: bool, tmp_path: Path) -> None:
    """The journal stays usable, and no run is reported twice or not at all.

    first: hcrun has to create the journal; otherwise another process has it open. The calls are
    counted per thread: with `first` the thread that creates the journal is killed, otherwise the
    one that records the end and its delivery.
    """
    nth = 1
    repeated = 0
    while True:
        home = tmp_path / str(nth)
        home.mkdir()
        with HealthchecksStub() as stub:
            check = stub.add_check()
            open_elsewhere = None if first else Journal(str(home / "state"))
            killed = killed_at(home, stub, check, call, nth)
            del open_elsewhere
            done = run_hcrun(home, "--no-start", check.uuid, "--", "true", stub=stub)
            assert (done.returncode, done.stderr) == (0, b""), f"after kill at {call} {nth}"
            flush(home)
        again = one_verdict_each(home, stub)
        assert again <= killed
        repeated += again
        assert not check.started
        assert check.status == "up"
        only_empty_markers_are_left(home / "state")
        if not killed:
            break
        nth += step
    assert nth > 1
    if (call, first) == ("pwrite64", False):
        assert repeated > 0  # between the server's answer and its record


def test_killed_while_the_journal_is_created(tmp_path: Path) -> None:
    """At random moments from when its directory exists, by several runs at once."""
    chance = random.Random(4)
    for number in range(60):
        home = tmp_path / str(number)
        home.mkdir()
        state = home / "state"
        processes = [start_hcrun(home, "job", "--", "true") for _ in range(3)]
        wait_until(state.exists, "the journal is being created")
        time.sleep(chance.uniform(0, 0.01))
        for process in processes:
            process.kill()
        for process in processes:
            with process:
                _, errors = process.communicate()
                assert errors == b""
        done = run_hcrun(home, "job", "--", "true")
        assert (done.returncode, done.stderr) == (0, b"")
        newest, *others = runs(home)
        assert newest.result == "success"
        assert all(run.result in ("success", "lost") for run in others)


@pytest.mark.parametrize("kept", [("journal.db", "journal.db-wal"), None], ids=["files", "all"])
def test_reboot(kept: tuple[str, ...] | None, tmp_path: Path, stub: HealthchecksStub) -> None:
    """A journal with a run in progress, on a host where that process no longer exists."""
    check = stub.add_check()
    with start_hcrun(tmp_path, check.uuid, "--", "sleep", "60", stub=stub) as process:
        stub.wait_for(check, 1)
        after = tmp_path / "after"
        (after / "state").mkdir(parents=True, mode=0o700)
        for path in (tmp_path / "state").iterdir():
            if kept is None or path.name in kept or "url-" in path.name:
                shutil.copy(path, after / "state")
        process.kill()
    (before,) = runs(after)
    assert before.ended is None
    flush(after)
    (lost,) = runs(after)
    assert (lost.run_id, lost.result, lost.duration) == (before.run_id, "lost", None)
    assert [ping.kind for ping in check.pings] == ["start", "fail"]
    assert verdicts(stub) == {lost.run_id: [f"LOST: {lost.why}"]}
    assert re.fullmatch(
        rf"hcrun \(pid {process.pid}\) vanished before the command's end: killed, out of memory or"
        r" a reboot; found at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
        lost.why,
    )
    assert check.status == "down"


def test_a_lost_run_is_reported_once(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Runs of any check find it after a reboot, and only one of them reports it."""
    check = stub.add_check()
    others = [stub.add_check() for _ in range(4)]
    with start_hcrun(tmp_path, check.uuid, "--", "sleep", "60", stub=stub) as process:
        stub.wait_for(check, 1)
        process.kill()
    stub.fault = Fault(delays(0.1))
    processes = [start_hcrun(tmp_path, c.uuid, "--", "true", stub=stub) for c in others]
    for other in processes:
        with other:
            _, errors = other.communicate()
            assert (other.returncode, errors) == (0, b"")
    flush(tmp_path)
    assert Counter(ping.kind for ping in check.pings) == {"start": 1, "fail": 1}
    assert one_verdict_each(tmp_path, stub) == 0
