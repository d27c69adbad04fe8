"""The command is as it would be without hcrun: argv, streams, environment, signals, descriptors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import HCRUN, environment, last_run, run_hcrun, start_hcrun

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


def test_options_of_the_command_are_its_own(tmp_path: Path) -> None:
    done = run_hcrun(tmp_path, "job", "printf", "%s|", "--timeout", "--", "-q")
    assert done.stdout == b"--timeout|--|-q|"


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
    env = {"STATE_DIRECTORY": str(tmp_path), "HEALTHCHECKS_ENABLED": "false", **given}
    raw = {name.encode(): value.encode() for name, value in env.items()}
    raw[b"BYTES"] = b"\xff\xfe"
    done = subprocess.run(
        [HCRUN, "job", "--", "/usr/bin/env", "-0"], env=raw, capture_output=True, check=True
    )
    seen = dict(entry.split(b"=", 1) for entry in done.stdout.split(b"\0") if entry)
    assert {name: value for name, value in seen.items() if name not in ADDED} == raw
    assert seen[b"HCRUN_CHECK"] == b"job"
    assert seen[b"HCRUN_RUN_ID"].decode() == last_run_id(tmp_path)


def last_run_id(directory: Path) -> str:
    from hcrun.journal.journal import Journal

    return Journal(str(directory)).runs()[0][0].run_id


def test_input_and_both_outputs_are_binary_exact(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096
    done = run_hcrun(tmp_path, "job", "--", "tee", "/dev/stderr", input=data)
    assert done.stdout == data
    assert done.stderr == data


def test_input_that_is_not_read_stays(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"first\nsecond\n")
    with path.open("rb", buffering=0) as file:
        with start_hcrun(tmp_path, "job", "--", "dd", "bs=6", "count=1", stdin=file) as hcrun:
            assert hcrun.communicate()[0] == b"first\n"
        assert file.read() == b"second\n"


def test_output_comes_as_it_is_printed(tmp_path: Path) -> None:
    """The command waits for an answer to each of its lines, so a buffer would block it."""
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
    done = subprocess.run(
        [HCRUN, "job", "--", "sh", "-c", "pwd; umask"],
        env=environment(tmp_path),
        cwd=tmp_path,
        umask=0o027,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == f"{tmp_path}\n0027\n"


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    script = f"mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir ../gone && {HCRUN} job -- echo"
    done = subprocess.run(
        ["sh", "-c", script + " hi"], env=environment(tmp_path), capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hi\n", b"")


def test_descriptors_are_inherited_and_no_others(tmp_path: Path) -> None:
    inner = "echo to five >&5; ls /proc/self/fd | tr '\\n' ' '"
    done = subprocess.run(
        ["sh", "-c", f'exec 5>"$0"; {HCRUN} job -- sh -c "{inner}"', tmp_path / "five"],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert done.stdout.split() == [b"0", b"1", b"2", b"3", b"5"]  # 3: the listing itself
    assert (tmp_path / "five").read_text() == "to five\n"


def ignored_signals(tmp_path: Path, before: str) -> set[int]:
    """Signals that the command ignores or blocks when a shell says `before` and starts hcrun."""
    show = "grep -E 'Sig(Ign|Blk)' /proc/self/status"
    done = subprocess.run(
        ["sh", "-c", f'{before} exec "$0" job -- {show}', HCRUN],
        env=environment(tmp_path),
        capture_output=True,
        check=True,
    )
    bits = 0
    for line in done.stdout.splitlines():
        bits |= int(line.split()[1], 16)
    # 32 and 33 are the C library's own: its posix_spawn leaves them ignored, as in system(3).
    return {number for number in range(1, 65) if bits >> (number - 1) & 1} - {32, 33}


def test_signals_have_their_default_action(tmp_path: Path) -> None:
    assert ignored_signals(tmp_path, "") == set()


def test_ignored_signals_stay_ignored(tmp_path: Path) -> None:
    ignored = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGUSR1}
    names = " ".join(signal.Signals(number).name[3:] for number in ignored)
    assert ignored_signals(tmp_path, f"trap '' {names};") == ignored


def test_a_blocked_child_signal_stays_blocked_and_hcrun_hears_of_the_end(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys;"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD]);"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    # It ends when hcrun waits for nothing else.
    show = [
        sys.executable,
        "-c",
        (
            "import re, time;"
            " print(re.findall('SigBlk:.(.*)', open('/proc/self/status').read())[0]);"
            " time.sleep(0.3)"
        ),
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, HCRUN, "job", "--", *show],
        env=environment(tmp_path),
        capture_output=True,
        timeout=20,
    )
    assert int(done.stdout, 16) == 1 << (signal.SIGCHLD - 1)


def test_a_script_without_an_interpreter_line_is_given_to_sh(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('echo "$1"\n')
    script.chmod(0o755)
    for command in (str(script), "script"):
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = run_hcrun(tmp_path, "job", "--", command, "word", env=env)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"word\n", b"")


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
def test_a_user_whom_nobody_knows_and_whose_name_is_no_text(
    tmp_path: Path, stub: HealthchecksStub
) -> None:
    """As in containers that run under any number."""
    check = stub.add_check()
    (tmp_path / "passwd").write_text("")
    script = f"mount --bind {tmp_path}/passwd /etc/passwd; {HCRUN} {check.uuid} -- true"
    subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        env={**environment(tmp_path, stub), "USER": "a\udcffb"},
        check=True,
    )
    assert last_run(tmp_path).user == "a?b"
    assert " by a?b on " in check.pings[-1].body.decode()
