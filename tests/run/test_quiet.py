"""--quiet: the output is printed only if the run fails."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command import (
    HCRUN,
    environment,
    last_run,
    run_program,
    run_script,
    start_hcrun,
    wait_until,
)

BOTH = "echo out 1; sleep 0.05; echo err 1 >&2; sleep 0.05; echo out 2; exit "


def test_success_prints_nothing(tmp_path: Path) -> None:
    done = run_script(tmp_path, BOTH + "0", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert last_run(tmp_path).excerpt.head == "out 1\nerr 1\nout 2\n"


@pytest.mark.parametrize("directory", ["", "missing"])
def test_failure_prints_everything(tmp_path: Path, directory: str) -> None:
    done = run_script(tmp_path, BOTH + "3", "-q", env={"TMPDIR": str(tmp_path / directory)})
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out 1\nout 2\n", b"err 1\n")


def test_the_order_of_both_streams(tmp_path: Path) -> None:
    done = run_program(tmp_path, "sh", "-c", f"{HCRUN} -q job -- sh -c '{BOTH}3' 2>&1")
    assert done.stdout == "out 1\nerr 1\nout 2\n"


@pytest.mark.parametrize(
    ("options", "end", "status", "output"),
    [
        ("--expect deleted", "exit 0", 0, b"out\n"),
        ("--reject out", "exit 0", 0, b"out\n"),
        ("--min-runtime 1h", "exit 0", 0, b"out\n"),
        ("--timeout 0.3s", "sleep 60", 124, b"out\n"),
        ("--on-exit 3=success", "exit 3", 3, b""),
    ],
)
def test_all_options_decide_on_failure(
    tmp_path: Path, options: str, end: str, status: int, output: bytes
) -> None:
    done = run_script(tmp_path, f"echo out; {end}", f"--quiet {options}")
    assert (done.returncode, done.stdout) == (status, output)


def test_large_output_is_exact(tmp_path: Path) -> None:
    script = "head -c 3000000 /dev/urandom | tee /dev/stderr; exit 1"
    done = run_script(tmp_path, script, "--quiet")
    assert len(done.stdout) == 3_000_000
    assert done.stdout == done.stderr


def test_a_retry_that_succeeds_prints_nothing(tmp_path: Path) -> None:
    script = f"cd {tmp_path}; echo out; echo x >>tries; [ $(wc -l <tries) = 2 ]"
    done = run_script(tmp_path, script, "--quiet --retries 2")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_full_disk_drops_the_middle(tmp_path: Path) -> None:
    """A limit on the size of files has the same effect as a full disk, and needs no root."""
    done = subprocess.run(
        ["bash", "-c", f'ulimit -f 128; {HCRUN} -q job -- sh -c "seq 100000; exit 3"'],
        env=environment(tmp_path),
        capture_output=True,
    )
    assert done.returncode == 3
    everything = "".join(f"{number}\n" for number in range(1, 100001))
    text = done.stdout.decode()
    dropped = len(everything) - len(text)
    assert dropped > 100_000
    message = f"hcrun: {dropped} bytes of output were dropped: File too large\n"
    assert message in done.stderr.decode()
    kept = len(text) - 64 * 1024
    assert kept > 0
    assert text == everything[:kept] + everything[-64 * 1024 :]


def test_a_signal_while_the_reader_does_not_read(tmp_path: Path) -> None:
    """hcrun waits for a slow reader until it is asked to end."""
    script = f"head -c 1000000 /dev/zero; touch {tmp_path}/ended; exit 3"
    with start_hcrun(tmp_path, "--quiet", "job", "--", "sh", "-c", script) as hcrun:
        wait_until((tmp_path / "ended").exists, "the command has ended")
        assert hcrun.stdout
        os.read(hcrun.stdout.fileno(), 1)  # hcrun prints
        assert hcrun.poll() is None
        hcrun.terminate()
        assert hcrun.wait(20) == 3
