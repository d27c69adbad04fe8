"""The command at a terminal: it sees one, and hcrun records its output."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.support.command import HCRUN, environment, last_run, lives, run_hcrun, wait_until
from tests.support.ptydriver import CTRL_BACKSLASH, CTRL_C, CTRL_D, Terminal

WHICH = "for fd in 0 1 2; do test -t $fd && echo $fd; done; true"
RAW_KEY = (  # a program in raw mode that prints the number of each byte it reads
    "import os, tty\n"
    "tty.setraw(0)\n"
    "print('raw', flush=True)\n"
    "while (key := os.read(0, 1)) != b'q': print(key[0], end=' ', flush=True)\n"
)


LEGACY_TIOCSTI = "/proc/sys/dev/tty/legacy_tiocsti"
MAY_RETURN = not Path(LEGACY_TIOCSTI).exists() or Path(LEGACY_TIOCSTI).read_text() == "1\n"


def at_terminal(tmp_path: Path, command: str, options: str = "", program: str = "sh") -> Terminal:
    """`hcrun OPTIONS job -- PROGRAM -c COMMAND` at a terminal."""
    words = [HCRUN, *options.split(), "job", "--", program, "-c", command]
    return Terminal(words, environment(tmp_path))


def test_it_sees_a_terminal_and_its_output_is_recorded(tmp_path: Path) -> None:
    with at_terminal(tmp_path, f"{WHICH}; tty; exit 3") as terminal:
        assert terminal.wait() == 3
        assert terminal.screen.startswith("0\r\n1\r\n2\r\n/dev/pts/")
        recorded = terminal.screen.replace("\r\n", "\n")
    assert last_run(tmp_path).excerpt.head == recorded


def test_no_tty_gives_pipes(tmp_path: Path) -> None:
    with at_terminal(tmp_path, WHICH, "--no-tty") as terminal:
        assert terminal.wait() == 0
        assert terminal.screen == "0\r\n"


def test_tty_gives_a_terminal_if_there_is_none(tmp_path: Path) -> None:
    words = ("--tty", "job", "--", "sh", "-c", f"{WHICH}; stty size; cat")
    done = run_hcrun(tmp_path, *words, input=b"typed\nrest")
    assert done.stdout == b"0\r\n1\r\n2\r\n24 80\r\ntyped\r\nrest"
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("redirections", "seen"),
    [
        ("</dev/null", "1 2 "),
        (">out", "0 2 "),
        ("2>out", "0 1 "),
        (">out 2>&1", "0 "),
        ("</dev/null >out", "2 "),
        ("</dev/null 2>out", "1 "),
    ],
)
def test_redirected_streams_stay_redirected(tmp_path: Path, redirections: str, seen: str) -> None:
    show = 's=; for fd in 0 1 2; do test -t $fd && s="$s$fd "; done'
    show += "; printf '%s' \"$s\" >seen; echo O; echo E >&2"
    script = f'cd {tmp_path}; exec {HCRUN} job -- sh -c "$0" {redirections}'
    with Terminal(["sh", "-c", script, show], environment(tmp_path)) as terminal:
        assert terminal.wait() == 0
        screen = terminal.screen
    assert (tmp_path / "seen").read_text() == seen
    written = (tmp_path / "out").read_text() if "out" in redirections else ""
    # Each line is in one place only.
    assert sorted(screen.split() + written.split()) == ["E", "O"]
    assert ("O" in screen) == ("1" in seen)
    assert sorted(last_run(tmp_path).excerpt.head.split()) == ["E", "O"]


def test_window_size_and_its_changes(tmp_path: Path) -> None:
    script = "trap 'stty size; exit' WINCH; stty size; while :; do sleep 0.02; done"
    with at_terminal(tmp_path, script, program="bash") as terminal:
        terminal.read_until("24 80\r\n")
        terminal.resize(33, 101)
        assert terminal.wait() == 0
        assert terminal.screen == "24 80\r\n33 101\r\n"


def test_raw_mode_and_its_end(tmp_path: Path) -> None:
    with at_terminal(tmp_path, RAW_KEY, program=sys.executable) as terminal:
        terminal.read_until("raw")
        terminal.type(f"a{CTRL_C}\x1a\x1b[A\r")
        terminal.read_until("97 3 26 27 91 65 13 ")
        terminal.type("q")
        assert terminal.wait() == 0
        assert terminal.modes() == terminal.first_modes


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    script = "read -rsp 'Password: ' x; echo; echo ${#x}"
    with at_terminal(tmp_path, script, program="bash") as terminal:
        terminal.read_until("Password: ")
        terminal.type("secret\n")
        assert terminal.wait() == 0
        assert terminal.screen == "Password: \r\n6\r\n"


def test_echo_and_end_of_input(tmp_path: Path) -> None:
    with at_terminal(tmp_path, "cat") as terminal:
        terminal.type("hello\n")
        terminal.read_until("hello\r\nhello\r\n")
        terminal.type(CTRL_D)
        assert terminal.wait() == 0


def test_a_long_paste_while_the_command_prints(tmp_path: Path) -> None:
    """Input that the command does not read yet does not block its output, nor the reverse."""
    lines = [f"{number:04} {'x' * 90}" for number in range(1500)]
    loop = 'while read -r x && [ "$x" ]; do printf "%s\\n" "<$x>"; done'
    with at_terminal(tmp_path, f"stty -echo; echo ready; {loop}", program="bash") as terminal:
        terminal.read_until("ready\r\n")
        os.set_blocking(terminal.master, False)
        text = "\n".join([*lines, "", ""])
        while text:
            try:
                text = text[os.write(terminal.master, text.encode()) :]
            except BlockingIOError:
                terminal.take(1)
        assert terminal.wait() == 0
        assert terminal.screen == "ready\r\n" + "".join(f"<{line}>\r\n" for line in lines)


@pytest.mark.parametrize(
    ("key", "name", "status", "options"),
    [
        (CTRL_C, "SIGINT", -2, ""),
        (CTRL_C, "SIGINT", -2, "--retries 3"),
        (CTRL_BACKSLASH, "SIGQUIT", 131, ""),
    ],
)
def test_keys_that_end_the_command(
    tmp_path: Path, key: str, name: str, status: int, options: str
) -> None:
    """After Ctrl-C hcrun ends as the command did: shells need that to end a loop."""
    # With exec: dash waits for a child that it has only just forked, and that missed the Ctrl-C.
    script = "ulimit -c 0; echo on; exec sleep 60"
    with at_terminal(tmp_path, script, options) as terminal:
        terminal.read_until("on\r\n")
        terminal.type(key)
        assert terminal.wait() == status
        assert terminal.screen.count("on\r\n") == 1
    assert last_run(tmp_path).why.startswith(f"killed by {name} after ")


def test_a_command_that_handles_ctrl_c(tmp_path: Path) -> None:
    script = "trap 'echo caught; exit 5' INT; echo on; while :; do sleep 0.02; done"
    with at_terminal(tmp_path, script, program="bash") as terminal:
        terminal.read_until("on\r\n")
        terminal.type(CTRL_C)
        assert terminal.wait() == 5
        assert terminal.screen.count("caught") == 1


def test_background_processes_get_no_hangup(tmp_path: Path) -> None:
    with at_terminal(tmp_path, "sleep 60 </dev/null >/dev/null 2>&1 & echo $!") as terminal:
        assert terminal.wait() == 0
        pid = int(terminal.screen)
        assert lives(pid)
        os.kill(pid, signal.SIGTERM)


def test_killing_hcrun_hangs_up_on_the_command(tmp_path: Path) -> None:
    """The command must not be left to print into a terminal that no longer exists."""
    with at_terminal(tmp_path, "echo $$; exec sleep 60") as terminal:
        command = int(terminal.read_until(r"(\d+)\r\n")[1])
        terminal.program.kill()
        wait_until(lambda: not lives(command), "the command has ended")


def test_closing_the_window_hangs_up_on_the_command(tmp_path: Path) -> None:
    script = "trap 'echo hung up; exit 9' HUP; echo on; while :; do sleep 0.02; done"
    with at_terminal(tmp_path, script, program="bash") as terminal:
        terminal.read_until("on\r\n")
        terminal.hang_up()
        terminal.program.wait(20)
    run = last_run(tmp_path)
    assert run.status == 9
    assert run.excerpt.head.startswith("on\n")
    assert run.excerpt.head.endswith("\nhung up\n")


def test_closing_the_window_on_a_command_that_ignores_it(tmp_path: Path) -> None:
    """As with nohup: the command runs to its end, whatever it prints."""
    loop = "until [ -e go ]; do echo more; sleep 0.02; done"
    script = f"cd {tmp_path}; echo on; {loop}; echo more; echo done"
    argv = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", HCRUN, "job", "--", "sh", "-c", script]
    with Terminal(argv, environment(tmp_path)) as terminal:
        terminal.read_until("on\r\n")
        terminal.hang_up()
        (tmp_path / "go").touch()
        assert terminal.program.wait(20) == 0
    assert last_run(tmp_path).excerpt.head.endswith("more\ndone\n")


def test_a_command_that_is_not_found(tmp_path: Path) -> None:
    with at_terminal(tmp_path, "", program="no-such-command") as terminal:
        assert terminal.wait() == 127
        assert terminal.screen.startswith("hcrun: no-such-command: ")
        assert terminal.modes() == terminal.first_modes


def test_a_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    script = "echo on; sleep 60 & sleep 60 | cat; echo not reached"
    with at_terminal(tmp_path, script, "--timeout 0.3s") as terminal:
        assert terminal.wait() == 124
        assert terminal.screen == "on\r\nhcrun: timed out (--timeout 0.3 s)\r\n"


@pytest.mark.skipif(not shutil.which("vim"), reason="vim is not installed")
def test_vim(tmp_path: Path) -> None:
    text = tmp_path / "text"
    with at_terminal(tmp_path, f"vim -u NONE {text}") as terminal:
        terminal.read_until("New")
        terminal.type("ihello\x1b:wq\r")
        assert terminal.wait() == 0
    assert text.read_text() == "hello\n"


@pytest.mark.skipif(not shutil.which("less"), reason="less is not installed")
def test_less_at_the_end_of_a_pipeline(tmp_path: Path) -> None:
    """It reads its keys from the terminal that is its stderr, because its stdin is the text."""
    argv = ["bash", "-c", f"seq 100 | {HCRUN} job -- less; echo status $?"]
    env = {**environment(tmp_path), "TERM": "xterm", "LESS": ""}
    with Terminal(argv, env) as terminal:
        terminal.read_until("23")
        terminal.type("G")
        terminal.read_until("100")
        terminal.type("q")
        terminal.read_until("status 0")
        assert terminal.wait() == 0


# A shell runs `@COMMAND; read -r x` at a terminal: the command, what is typed when (after `on`,
# unless another text is awaited), and what appears at the end.
AHEAD = [
    ("sh -c 'echo on; sleep 0.5'", [("on", "one\n")], "<one>"),
    ("sh -c 'echo on; sleep 0.5; read -r a; echo \"[$a]\"'", [("on", "one\ntwo\n")], "<two>"),
    (
        "sh -c 'echo on; read -r a; echo \"[$a]\"; sleep 0.5'",
        [("on", "one\n"), (r"\[one]", "two\n")],
        "<two>",
    ),
    ("bash -c 'echo on; read -t 20 a; echo \"[$a]\"'", [("on", "one\ntwo\n")], "<two>"),
    ("sh -c 'echo on; sleep 0.5; cat'", [("on", f"one\n{CTRL_D}two\n")], "<two>"),
    (
        "bash -c 'read -rsp Password: a; echo; echo ${#a}; sleep 0.5'",
        [("Password:", "secret\n"), ("6", "two\n")],
        "<two>",
    ),
    (
        "bash -c 'read -rn1 -p key: a; echo \"[$a]\"; sleep 0.5'",
        [("key:", "k"), (r"\[k]", "two\n")],
        "<two>",
    ),
]


@pytest.mark.parametrize("returns", ["1", "0"])
@pytest.mark.parametrize(("command", "typed", "end"), AHEAD)
def test_what_the_command_does_not_read_stays_for_the_shell(
    tmp_path: Path, command: str, typed: list[tuple[str, str]], end: str, returns: str
) -> None:
    """Also where the kernel lets nobody insert input into a terminal (legacy_tiocsti = 0)."""
    script = f'{HCRUN} job -- {command}; read -rt 5 x; echo "<$x>"'
    (tmp_path / "sysctl").write_text(f"{returns}\n")
    words = ["bash", "-c", script]
    if Path(LEGACY_TIOCSTI).exists() and returns != Path(LEGACY_TIOCSTI).read_text().strip():
        bind = f'mount --bind {tmp_path}/sysctl {LEGACY_TIOCSTI} && exec "$@"'
        words = ["unshare", "--map-root-user", "--mount", "sh", "-c", bind, "sh", *words]
    with Terminal(words, environment(tmp_path)) as terminal:
        for awaited, text in typed:
            terminal.read_until(awaited)
            terminal.type(text)
        assert terminal.wait() == 0
        assert terminal.screen.endswith(f"{end}\r\n")
        assert "secret" not in terminal.screen
        # Each line is shown once while it is typed, and never again.
        assert terminal.screen.count(end[1:-1]) == 2
    assert "two" not in last_run(tmp_path).excerpt.head


def test_line_breaks_are_exact(tmp_path: Path) -> None:
    """Both terminals would begin a new line for each of them."""
    with at_terminal(tmp_path, "seq 50000; printf '1\\r2\\r\\n3\\r'") as terminal:
        assert terminal.wait() == 0
        numbers = "".join(f"{number}\r\n" for number in range(1, 50001))
        assert terminal.screen == f"{numbers}1\r2\r\r\n3\r"


@pytest.mark.skipif(not MAY_RETURN, reason="the kernel allows no program to insert input")
def test_ctrl_c_discards_what_was_typed_before(tmp_path: Path) -> None:
    script = (
        f"trap : INT; {HCRUN} job -- sh -c 'echo on; exec sleep 60'; read -rt 1 x; echo \"<$x>\""
    )
    with Terminal(["bash", "-c", script], environment(tmp_path)) as terminal:
        terminal.read_until("on\r\n")
        terminal.type("one\n")
        terminal.read_until("one\r\n")
        terminal.type(CTRL_C)
        terminal.wait()
        assert terminal.screen.endswith("<>\r\n")


@pytest.mark.skipif(not MAY_RETURN, reason="the kernel allows no program to insert input")
def test_a_command_that_looks_for_input_from_time_to_time(tmp_path: Path) -> None:
    script = 'echo on; until read -t 0; do sleep 0.05; done; read -r a; echo "[$a]"'
    with at_terminal(tmp_path, script, program="bash") as terminal:
        terminal.read_until("on\r\n")
        terminal.type("one\n")
        terminal.read_until(r"\[one]")
        assert terminal.wait() == 0
