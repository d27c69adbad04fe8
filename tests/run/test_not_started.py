"""Exit status 127 and 126: hcrun says what to write instead, and finds its own probes."""

import os
import shlex
from pathlib import Path

import pytest

from tests.support.command import HCRUN, last_run, run_hcrun, run_program

# Words that cannot be started, the form that hcrun names, and what that form prints.
FORMS = [
    (["echo a | wc -l"], "sh -c 'echo a | wc -l'", "1"),
    (["echo a"], "echo a", "a"),
    (["echo 'a  b'"], "sh -c 'COMMANDS'", None),  # a message has single spaces
    (["/bin/echo a"], "/bin/echo a", "a"),
    (["FOO=1", "printenv", "FOO"], "env FOO=1 printenv FOO", "1"),
    (["FOO=a b", "printenv", "FOO"], "env 'FOO=a b' printenv FOO", "a b"),
    (["FOO=1 printenv FOO"], "sh -c 'FOO=1 printenv FOO'", "1"),
    (["FOO=1"], "env FOO=1 COMMAND", None),
    (["cd", "/"], "sh -c 'cd / && COMMAND'", None),
    (["cd / && pwd"], "sh -c 'cd / && pwd'", "/"),
    (["cd", "/", "&&", "pwd"], "sh -c 'cd / && pwd'", "/"),
    (["export", "A=1", "&&", "printenv", "A"], "sh -c 'export A=1 && printenv A'", "1"),
    (["source", "./env"], "bash -c 'source ./env && COMMAND'", None),
    (["source ./env && echo $A"], "bash -c 'source ./env && echo $A'", "from env"),
    ([".", "./env"], "sh -c '. ./env && COMMAND'", None),
    (["ulimit", "-n", "64", ";", "ulimit", "-n"], "sh -c 'ulimit -n 64 ; ulimit -n'", "64"),
    (["umask", "077"], "sh -c 'umask 077 && COMMAND'", None),
    (["set", "-e"], "sh -c 'set -e && COMMAND'", None),
    (["exec", "echo", "a"], "sh -c 'exec echo a'", "a"),
    (["eval", "echo $((1+1))"], """sh -c 'eval '"'"'echo $((1+1))'"'"''""", "2"),
    (["alias", "a=b"], "sh -c 'alias a=b && COMMAND'", None),
    (
        ["if", "true", ";", "then", "echo", "a", ";", "fi"],
        "sh -c 'if true ; then echo a ; fi'",
        "a",
    ),
    (["while", "false", ";", "do", ":", ";", "done"], "sh -c 'while false ; do : ; done'", ""),
    (["[[", "a", "<", "b", "]]"], "bash -c '[[ a < b ]]'", ""),
    (["[[ a < b ]] && echo a"], "bash -c '[[ a < b ]] && echo a'", "a"),
    (["no-such", "||", "echo", "a"], "sh -c 'no-such || echo a'", "a"),
    ([">", "out", "echo", "a"], "sh -c '> out echo a'", ""),
    (["2>&1", "echo", "a"], "sh -c '2>&1 echo a'", "a"),
    (["cat <(echo a)"], "bash -c 'cat <(echo a)'", "a"),
    (["~/script", "a b"], "HOME/script 'a b'", "script a b"),
    (["~/script a | cat"], "sh -c '~/script a | cat'", "script a"),
    (["$HOME/script", "a"], "sh -c '$HOME/script a'", "script a"),
    (["it's | a"], """sh -c 'it'"'"'s | a'""", None),
    (["a\nb"], "sh -c 'COMMANDS'", None),
    (["x" * 400 + ";"], "sh -c 'COMMANDS'", None),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\necho script "$@"\n')
    script.chmod(0o755)
    (tmp_path / "env").write_text("A='from env'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("words", "form", "printed"), FORMS)
def test_the_form_that_works(home: Path, words: list[str], form: str, printed: str | None) -> None:
    form = form.replace("HOME/", f"{home}/", 1) if form.startswith("HOME/") else form
    done = run_hcrun(home, "x", "--", *words)
    assert (done.returncode, done.stdout) == (127, b"")
    message = done.stderr.decode().removeprefix("hcrun: ").removesuffix("\n")
    assert message.partition("write -- ")[2] == form
    assert problems(home, *words) == [message]
    assert last_run(home).why == message
    if printed is not None:
        done = run_hcrun(home, "x", "--", *shlex.split(form))
        assert (done.returncode, done.stdout.decode().rstrip("\n")) == (0, printed)


def problems(home: Path, *words: str, path: str = os.environ["PATH"]) -> list[str]:
    """What --dry-run says about the command."""
    done = run_hcrun(home, "--dry-run", "x", "--", *words, env={"PATH": path})
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    return [line.partition(": ")[2] for line in lines if line.startswith("problem: ")]


NOT_FOUND = "command not found in PATH"


@pytest.mark.parametrize(
    ("words", "path", "message"),
    [
        (["--quiet", "ls"], "", f"--quiet: {NOT_FOUND}; put options of hcrun before CHECK"),
        (["no-such"], "", f"no-such: {NOT_FOUND}"),
        (["ls"], "/none", f"ls: {NOT_FOUND}; write /usr/bin/ls, or add /usr/bin to PATH"),
        (["bin/no-such"], "", "bin/no-such: no such file in HOME"),
        (["/opt/my app/run"], "", "/opt/my app/run: no such file"),
        (["/no/such", "|", "cat"], "", "/no/such: no such file; write -- sh -c '/no/such | cat'"),
    ],
)
def test_what_is_not_there(home: Path, words: list[str], path: str, message: str) -> None:
    env = {"PATH": path or os.environ["PATH"]}
    done = run_hcrun(home, "x", "--", *words, env=env)
    message = message.replace("HOME", str(home))
    assert (done.returncode, done.stderr.decode()) == (127, f"hcrun: {message}\n")
    assert problems(home, *words, path=env["PATH"]) == [message]


@pytest.mark.parametrize(
    ("name", "content", "mode", "status", "message"),
    [
        ("plain", "/bin/sh\n", 0o644, 126, "not executable; run chmod +x PATH"),
        ("lost", "/no/such -x\n", 0o755, 127, "its interpreter /no/such (#! line) does not exist"),
        ("dos", "/bin/sh\r\n", 0o755, 127, "has Windows line endings; run sed -i 's/\\r$//' PATH"),
    ],
)
@pytest.mark.parametrize("in_path", [True, False])
def test_a_file_that_does_not_start(
    home: Path, name: str, content: str, mode: int, status: int, message: str, in_path: bool
) -> None:
    (home / name).write_text(f"#!{content}", newline="")
    (home / name).chmod(mode)
    command, shown = (name, f"{home}/{name}") if in_path else (f"./{name}", f"./{name}")
    path = f"{home}:{os.environ['PATH']}"
    done = run_hcrun(home, "x", "--", command, env={"PATH": path})
    message = f"{shown}: {message.replace('PATH', shown)}"
    assert (done.returncode, done.stderr.decode()) == (status, f"hcrun: {message}\n")


def test_words_that_look_like_operators(home: Path) -> None:
    """They may be meant as words, so only --dry-run says something."""
    done = run_hcrun(home, "x", "--", "echo", "a", "&&", "b")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a && b\n", b"")
    message = "&& is only a word for echo; to have a shell read it, write -- sh -c 'echo a && b'"
    assert problems(home, "echo", "a", "&&", "b") == [message]
    assert problems(home, "[", "b", ">", "a", "]") == []
    assert problems(home, "find", ".", "-exec", "echo", "{}", ";") == []


def test_a_secret_in_the_form(home: Path) -> None:
    done = run_hcrun(home, "x", "--", "PGPASSWORD=hunter2", "psql", "-h", "db")
    form = "env PGPASSWORD=[redacted] psql -h db"
    message = f"PGPASSWORD is a variable, not a command; write -- {form}"
    assert done.stderr.decode() == f"hcrun: {message}\n"
    assert last_run(home).why == message


class TestBesideHcrun:
    """Under cron, PATH lacks the directory of hcrun, but the line has its path."""

    CRON = "/usr/bin:/bin"

    @pytest.mark.parametrize("linked", [True, False])
    def test_a_probe(self, home: Path, linked: bool) -> None:
        program = home / "hcrun" if linked else Path(HCRUN)
        if linked:
            program.symlink_to(HCRUN)
        (home / "log").write_text("")
        words = ("probe-log-rate", "--file", str(home / "log"))
        done = run_program(home, str(program), "x", "--", *words, env={"PATH": self.CRON})
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("LOG-RATE OK - ")
        assert problems(home, *words, path=self.CRON) == []

    def test_path_comes_first(self, home: Path) -> None:
        own = home / "probe-redis"
        own.write_text("#!/bin/sh\necho mine $PATH\n")
        own.chmod(0o755)
        path = f"{home}:{self.CRON}"
        done = run_hcrun(home, "x", "--", "probe-redis", env={"PATH": path})
        assert (done.returncode, done.stdout.decode()) == (0, f"mine {path}\n")

    def test_a_name_with_a_slash(self, home: Path) -> None:
        done = run_hcrun(home, "x", "--", "./probe-redis", env={"PATH": self.CRON})
        assert (done.returncode, done.stdout) == (127, b"")
