"""hcrun as a job of an interactive shell: Ctrl-Z, fg, bg, Ctrl-C, pipelines, scripts."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import HCRUN, environment, last_run, runs, wait_until
from tests.support.ptydriver import CTRL_C, CTRL_Z, PROMPT, Shell

pytestmark = pytest.mark.slow

# Prints `on`, then each line that it reads.
ECHO = "bash -c 'echo on; while read -r line; do echo \"<$line>\"; done'"
SLEEP = "sh -c 'echo on; exec sleep 60'"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    env = environment(tmp_path)
    env["PATH"] = f"{Path(HCRUN).parent}:{env['PATH']}"
    with Shell(env) as shell:
        shell.run(f"cd {tmp_path}")
        try:
            yield shell
        finally:  # what is left in the background
            subprocess.run(["pkill", "-KILL", "-s", str(shell.program.pid)], check=False)


def start(shell: Shell, line: str) -> None:
    shell.type(line + "\n")
    shell.read_until(r"\non\r+\n")


def key(shell: Shell, typed: str, appears: str) -> None:
    shell.type(typed)
    shell.read_until(appears)


def suspend(shell: Shell, line: str = "hcrun job") -> None:
    key(shell, CTRL_Z, f"Stopped +{line}")
    shell.read_until(PROMPT)


def test_stop_and_go_on(shell: Shell) -> None:
    start(shell, f"hcrun job -- {ECHO}")
    key(shell, "one\n", "<one>")
    suspend(shell)
    assert shell.run("echo typed in the shell") == "typed in the shell\n"
    key(shell, "fg\n", "hcrun job .*\n")
    key(shell, "two\n", "<two>")
    suspend(shell)
    key(shell, "fg\n", "hcrun job .*\n")
    key(shell, "three\n", "<three>")
    key(shell, "\x04", PROMPT)
    assert shell.run("echo $?") == "0\n"


def test_ctrl_z_stops_the_command_itself(shell: Shell) -> None:
    start(shell, "hcrun job -- bash -c 'echo $$ >pid; echo on; while sleep 0.01; do :; done'")
    suspend(shell)
    assert shell.run('grep State "/proc/$(cat pid)/status"').split()[1] == "T"
    shell.run("bg")  # the shell does not wait until the command continues
    shell.run('until grep -q "State:.[SR]" "/proc/$(cat pid)/status"; do sleep 0.01; done')


def test_in_the_background_and_to_the_foreground(shell: Shell) -> None:
    shell.run(f"hcrun job -- {ECHO} &")
    if "on\r" not in shell.screen.partition("&\r\n")[2]:
        shell.read_until(r"on\r+\n")
    assert shell.run("echo typed in the shell").endswith("typed in the shell\n")
    key(shell, "fg\n", "hcrun job .*\n")
    key(shell, "one\n", "<one>")
    key(shell, "\x04", PROMPT)
    assert "one" in shell.run("stty echo; echo one")  # the terminal's modes are the shell's


def test_stopped_continued_in_the_background_and_fetched(shell: Shell) -> None:
    start(shell, f"hcrun job -- {ECHO}")
    key(shell, "one\n", "<one>")
    suspend(shell)
    shell.run("bg")
    assert shell.run("jobs -r").startswith("[1]+  Running")
    key(shell, "fg\n", "hcrun job .*\n")
    key(shell, "two\n", "<two>")


def test_ctrl_c_ends_a_loop(shell: Shell, tmp_path: Path) -> None:
    start(shell, f"for i in 1 2 3; do hcrun job -- {SLEEP}; done")
    key(shell, CTRL_C, PROMPT)
    assert shell.run("echo $?") == "130\n"
    assert len(runs(tmp_path)) == 1


@pytest.mark.parametrize("redirection", ["", ">out", "</dev/null", "2>out"])
def test_ctrl_c_ends_a_script(shell: Shell, tmp_path: Path, redirection: str) -> None:
    script = (
        f"hcrun job -- sh -c 'echo on >started; exec sleep 60' {redirection}\necho not reached\n"
    )
    (tmp_path / "script").write_text(script)
    shell.type("bash script\n")
    wait_until(lambda: (tmp_path / "started").exists(), "started")
    key(shell, CTRL_C, PROMPT)
    assert shell.run("echo $?") == "130\n"
    assert "not reached" not in shell.screen
    assert last_run(tmp_path).why.startswith("killed by SIGINT after ")


def test_ctrl_z_stops_a_script(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(f"hcrun job -- {ECHO}\necho end of script\n")
    start(shell, "bash script")
    key(shell, "zero\n", "<zero>")
    suspend(shell, "bash script")
    key(shell, "fg\n", "bash script\r\n")
    key(shell, "one\n", "<one>")
    key(shell, "\x04", "end of script")


@pytest.mark.parametrize("redirections", [">out", ">out 2>&1", "2>out", "| cat"])
def test_ctrl_c_reaches_the_command_once(shell: Shell, tmp_path: Path, redirections: str) -> None:
    wait = "until [ -e go ]; do sleep 0.02; done"
    (tmp_path / "script").write_text(f"trap 'echo caught >>caught' INT; echo >started; {wait}\n")
    shell.type(f"hcrun job -- bash script {redirections}\n")
    wait_until(lambda: (tmp_path / "started").exists(), "started")
    shell.type(CTRL_C)
    wait_until(lambda: (tmp_path / "caught").exists(), "caught")
    (tmp_path / "go").touch()
    shell.read_until(PROMPT)
    assert (tmp_path / "caught").read_text() == "caught\n"


@pytest.mark.parametrize("redirections", [">out", ">out 2>&1", "| cat", "2>out"])
def test_it_can_ask_for_a_password(shell: Shell, tmp_path: Path, redirections: str) -> None:
    script = 'read -rsp "Password: " x </dev/tty 2>/dev/tty; echo ${#x} >length'
    shell.type(f"hcrun job -- bash -c '{script}' {redirections}\n")
    shell.read_until("\nPassword: ")
    key(shell, "secret\n", PROMPT)
    assert (tmp_path / "length").read_text() == "6\n"
    assert "secret" not in shell.screen


@pytest.mark.parametrize("redirections", [">out", ">out 2>&1", "2>out"])
def test_it_can_be_stopped_while_it_reads(shell: Shell, tmp_path: Path, redirections: str) -> None:
    # With exec: a child of the command may not have stopped yet when the shell prompts, and reads
    # what is typed then. Without hcrun it is the same.
    shell.type(f"hcrun job -- bash -c 'echo >started; exec cat >got' {redirections}\n")
    wait_until(lambda: (tmp_path / "started").exists(), "started")
    shell.type("one\n")
    wait_until(lambda: (tmp_path / "got").exists() and (tmp_path / "got").read_text(), "one")
    suspend(shell)
    assert shell.run("echo typed in the shell") == "typed in the shell\n"
    key(shell, "fg\n", "hcrun job .*\n")
    shell.type("two\n")
    wait_until(lambda: (tmp_path / "got").read_text() == "one\ntwo\n", "two")
    key(shell, "\x04", PROMPT)


def test_a_pager_keeps_the_keyboard(shell: Shell) -> None:
    """The program after hcrun in the pipeline reads the terminal, not hcrun."""
    pager = "bash -c 'cat >/dev/null; echo on; read -r x </dev/tty; echo \"<$x>\"'"
    start(shell, f"hcrun job -- seq 10 | {pager}")
    key(shell, "mine\n", "<mine>")


def test_the_size_of_the_window_behind_a_pipe(shell: Shell) -> None:
    size = "bash -c 'trap \"stty size <&1; exit\" WINCH; echo on; while :; do sleep 0.02; done'"
    start(shell, f"echo | hcrun job -- {size}")
    shell.resize(33, 101)
    shell.read_until(r"33 101\r+\n")
