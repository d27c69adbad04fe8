"""hcrun changes nothing for the command: argv, streams, environment, signals, descriptors."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import HCRUN, last_run, run_hcrun, run_program, start_hcrun

ADDED = {b"HCRUN_CHECK", b"HCRUN_RUN_ID"}
ODD_WORDS = [b"", b" ", b"--", b"-x", b"a\nb", b"$HOME `id`", "é€".encode(), b"\xff\xfe", b"'\"\\"]
NAMES_AND_NULS = [b"printf", b"%s\\0"]


@pytest.mark.parametrize(
    "locale", [{}, {"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}]
)
def test_arguments_are_byte_exact(tmp_path: Path, locale: dict[str, str]) -> None:
    done = run_hcrun(tmp_path, "job", "--", *NAMES_AND_NULS, *ODD_WORDS, env=locale)
    assert done.stdout.split(b"\0")[:-1] == ODD_WORDS
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"LANG": "C"},
        {"LC_CTYPE": "C"},
        {"LC_CTYPE": "C.UTF-8"},
        {"LC_CTYPE": "POSIX"},
        {"LC_ALL": "C.UTF-8", "EMPTY": "", "ODD": "a=b\nc"},
    ],
)
def test_environment(tmp_path: Path, given: dict[str, str]) -> None:
    env = {"STATE_DIRECTORY": f"{tmp_path}/state", "HEALTHCHECKS_ENABLED": "false", **given}
    raw = {name.encode(): value.encode() for name, value in env.items()}
    raw |= {b"BYTES": b"\xff\xfe", b"node.name": b"a", b"BASH_FUNC_f%%": b"() { :; }", b"\xff": b""}
    done = subprocess.run(
        [HCRUN, "job", "--", "/usr/bin/env", "-0"], env=raw, capture_output=True, check=True
    )
    seen = dict(entry.split(b"=", 1) for entry in done.stdout.split(b"\0") if entry)
    assert {name: value for name, value in seen.items() if name not in ADDED} == raw
    run = last_run(tmp_path)
    assert (seen[b"HCRUN_CHECK"], seen[b"HCRUN_RUN_ID"]) == (b"job", run.run_id.encode())


def test_input_and_output_are_byte_exact(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096
    done = run_hcrun(tmp_path, "job", "--", "tee", "/dev/stderr", input=data)
    assert done.stdout == data
    assert done.stderr == data


def test_unread_input_stays(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"first\nsecond\n")
    with path.open("rb", buffering=0) as file:
        with start_hcrun(tmp_path, "job", "--", "dd", "bs=6", "count=1", stdin=file) as hcrun:
            assert hcrun.communicate()[0] == b"first\n"
        assert file.read() == b"second\n"


def test_output_comes_as_it_is_printed(tmp_path: Path) -> None:
    """The command waits for an answer to each line, so a buffer would block it."""
    script = "printf 1; read x; printf 2 >&2; read x; printf 3"
    with start_hcrun(tmp_path, "job", "--", "sh", "-c", script, stdin=subprocess.PIPE) as hcrun:
        assert hcrun.stdin
        assert hcrun.stdout
        assert hcrun.stderr
        assert os.read(hcrun.stdout.fileno(), 10) == b"1"
        os.write(hcrun.stdin.fileno(), b"\n")
        assert os.read(hcrun.stderr.fileno(), 10) == b"2"
        os.write(hcrun.stdin.fileno(), b"\n")
        assert os.read(hcrun.stdout.fileno(), 10) == b"3"
    assert last_run(tmp_path).excerpt.head == "123"


def test_directory_and_umask(tmp_path: Path) -> None:
    script = f"umask 027; cd {tmp_path}; {HCRUN} job -- sh -c 'pwd; umask'"
    assert run_program(tmp_path, "sh", "-c", script).stdout == f"{tmp_path}\n0027\n"


def test_a_deleted_directory(tmp_path: Path) -> None:
    script = f"cd {tmp_path}; mkdir gone; cd gone; rmdir ../gone; {HCRUN} job -- echo hi"
    done = run_program(tmp_path, "sh", "-c", script)
    assert (done.returncode, done.stdout) == (0, "hi\n")
    assert done.stderr.count("\n") <= 1  # the launcher's sh says "getcwd() failed"


def test_only_inherited_descriptors_are_open(tmp_path: Path) -> None:
    inner = "echo to five >&5; ls /proc/self/fd"
    five = tmp_path / "five"
    done = run_program(tmp_path, "sh", "-c", f"exec 5>{five}; {HCRUN} job -- sh -c '{inner}'")
    assert done.stdout.split() == ["0", "1", "2", "3", "5"]  # 3: the listing itself
    assert five.read_text() == "to five\n"


@pytest.mark.parametrize("ignored", ["", "HUP INT QUIT TSTP USR1"])
def test_ignored_and_blocked_signals(tmp_path: Path, ignored: str) -> None:
    trap = f"trap '' {ignored};" if ignored else ""
    show = "grep -E 'Sig(Ign|Blk)' /proc/self/status"
    done = run_program(tmp_path, "sh", "-c", f'{trap} exec "$0" job -- {show}', HCRUN)
    bits = 0
    for line in done.stdout.splitlines():
        bits |= int(line.split()[1], 16)
    # The C library's posix_spawn leaves its own 32 and 33 ignored, as system(3) does.
    numbers = {number for number in range(1, 65) if bits >> (number - 1) & 1} - {32, 33}
    assert numbers == {signal.Signals[f"SIG{name}"] for name in ignored.split()}


def test_a_blocked_child_signal(tmp_path: Path) -> None:
    """It stays blocked for the command, and hcrun notices the command's end all the same."""
    block = (
        "import os, signal, sys;"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD]);"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    # The command ends when hcrun only waits for its end.
    show = "import time; print(open('/proc/self/status').read(), flush=True); time.sleep(0.3)"
    words = [sys.executable, "-c", block, HCRUN, "job", "--", sys.executable, "-c", show]
    done = run_program(tmp_path, *words)
    (mask,) = re.findall(r"SigBlk:\s*(\w+)", done.stdout)
    assert int(mask, 16) == 1 << (signal.SIGCHLD - 1)


