"""The command starts at once, whatever the server, resolver, journal and settings do.

The order of events shows it, not the clock: nothing that may take long starts before the command,
and what hangs does not delay the command's end.
"""

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
NOT_RECORDED = "hcrun: not recorded: settings or journal did not answer in time\n"
LATER = "a later run or `hcctl flush` delivers it"


def test_before_the_spawn_only_python_sources_are_opened(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    """No settings, no journal, no resolver, no connection; only a marker that a run starts."""
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
        # The second are no files: LC_CTYPE as it was given, and hcrun's own stdout and stderr.
        assert event.text.endswith((".py", ".pyc")) or event.text.startswith(
            ("/proc/self/", f"{tmp_path}/state/journal.db.start-")
        )
    after = {event.name for event in seen[at:]}
    assert after >= {"socket.getaddrinfo", "socket.connect", "sqlite3.connect"}
    assert str(env_file) in [event.text for event in seen[at:]]
    assert [ping.kind for ping in check.pings] == ["start", "success"]


COMMAND = ("sh", "-c", "echo hello; cat; echo bye")


def check_start(process: subprocess.Popen[bytes]) -> None:
    """COMMAND has started; it ends when its input does."""
    assert process.stdout
    assert process.stdout.readline() == b"hello\n"


def check_end(process: subprocess.Popen[bytes]) -> str:
    """COMMAND runs to its end; returns what hcrun prints about it."""
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, b"bye\n")
    assert errors.count(b"\n") == 1
    return errors.decode()


@pytest.mark.parametrize(
    "event", ["open marker", "socket.getaddrinfo", "socket.connect", "sqlite3.connect"]
)
def test_a_call_that_never_returns(event: str, tmp_path: Path, stub: HealthchecksStub) -> None:
    """A resolver, a server or a disk that hangs."""
    check = stub.add_check()
    options = (*HURRY, check.uuid, "--", *COMMAND)
    with audited(tmp_path, *options, stub=stub, hangs=event) as process:
        check_start(process)
        wait_until(lambda: event in [e.name for e in events(tmp_path)], f"in {event}")
        if event == "open marker":  # everything else works
            assert process.communicate() == (b"bye\n", b"")
            assert [ping.kind for ping in check.pings] == ["start", "success"]
            return
        message = check_end(process)
    assert check.pings == []
    if event == "sqlite3.connect":
        assert message == NOT_RECORDED
    else:
        assert message == f"hcrun: result not delivered: no answer in time; {LATER}\n"
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
    options = (*HURRY, check.uuid, "--", *COMMAND)
    with start_hcrun(tmp_path, *options, stub=stub, stdin=subprocess.PIPE) as process:
        check_start(process)
        stub.wait_until(lambda: stub.connections > 0, 20)
        message = check_end(process)
    assert message.startswith("hcrun: result not delivered: ")
    assert message.endswith(f"; {LATER}\n")


def test_a_server_that_answers_after_the_end_of_the_command(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    """It gets start and end in this order."""
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
    """A port to which connecting neither works nor fails."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_server_that_cannot_be_reached(tmp_path: Path, stub: HealthchecksStub) -> None:
    options = (*HURRY, stub.add_check().uuid, "--", *COMMAND)
    with full_backlog() as port:
        env = {"HEALTHCHECKS_PING_URL": f"http://127.0.0.1:{port}/ping"}
        with start_hcrun(tmp_path, *options, stub=stub, env=env, stdin=subprocess.PIPE) as process:
            check_start(process)
            # The ping, and the call that waits for it, have the same deadline.
            assert "no answer in time" in check_end(process)


def test_a_server_that_is_down(tmp_path: Path, stub: HealthchecksStub) -> None:
    options = ("--deadline", "60s", stub.add_check().uuid, "--", *COMMAND)
    stub.go_down()
    with start_hcrun(tmp_path, *options, stub=stub, stdin=subprocess.PIPE) as process:
        check_start(process)
        assert "Connection refused" in check_end(process)


def test_settings_that_hang(tmp_path: Path) -> None:
    """A pipe without a writer is like an env file on a dead network mount."""
    pipe = tmp_path / "hcrun.env"
    os.mkfifo(pipe)
    env = {"HCRUN_ENV_FILE": str(pipe)}
    with start_hcrun(tmp_path, "job", "--", *COMMAND, env=env, stdin=subprocess.PIPE) as process:
        check_start(process)
        assert check_end(process) == NOT_RECORDED


def test_a_locked_journal(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Another program writes to it the whole time."""
    check = stub.add_check()
    Journal(str(tmp_path / "state"))
    other = sqlite3.connect(tmp_path / "state" / "journal.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    options = (check.uuid, "--", *COMMAND)
    with start_hcrun(tmp_path, *options, stub=stub, stdin=subprocess.PIPE) as process:
        check_start(process)
        message = check_end(process)
    other.close()
    path = f"{tmp_path}/state/journal.db"
    assert message.startswith(f"hcrun: not recorded: {path}: database is locked")
    assert [ping.kind for ping in check.pings] == ["start", "success"]
