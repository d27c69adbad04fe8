"""--quiet: the output is printed only if the command failed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command import HCRUN, environment, last_run, run_hcrun, start_hcrun, wait_until

# The two streams in turn, each line once the one before has been recorded.
BOTH = "echo out 1; sleep 0.05; echo err 1 >&2; sleep 0.05; echo out 2; exit "


def test_nothing_is_printed_when_it_succeeds(tmp_path: Path) -> None:
    done = run_hcrun(tmp_path, "--quiet", "job", "--", "sh", "-c", BOTH + "0")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert last_run(tmp_path).excerpt.head == "out 1\nerr 1\nout 2\n"


def test_all_is_printed_when_it_fails(tmp_path: Path) -> None:
    done = run_hcrun(tmp_path, "-q", "job", "--", "sh", "-c", BOTH + "3")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out 1\nout 2\n", b"err 1\n")


def test_in_the_order_in_which_it_came(tmp_path: Path) -> None:
    done = subprocess.run(
        [HCRUN, "--quiet", "job", "--", "sh", "-c", BOTH + "3"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.stdout == b"out 1\nerr 1\nout 2\n"


@pytest.mark.parametrize(
    ("options", "status", "printed"),
    [
        (["--expect", "deleted"], 0, True),
        (["--reject", "out"], 0, True),
        (["--min-runtime", "1h"], 0, True),
        (["--on-exit", "3=success"], 3, False),
    ],
)
def test_failed_is_what_hcrun_counts_as_failed(
    tmp_path: Path, options: list[str], status: int, printed: bool
) -> None:
    script = f"echo out; exit {status}"
    done = run_hcrun(tmp_path, "--quiet", *options, "job", "--", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (status, b"out\n" if printed else b"")


def test_a_timeout_prints_what_there_was(tmp_path: Path) -> None:
    words = ("--quiet", "--timeout", "0.3s", "job", "--", "sh", "-c", "echo out; sleep 60")
    done = run_hcrun(tmp_path, *words)
    assert (done.returncode, done.stdout) == (124, b"out\n")
    assert done.stderr == b"hcrun: timed out (--timeout 0.3 s)\n"


def test_much_output_is_exact(tmp_path: Path) -> None:
    script = "head -c 3000000 /dev/urandom | tee /dev/stderr; exit 1"
    done = run_hcrun(tmp_path, "--quiet", "job", "--", "sh", "-c", script)
    assert len(done.stdout) == 3_000_000
    assert done.stdout == done.stderr


def test_attempts_that_failed_before_one_succeeded_are_not_printed(tmp_path: Path) -> None:
    script = f"cd {tmp_path}; echo out; echo x >>tries; [ $(wc -l <tries) = 2 ]"
    done = run_hcrun(tmp_path, "--quiet", "--retries", "2", "job", "--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_missing_tmpdir_does_not_matter(tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path / "missing")}
    done = run_hcrun(tmp_path, "--quiet", "job", "--", "sh", "-c", BOTH + "3", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out 1\nout 2\n", b"err 1\n")


def test_a_full_disk_costs_the_middle(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk, as that needs no root."""
    script = "seq 100000; exit 3"
    done = subprocess.run(
        ["bash", "-c", f'ulimit -f 128; exec {HCRUN} --quiet job -- sh -c "$0"', script],
        env=environment(tmp_path),
        capture_output=True,
    )
    everything = "".join(f"{number}\n" for number in range(1, 100001))
    assert done.returncode == 3
    text = done.stdout.decode()
    lost = len(everything) - len(text)
    assert lost > 100_000
    assert f"hcrun: {lost} bytes could not be held back: File too large\n" in done.stderr.decode()
    kept = len(text) - 64 * 1024
    assert kept > 0
    assert text == everything[:kept] + everything[-64 * 1024 :]


def test_a_reader_that_does_not_read_and_a_signal(tmp_path: Path) -> None:
    """hcrun waits for it, unless it is told to end."""
    script = f"head -c 1000000 /dev/zero; touch {tmp_path}/ended; exit 3"
    with start_hcrun(tmp_path, "--quiet", "job", "--", "sh", "-c", script) as hcrun:
        wait_until((tmp_path / "ended").exists, "the command has ended")
        assert hcrun.stdout
        os.read(hcrun.stdout.fileno(), 1)  # it is printing
        assert hcrun.poll() is None
        hcrun.terminate()
        assert hcrun.wait(20) == 3
    assert last_run(tmp_path).status == 3