def test_sh_runs_a_script_without_an_interpreter_line(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('echo "$1"\n')
    script.chmod(0o755)
    for command in (str(script), "script"):
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = run_hcrun(tmp_path, "job", "--", command, "word", env=env)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"word\n", b"")


REDIRECTIONS = {
    "file": '"$@" >$log 2>&1',
    "append": '"$@" >>$log 2>>$log',  # two open file descriptions of one file
    "pipe": '"$@" 2>&1 | cat >$log',
    "socket": '"$python" -c "$socket" "$@" >$log',
    "terminal": 'script -E never -qefc "stty -opost; $*" /dev/null >$log',
}
# As a unit of systemd: the journal is a socket.
SOCKET = """
import socket, subprocess, sys
ours, theirs = socket.socketpair()
process = subprocess.Popen(sys.argv[1:], stdout=theirs, stderr=theirs)
theirs.close()
while data := ours.recv(65536):
    sys.stdout.buffer.write(data)
"""
IN_ORDER = """
i=0; while [ $((i += 1)) -le $1 ]; do echo out $i; echo err $i >&2; done
exit 1
"""


@pytest.mark.parametrize("pairs", [200, 2000])
@pytest.mark.parametrize("options", ["", "--quiet", "--no-tty"])
@pytest.mark.parametrize("redirection", REDIRECTIONS)
def test_streams_to_one_place_keep_their_order(
    tmp_path: Path, redirection: str, options: str, pairs: int
) -> None:
    log, job = tmp_path / "log", tmp_path / "job"
    job.write_text(IN_ORDER)
    env = {"log": str(log), "socket": SOCKET, "python": sys.executable}
    words = [HCRUN, *options.split(), "job", "--", "sh", str(job), str(pairs)]
    run_program(tmp_path, "sh", "-c", REDIRECTIONS[redirection], "sh", *words, env=env)
    lines = [f"{name} {number}\n" for number in range(1, pairs + 1) for name in ("out", "err")]
    assert log.read_text() == "".join(lines)
    kept = last_run(tmp_path).excerpt
    total = len(kept.head) + kept.omitted + len(kept.tail)
    assert total == len("".join(lines))
    assert "".join(lines).startswith(kept.head)
    assert "".join(lines).endswith(kept.tail)


def test_a_traced_script_shows_the_step_that_failed(tmp_path: Path, stub: HealthchecksStub) -> None:
    check = stub.add_check()
    script = "echo migrating orders; cat /no-such-file; echo not reached"
    shell = f"exec {HCRUN} {check.uuid} -- sh -exc '{script}' 2>&1"
    done = run_program(tmp_path, "sh", "-c", shell, stub=stub, env={"LC_ALL": "C"})
    expected = (
        "+ echo migrating orders\nmigrating orders\n"
        "+ cat /no-such-file\ncat: /no-such-file: No such file or directory\n"
    )
    assert (done.returncode, done.stdout) == (1, expected)
    assert expected.strip() in check.pings[-1].body.decode()


def test_expect_sees_the_common_stream(tmp_path: Path) -> None:
    """A line may begin on stdout and end on stderr."""
    script = f"{HCRUN} --expect '^all done$' job -- sh -c 'printf all; echo \\ done >&2' 2>&1"
    assert run_program(tmp_path, "sh", "-c", script).stdout == "all done\n"
    assert last_run(tmp_path).result == "success"


def test_both_streams_are_recorded_in_their_order(tmp_path: Path) -> None:
    """The command waits until each line has come out before it prints the next."""
    script = "for i in 1 2 3; do echo out $i; read x; echo err $i >&2; read x; done"
    with start_hcrun(tmp_path, "job", "--", "sh", "-c", script, stdin=subprocess.PIPE) as hcrun:
        assert hcrun.stdin
        assert hcrun.stdout
        assert hcrun.stderr
        for _ in range(3):
            for stream in (hcrun.stdout, hcrun.stderr):
                os.read(stream.fileno(), 100)
                os.write(hcrun.stdin.fileno(), b"\n")
    assert last_run(tmp_path).excerpt.head == "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide /etc/passwd")
def test_an_unknown_user(tmp_path: Path, stub: HealthchecksStub) -> None:
    """Containers may run under any number, and $USER may not be text."""
    check = stub.add_check()
    (tmp_path / "passwd").write_text("")
    script = f"mount --bind {tmp_path}/passwd /etc/passwd; {HCRUN} {check.uuid} -- true"
    env = {"USER": "a\udcffb"}
    done = run_program(tmp_path, "unshare", "-m", "sh", "-c", script, stub=stub, env=env)
    assert done.returncode == 0
    assert last_run(tmp_path).user == "a?b"
    assert " by a?b on " in check.pings[-1].body.decode()
