"""Law 1: the command starts at once, whatever server, resolver, journal and settings do.

By the order of events, not by the clock: nothing that may take long is even begun before the
command runs, and what never ends does not keep the command from its own end.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hcrun.journal.journal import Journal
from tests.stub.healthchecks import Fault, HealthchecksStub, answers, delays, hangs
from tests.support.audit import audited, events
from tests.support.command import last_run, run_hcrun, start_hcrun, wait_until

pytestmark = pytest.mark.slow

HURRY = ("--deadline", "1s")
LATER = "a later run or `hcctl flush` delivers it"


def test_before_the_spawn_only_python_sources_are_opened(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    """No settings, no journal, no resolver, no connection."""
    check = stub.add_check()
    env_file = tmp_path / "hcrun.env"
    env_file.write_text("HEALTHCHECKS_RETRY_COUNT=2\n")
    env = {"HCRUN_ENV_FILE": str(env_file)}
    with audited(tmp_path, check.uuid, "--", "true", stub=stub, env=env) as process:
        assert process.communicate() == (b"", b"")
    seen = events(tmp_path)
    (at,) = (n for n, event in enumerate(seen) if event.name == "os.posix_spawn")
    for event in seen[:at]:
        assert event.name == "open"
        # The latter are no files: LC_CTYPE as it was given, and hcrun's own stdout and stderr.
        assert event.text.endswith((".py", ".pyc")) or event.text.startswith("/proc/self/")
    after = {event.name for event in seen[at:]}
    assert after >= {"socket.getaddrinfo", "socket.connect", "sqlite3.connect"}
    assert str(env_file) in [event.text for event in seen[at:]]
    assert [ping.kind for ping in check.pings] == ["start", "success"]


COMMAND = ("sh", "-c", "echo hello; cat; echo bye")


def runs_now(process: subprocess.Popen[bytes]) -> None:
    """COMMAND has started; it ends when its input does."""
    assert process.stdout
    assert process.stdout.readline() == b"hello\n"


@pytest.mark.parametrize("event", ["socket.getaddrinfo", "socket.connect", "sqlite3.connect"])
def test_a_call_that_never_returns(event: str, tmp_path: Path, stub: HealthchecksStub) -> None:
    """A resolver, a server or a disk that hangs: the command runs to its end, hcrun leaves."""
    check = stub.add_check()
    options = (*HURRY, check.uuid, "--", *COMMAND)
    with audited(tmp_path, *options, stub=stub, hangs=event) as process:
        runs_now(process)
        wait_until(lambda: event in [e.name for e in events(tmp_path)], f"in {event}")
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, b"bye\n")
    said = errors.decode()
    assert check.pings == []
    if event == "sqlite3.connect":
        assert said == "hcrun: not recorded: settings or journal did not answer in time\n"
    else:
        assert said == f"hcrun: result not delivered: no answer in time; {LATER}\n"
        assert last_run(tmp_path).result == "success"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(hangs),
        Fault(hangs, on_accept=True),
        Fault(delays(600)),
        Fault(delays(600), accepted=True),
        Fault(answers(503)),
    ],
    ids=["hangs", "hangs at once", "is slow", "is slow to answer", "is in trouble"],
)
def test_a_server_that_does_not_answer(
    fault: Fault, tmp_path: Path, stub: HealthchecksStub
) -> None:
    check = stub.add_check()
    stub.fault = fault
    with start_hcrun(
        tmp_path, *HURRY, check.uuid, "--", *COMMAND, stub=stub, stdin=subprocess.PIPE
    ) as process:
        runs_now(process)
        stub.wait_until(lambda: stub.connections > 0, 20)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, b"bye\n")
    assert errors.decode().startswith("hcrun: result not delivered: ")
    assert errors.decode().endswith(f"; {LATER}\n")
    assert errors.count(b"\n") == 1


def test_a_server_that_answers_after_the_end_of_the_command(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    """The slow server gets start and end, in this order, once the command is over."""
    check = stub.add_check()
    stub.fault = Fault(delays(0.5))
    options = ("--", "sh", "-c", f"test ! -e {tmp_path / 'taken'}")
    done = run_hcrun(tmp_path, check.uuid, *options, stub=stub)
    assert (done.returncode, done.stderr) == (0, b"")
    start, end = check.pings
    assert (start.kind, end.kind) == ("start", "success")
    assert last_run(tmp_path).ended is not None
    assert (last_run(tmp_path).ended or 0) < start.received_wall


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port that drops what it is sent: connecting to it neither works nor fails."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_black_hole(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    with full_backlog() as port:
        env = {"HEALTHCHECKS_PING_URL": f"http://127.0.0.1:{port}/ping"}
        options = (*HURRY, check.uuid, "--", *COMMAND)
        with start_hcrun(tmp_path, *options, stub=stub, env=env, stdin=subprocess.PIPE) as process:
            runs_now(process)
            output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, b"bye\n")
    # The ping, and who waits for it, have the same deadline.
    why = errors.decode().replace("cannot reach the server: ", "")
    assert why == f"hcrun: result not delivered: no answer in time; {LATER}\n"


def test_a_dead_server(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    stub.go_down()
    options = ("--deadline", "60s", check.uuid, "--", *COMMAND)
    with start_hcrun(tmp_path, *options, stub=stub, stdin=subprocess.PIPE) as process:
        runs_now(process)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, b"bye\n")
    host = stub.ping_url.split("/")[2]
    assert errors.decode() == (
        "hcrun: result not delivered: cannot reach the server:"
        f" {host}: Connection refused; {LATER}\n"
    )


@pytest.mark.slow
def test_settings_that_hang(tmp_path: Path) -> None:
    """An env file on a dead network mount; here a pipe that nobody writes to."""
    pipe = tmp_path / "hcrun.env"
    os.mkfifo(pipe)
    env = {"HCRUN_ENV_FILE": str(pipe)}
    with start_hcrun(tmp_path, "job", "--", *COMMAND, env=env, stdin=subprocess.PIPE) as process:
        runs_now(process)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, b"bye\n")
    assert errors == b"hcrun: not recorded: settings or journal did not answer in time\n"


@pytest.mark.slow
def test_a_journal_that_is_locked(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Another program writes to it the whole time."""
    check = stub.add_check()
    Journal(str(tmp_path / "state"))
    other = sqlite3.connect(tmp_path / "state" / "journal.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with start_hcrun(
        tmp_path, check.uuid, "--", *COMMAND, stub=stub, stdin=subprocess.PIPE
    ) as process:
        runs_now(process)
        output, errors = process.communicate(timeout=30)
    other.close()
    assert (process.returncode, output) == (0, b"bye\n")
    assert errors.decode() == (
        f"hcrun: not recorded: {tmp_path}/state/journal.db: database is locked;"
        " make its directory writable, free some space, or set STATE_DIRECTORY\n"
    )
    assert [ping.kind for ping in check.pings] == ["start", "success"]
