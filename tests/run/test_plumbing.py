"""Readers of the output that end, break or are slow."""

import os
import socket
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from hcrun.run.output import Tail
from tests.stub.healthchecks import Fault, HealthchecksStub, hangs
from tests.support.command import (
    HCRUN,
    last_run,
    lives,
    run_hcrun,
    run_program,
    start_hcrun,
    wait_until,
)

GONE = "hcrun: the reader of stdout ended before the output did\n"


def message(name: str, error: str) -> str:
    kept = "only the beginning and the end of the output are recorded"
    return f"hcrun: cannot write to {name}: {error}; {kept}\n"


def shell(tmp_path: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which `$hcrun` is hcrun."""
    return run_program(tmp_path, "bash", "-c", script, "bash", *words, env={"hcrun": HCRUN})


@pytest.mark.parametrize(
    ("command", "status", "why"),
    [
        ("-- yes", 141, "killed by SIGPIPE"),
        ("-- yes 2>&1", 141, "killed by SIGPIPE"),
        ("-- sh -c 'exec yes >&2' 2>&1 >$1/out", 141, "killed by SIGPIPE"),
        ("-- sh -c 'trap \"\" PIPE; yes 2>/dev/null; exit 3'", 3, "exit status 3"),  # sees EPIPE
        ("-- sh -c 'yes & wait $!'", 141, "exit status 141"),
        ("-- $python -c 'while True: print(1)'", 1, "exit status 1"),
        ("--tty -- sh -c 'while :; do echo || sleep 60; done'", 129, "killed by SIGHUP"),
        ("--tty -- sh -c 'trap \"\" HUP; yes; exit 3'", 3, "exit status 3"),  # sees EIO
    ],
)
def test_a_reader_that_ends(
    tmp_path: Path, stub: HealthchecksStub, command: str, status: int, why: str
) -> None:
    """Without hcrun the command would be killed by SIGPIPE, or see EPIPE."""
    check = stub.add_check()
    options, words = command.split("-- ", 1)
    script = f"{HCRUN} {options} {check.uuid} -- {words} | head -1; echo ${{PIPESTATUS[0]}}"
    env = {"python": sys.executable}
    done = run_program(tmp_path, "bash", "-c", script, "bash", str(tmp_path), stub=stub, env=env)
    assert done.stdout.splitlines()[-1] == str(status)
    run = last_run(tmp_path)
    assert (run.status, run.result) == (status, "fail")
    assert run.why.startswith(why)
    assert (check.status, check.pings[-1].exitstatus) == ("down", status)
    assert (GONE in done.stderr) == ("2>&1" not in command)


def test_a_reader_of_the_other_stream_only(tmp_path: Path) -> None:
    """The command still has its stderr, and what it printed there is all recorded."""
    inner = "trap '' PIPE; seq 200000 2>/dev/null; seq 3 >&2"
    done = shell(tmp_path, f'$hcrun job -- sh -c "{inner}" | head -1; echo ${{PIPESTATUS[0]}}')
    assert (done.stdout, done.stderr) == ("1\n0\n", f"1\n2\n3\n{GONE}")
    kept = last_run(tmp_path).excerpt
    assert (kept.head + kept.tail).endswith("1\n2\n3\n")


def test_a_retry_without_a_reader(tmp_path: Path) -> None:
    """It would be killed as well."""
    inner = f"echo >>{tmp_path}/tries; exec yes"
    done = shell(tmp_path, f"$hcrun --retries 3 job -- sh -c '{inner}' | head -1")
    assert (done.stdout, done.stderr) == ("y\n", GONE)
    assert (tmp_path / "tries").read_text() == "\n"


@pytest.mark.parametrize("is_journal", [False, True])
def test_a_socket_whose_reader_ends(tmp_path: Path, is_journal: bool) -> None:
    """A service of systemd outlives the journal: there SIGPIPE is ignored."""
    ours, theirs = socket.socketpair()
    status = os.fstat(theirs.fileno())
    number = status.st_ino if is_journal else 1
    script = "echo on; read x; seq 100000"
    with start_hcrun(
        tmp_path,
        *("job", "--", "sh", "-c", script),
        stdin=subprocess.PIPE,
        stdout=theirs.fileno(),
        env={"JOURNAL_STREAM": f"{status.st_dev}:{number}"},
    ) as hcrun:
        assert ours.recv(10) == b"on\n"
        ours.close()
        errors = hcrun.communicate(b"\n")[1].decode()
    theirs.close()
    if is_journal:
        assert (hcrun.returncode, errors) == (0, message("stdout", "Broken pipe"))
        assert last_run(tmp_path).excerpt.tail.endswith("\n100000\n")
    else:
        assert (hcrun.returncode, errors) == (141, GONE)


@pytest.mark.parametrize("options", ["", "--quiet"])
def test_a_reader_that_ends_after_the_command(tmp_path: Path, options: str) -> None:
    """The command has printed everything, so its result does not change."""
    read, write = os.pipe()
    os.close(read)
    words = (*options.split(), "job", "--", "sh", "-c", "seq 3; exit 3")
    with start_hcrun(tmp_path, *words, stdout=write) as hcrun:
        assert hcrun.communicate()[1].decode() == GONE
        assert hcrun.returncode == 3
    os.close(write)
    assert last_run(tmp_path).excerpt.head == "1\n2\n3\n"


def test_a_full_disk(tmp_path: Path) -> None:
    done = shell(tmp_path, "$hcrun job -- sh -c 'seq 100000; echo err >&2' >/dev/full; echo $?")
    assert done.stdout == "0\n"
    assert done.stderr == f"err\n{message('stdout', 'No space left on device')}"
    assert last_run(tmp_path).result == "success"


def test_a_file_size_limit(tmp_path: Path) -> None:
    """SIGXFSZ does not end hcrun."""
    done = shell(tmp_path, "ulimit -f 8; $hcrun job -- seq 20000 >$1; echo $?", f"{tmp_path}/out")
    assert done.stdout == "0\n"
    assert message("stdout", "File too large") in done.stderr


def test_both_outputs_broken(tmp_path: Path) -> None:
    done = shell(tmp_path, "$hcrun job -- sh -c 'echo out; echo err >&2; exit 3' >/dev/full 2>&1")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    assert sorted(last_run(tmp_path).excerpt.head.split()) == ["err", "out"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors(tmp_path: Path, closed: str) -> None:
    inner = "test -e /proc/self/fd/0 && echo stdin; echo out; echo err >&2; exit 3"
    done = shell(tmp_path, f'$hcrun job -- sh -c "$1" {closed}', inner)
    assert done.returncode == 3
    stdin = "" if "<&-" in closed else "stdin\n"
    assert done.stdout == ("" if " >&-" in f" {closed}" else f"{stdin}out\n")
    assert done.stderr == ("" if "2>&-" in closed else "err\n")
    assert sorted(last_run(tmp_path).excerpt.head.split()) == sorted(f"{stdin}out err".split())


def test_a_daemon_that_keeps_the_pipes_open(tmp_path: Path) -> None:
    with start_hcrun(tmp_path, "job", "--", "sh", "-c", "sleep 60 & echo $!") as hcrun:
        assert hcrun.stdout
        pid = int(hcrun.stdout.readline())
        started = time.monotonic()
        assert hcrun.wait(20) == 0
        assert time.monotonic() - started < 10  # 0.5 s on an idle machine
        os.kill(pid, 15)  # it lives
    assert (last_run(tmp_path).duration or 99) < 10


def test_a_daemon_that_prints_forever_to_a_slow_reader(tmp_path: Path) -> None:
    with start_hcrun(tmp_path, "job", "--", "sh", "-c", "yes & echo $! >&2") as hcrun:
        assert hcrun.stdout
        assert hcrun.stderr
        pid = int(hcrun.stderr.readline())
        try:
            started = time.monotonic()
            while hcrun.poll() is None:
                os.read(hcrun.stdout.fileno(), 4096)
                time.sleep(0.001)
                assert time.monotonic() - started < 20
        finally:
            if lives(pid):
                os.kill(pid, 9)


def test_output_of_a_child_that_ends_later(tmp_path: Path) -> None:
    """`cmd > >(filter)`: the filter prints its last lines after the command's end."""
    script = "exec > >(cat; sleep 0.05; echo filtered); echo line"
    done = run_hcrun(tmp_path, "job", "--", "bash", "-c", script)
    assert done.stdout == b"line\nfiltered\n"


def test_a_slow_reader_gets_everything(tmp_path: Path) -> None:
    """The command's output fits into the pipes, so it ends long before."""
    with start_hcrun(tmp_path, "job", "--", "seq", "50000") as hcrun:
        assert hcrun.stdout
        time.sleep(1.5)  # longer than hcrun lingers for output
        text = hcrun.stdout.read().decode()
    assert text == "".join(f"{number}\n" for number in range(1, 50001))


def test_a_signal_while_the_reader_does_not_read(tmp_path: Path) -> None:
    """Output without a reader does not keep hcrun when it must end, and is not lost."""
    script = "seq 50000; echo ended >&2"  # fits into the pipes
    with start_hcrun(tmp_path, "job", "--", "sh", "-c", script) as hcrun:
        assert hcrun.stdout
        assert hcrun.stderr
        assert hcrun.stderr.readline() == b"ended\n"
        hcrun.terminate()
        assert hcrun.wait(20) in (0, 143)
        text = hcrun.stdout.read().decode()
    assert text == "".join(f"{number}\n" for number in range(1, 50001))


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_nonblocking_stdout(tmp_path: Path, kind: str) -> None:
    """If another program left O_NONBLOCK behind, nothing is lost, and the flag stays."""
    if kind == "pipe":
        read, write = os.pipe()
    else:
        read, write = (end.detach() for end in socket.socketpair())
    os.set_blocking(write, False)
    with start_hcrun(tmp_path, "job", "--", "seq", "100000", stdout=write) as hcrun:
        assert not os.get_blocking(write)
        os.close(write)
        time.sleep(0.2)  # it is full by now
        with open(read, "rb") as file:
            text = file.read().decode()
        assert hcrun.communicate()[1] == b""
    assert text == "".join(f"{number}\n" for number in range(1, 100001))


def test_a_blocking_stdout_stays_blocking(tmp_path: Path) -> None:
    """The shell and all its other programs share the flag O_NONBLOCK."""
    read, write = os.pipe()
    script = "echo on; read x"
    with start_hcrun(
        tmp_path, "job", "--", "sh", "-c", script, stdin=subprocess.PIPE, stdout=write
    ) as hcrun:
        assert os.read(read, 10) == b"on\n"
        assert os.get_blocking(write)
        hcrun.communicate(b"\n")
    os.close(read)
    os.close(write)


def test_the_reader_sees_the_end_before_the_ping_is_sent(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    """A server that does not answer does not delay `hcrun x -- cmd | sort`."""
    stub.fault = Fault(hangs)
    words = ("--no-start", stub.add_check().uuid, "--", "echo", "hi")
    with start_hcrun(tmp_path, *words, stub=stub) as hcrun:
        assert hcrun.stdout
        started = time.monotonic()
        assert hcrun.stdout.read() == b"hi\n"
        assert time.monotonic() - started < 10  # hcrun stays for 20 s
        hcrun.terminate()


def test_many_small_pieces_use_little_memory() -> None:
    tail = Tail()
    tracemalloc.start()
    try:
        for _ in range(50_000):
            tail.add(b"x" * 100)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    head, omitted, end = tail.output()
    assert len(head) + omitted + len(end) == 5_000_000


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--quiet",), ("--expect", "zzz")])
@pytest.mark.parametrize(
    "command", ["yes ''", "yes 'a line of the usual length, as in a log'", "cat /dev/zero"]
)
def test_memory_is_bounded(tmp_path: Path, command: str, options: tuple[str, ...]) -> None:
    script = f"{command} | head -c 30000000; echo >ended; read x"
    with start_hcrun(
        tmp_path,
        *options,
        "job",
        *("--", "sh", "-c", f"cd {tmp_path}; {script}"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as hcrun:
        wait_until(lambda: (tmp_path / "ended").exists(), "ended")
        status = Path(f"/proc/{hcrun.pid}/status").read_text()
        hcrun.communicate(b"\n")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    assert int(peak.split()[1]) < 25_000  # KiB
