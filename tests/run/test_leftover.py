"""Processes that outlive the command: what they print later still arrives, as without hcrun."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.command import HCRUN, PATIENCE, environment, last_run, lives, wait_until

# The worker waits until hcrun has ended, then prints, and shows that it still lives.
WORKER = "(read x <ended; echo tick; echo tock >&2; echo yes >alive) & echo started"


class Shell:
    """A shell in which $hcrun leaves $worker behind."""

    def __init__(self, tmp_path: Path, line: str, worker: str) -> None:
        os.mkfifo(tmp_path / "ended")
        self._fifo = os.open(tmp_path / "ended", os.O_RDWR | os.O_NONBLOCK)
        self.process = subprocess.Popen(
            ["bash", "-c", f"cd {tmp_path}; {line}"],
            env=environment(tmp_path) | {"hcrun": HCRUN, "worker": worker},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def release_worker(self) -> None:
        os.write(self._fifo, b"\n")

    def close(self) -> tuple[bytes, bytes]:
        """What it and the worker print, until both have ended."""
        try:
            return self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
            os.close(self._fifo)


@contextmanager
def leave_worker(tmp_path: Path, line: str, worker: str = WORKER) -> Iterator[Shell]:
    shell = Shell(tmp_path, line, worker)
    try:
        yield shell
    finally:
        shell.release_worker()
        shell.close()


@pytest.mark.parametrize(
    ("options", "redirection", "output"),
    [
        ("", ">log", "started\ntick\n"),
        ("", ">>log", "started\ntick\n"),
        ("", ">>log 2>&1", "started\ntick\ntock\n"),
        ("", ">>log 2>>log", "started\ntick\ntock\n"),
        ("", "2>log", "tock\n"),
        ("", "2>&1 | tee log >&2", "started\ntick\ntock\n"),
        ("", "> >(tee log >&2)", "started\ntick\n"),
        ("--quiet", ">log 2>&1", ""),  # the run succeeded
        ("--timeout 1h --idle-timeout 1h", ">log", "started\ntick\n"),
    ],
)
def test_output_after_the_end(tmp_path: Path, options: str, redirection: str, output: str) -> None:
    line = f'($hcrun {options} job -- sh -c "$worker"; echo $? >status) {redirection}'
    with leave_worker(tmp_path, line):
        wait_until((tmp_path / "status").exists, "hcrun has ended")
        run = last_run(tmp_path)
        assert (run.result, run.excerpt.head) == ("success", "started\n")
        assert (run.duration or 9) < 2
    wait_until((tmp_path / "alive").exists, "the worker has survived")
    wait_until(lambda: (tmp_path / "log").read_text() == output, "all output has arrived")


def test_at_a_terminal(tmp_path: Path) -> None:
    """The worker's stderr is a terminal that has vanished, and its stdout is a file."""
    line = """script -E never -qec "$hcrun job -- sh -c '$worker' >>log; echo >status" /dev/null"""
    with leave_worker(tmp_path, line, WORKER.replace("echo tock >&2;", "")):
        wait_until((tmp_path / "status").exists, "hcrun has ended")
    wait_until((tmp_path / "alive").exists, "the worker has survived")
    wait_until(lambda: (tmp_path / "log").read_text() == "started\ntick\n", "all has arrived")


def readers(tmp_path: Path) -> list[int]:
    """The processes that pass on what a worker prints to tmp_path/log."""
    log, found = str(tmp_path / "log"), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.joinpath("fd/1").readlink() == Path(log):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def holds_only_the_standard_descriptors(process: Path) -> bool:
    """A shell has others while it starts."""
    return sorted(fd.name for fd in process.joinpath("fd").iterdir()) == ["0", "1", "2"]


def test_a_reader_holds_nothing_else(tmp_path: Path) -> None:
    """No directory, no other descriptor (a lock of hcrun's parent), no signal that ends a job."""
    worker = WORKER.replace("(", "(exec 9>&-; ")
    command = 'PATH=/nowhere $hcrun --overlap skip job -- /bin/sh -c "$worker"'
    line = f"exec 9>lock; flock 9; {command} >log 2>&1; exec 9>&-; echo >status"
    with leave_worker(tmp_path, line, worker):
        wait_until((tmp_path / "status").exists, "hcrun has ended")
        assert subprocess.run(["flock", "-n", str(tmp_path / "lock"), "true"]).returncode == 0
        found = readers(tmp_path)
        assert found
        for pid in found:
            process = Path(f"/proc/{pid}")
            wait_until(partial(holds_only_the_standard_descriptors, process), "it has started")
            assert process.joinpath("cwd").readlink() == Path("/")
            assert os.getpgid(pid) in found
            os.kill(pid, 1)
            os.kill(pid, 15)
        memory = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in found]
        sizes = [int(text.split("Pss:")[1].split()[0]) for text in memory]
        assert sum(sizes) < 2_000  # KiB; one Python process takes 8,000
    wait_until(lambda: (tmp_path / "log").read_text() == "started\ntick\ntock\n", "all is there")
    wait_until(lambda: not any(map(lives, found)), "the readers end with the worker")


def test_the_reader_of_the_output_ends(tmp_path: Path) -> None:
    """The worker gets SIGPIPE, as without hcrun."""
    worker = "(read x <ended; yes; kill -l $? >signal) & echo started"
    line = '($hcrun job -- sh -c "$worker"; echo >status) 2>log | head -2'
    with leave_worker(tmp_path, line, worker) as shell:
        assert shell.process.stdout
        wait_until((tmp_path / "status").exists, "hcrun has ended")
        shell.release_worker()
        assert shell.process.stdout.read() == b"started\ny\n"
    wait_until(lambda: (tmp_path / "signal").exists(), "yes has ended")
    wait_until(lambda: (tmp_path / "signal").read_text() == "PIPE\n", "by SIGPIPE")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_disk(tmp_path: Path) -> None:
    """The worker goes on, and its output is written again when the disk has room."""
    worker = (
        "(read x <ended; seq 100000; rm disk/filler;"  # more than a pipe holds
        " until grep -q tick disk/log; do echo tick; sleep 0.1; done; echo yes >alive) & echo on"
    )
    script = (
        "mkdir disk; mount -t tmpfs -o size=64k tmpfs disk; exec >disk/log 2>errors;"
        'cat /dev/zero >disk/filler; $hcrun job -- sh -c "$worker"; echo >status; wait'
    )
    with leave_worker(tmp_path, f"exec unshare -m bash -c '{script}'", worker) as shell:
        wait_until((tmp_path / "status").exists, "hcrun has ended")
        assert (
            "cannot write to stdout: No space left on device" in (tmp_path / "errors").read_text()
        )
        shell.release_worker()
        wait_until((tmp_path / "alive").exists, "the output is written again")
