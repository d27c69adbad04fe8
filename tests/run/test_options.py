"""argv of `hcrun`: every option's good and bad values, and the whole line a person gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from hcrun.errors import UsageError
from hcrun.run.job import Job
from hcrun.run.options import GROUPS, Option, parse
from tests.support.command import run_hcrun

HINT = "; see hcrun --help"
DURATION = "is not a duration; write it like 30s, 5m, 1h30m or 2d"
TAIL = ["check", "--", "command"]


def refused(*argv: str) -> str:
    """The whole error line."""
    with pytest.raises(UsageError) as caught:
        parse(list(argv))
    assert caught.value.exit_code == 125
    return str(caught.value)


GOOD: list[tuple[str, str, str, object]] = [
    # flag, value, what it sets, to what
    ("--timeout", "90", "timeout", 90.0),
    ("--timeout", "1h30m", "timeout", 5400.0),
    ("--kill-after", "0", "kill_after", 0.0),
    ("--kill-after", "1m", "kill_after", 60.0),
    ("--idle-timeout", "500ms", "idle_timeout", 0.5),
    ("--min-runtime", "5s", "min_runtime", 5.0),
    ("--expect", "a.*b", "expect", ["a.*b"]),
    ("--expect", "", "expect", [""]),
    ("--reject", "(?i)error", "reject", ["(?i)error"]),
    ("--on-exit", "1=log", "on_exit", {1: "log"}),
    ("--on-exit", "3-5,7=success", "on_exit", dict.fromkeys((3, 4, 5, 7), "success")),
    ("--on-exit", "0=fail", "on_exit", {0: "fail"}),
    ("--on-exit", "0-255=log", "on_exit", dict.fromkeys(range(256), "log")),
    ("--fail-after", "1", "fail_after", 1),
    ("--fail-after", "3", "fail_after", 3),
    ("--retries", "0", "retries", 0),
    ("--retries", "2", "retries", 2),
    ("--retry-delay", "0s", "retry_delay", 0.0),
    ("--retry-delay", "1m", "retry_delay", 60.0),
    ("--overlap", "allow", "overlap", "allow"),
    ("--overlap", "skip", "overlap", "skip"),
    ("--overlap", "wait", "overlap", "wait"),
    ("--splay", "5m", "splay", 300.0),
    ("--redact", "card [0-9]+", "redact", ["card [0-9]+"]),
    ("--deadline", "1m", "deadline", 60.0),
]
SWITCHES: list[tuple[str, str, object]] = [
    ("--quiet", "quiet", True),
    ("-q", "quiet", True),
    ("--tty", "tty", True),
    ("--no-tty", "tty", False),
    ("--no-output", "output", False),
    ("--create", "create", True),
    ("--no-start", "start", False),
    ("--dry-run", "dry_run", True),
]
ANSWERS = [("--help", "--help"), ("-h", "--help"), ("--version", "--version")]
BAD: list[tuple[str, str, str]] = [
    # flag, value, the line less the flag
    *(
        (flag, value, f"{value!r} {DURATION}")
        for flag in (
            *("--timeout", "--kill-after", "--idle-timeout", "--min-runtime"),
            *("--retry-delay", "--splay", "--deadline"),
        )
        for value in ("", "soon", "-5", "--", "5 m")
    ),
    *(
        (flag, "0s", "'0s' is no time at all")
        for flag in ("--timeout", "--idle-timeout", "--min-runtime", "--splay", "--deadline")
    ),
    ("--timeout", "99999d", "'99999d' is longer than ten years"),
    *(
        (
            flag,
            "a(",
            "'a(' is not a regular expression: missing ), unterminated subpattern at position 1",
        )
        for flag in ("--expect", "--reject", "--redact")
    ),
    ("--on-exit", "1", "'1' does not end in =success, =fail or =log"),
    ("--on-exit", "1=ok", "'1=ok' does not end in =success, =fail or =log"),
    *(
        ("--on-exit", f"{codes}=log", f"{shown!r} is no exit status or range of them (0-255)")
        for codes, shown in (
            ("", ""),
            ("256", "256"),
            ("1,", ""),
            ("5-3", "5-3"),
            ("1,3-", "3-"),
            ("-1", "-1"),
            ("1-2-3", "1-2-3"),
            ("0x1", "0x1"),
            ("٣", "٣"),
        )
    ),
    *(
        ("--fail-after", value, f"{value!r} is not a whole number from 1 to 999999")
        for value in ("0", "-1", "1.5", "two", "1000000", "")
    ),
    *(
        ("--retries", value, f"{value!r} is not a whole number from 0 to 999999")
        for value in ("-1", "1.5", "two", "9" * 5000)
    ),
    ("--overlap", "maybe", "'maybe' is none of allow, skip, wait"),
    ("--overlap", "", "'' is none of allow, skip, wait"),
]


@pytest.mark.parametrize(("flag", "value", "name", "expected"), GOOD)
def test_value(flag: str, value: str, name: str, expected: object) -> None:
    for argv in ([flag, value], [f"{flag}={value}"]):
        job = parse(argv + TAIL)
        assert getattr(job, name) == expected
        unchanged = vars(Job("check", ["command"])) | {name: expected}
        assert vars(job) == unchanged


@pytest.mark.parametrize(("flag", "name", "expected"), SWITCHES)
def test_switch(flag: str, name: str, expected: object) -> None:
    job = parse([flag, *TAIL])
    assert getattr(job, name) == expected != getattr(Job(), name)
    assert vars(job) == vars(Job("check", ["command"])) | {name: expected}
    assert refused(f"{flag}=yes", *TAIL) == f"{flag} takes no value{HINT}"


@pytest.mark.parametrize(("flag", "show"), ANSWERS)
def test_answer(flag: str, show: str) -> None:
    for argv in ([flag], ["--quiet", flag, "--nonsense"], [flag, *TAIL]):
        assert parse(argv).show == show
    assert parse([*TAIL, flag]).show == ""


@pytest.mark.parametrize(("flag", "value", "words"), BAD)
def test_bad_value(flag: str, value: str, words: str) -> None:
    for argv in ([flag, value], [f"{flag}={value}"]):
        assert refused(*argv, *TAIL) == f"{flag}: {words}{HINT}"


def test_all_options_are_here() -> None:
    flags = {option.flag for _, options in GROUPS for option in options}
    assert flags == {
        case[0] for cases in (GOOD, SWITCHES, ANSWERS) for case in cases if case[0][:2] == "--"
    }


@pytest.mark.parametrize(
    "option", [option for _, options in GROUPS for option in options if option.metavar]
)
def test_value_is_missing(option: Option) -> None:
    flag, metavar = option.flag, option.metavar
    assert refused(flag) == f"{flag} needs a value: {flag} {metavar}{HINT}"


def test_repeated() -> None:
    job = parse(
        [
            *("--expect", "a", "--expect=b", "--redact", "c", "--redact", "d"),
            *("--on-exit", "1-3=log", "--on-exit", "2=success"),
            *("--timeout", "1s", "--timeout", "2s", "--tty", "--no-tty"),
            *TAIL,
        ]
    )
    assert job.expect == ["a", "b"]
    assert job.redact == ["c", "d"]
    assert job.on_exit == {1: "log", 2: "success", 3: "log"}
    assert (job.timeout, job.tty) == (2.0, False)
    assert Job().expect == []  # nothing is shared between jobs


class TestCommand:
    """Where the command begins."""

    @pytest.mark.parametrize(
        ("argv", "command"),
        [
            (["c", "--", "a"], ["a"]),
            (["c", "a"], ["a"]),
            (["c", "a", "--quiet", "-h", "--", "b"], ["a", "--quiet", "-h", "--", "b"]),
            (["c", "--", "a", "--timeout", "x"], ["a", "--timeout", "x"]),
            (["c", "--", "--quiet"], ["--quiet"]),
            (["c", "--", "--", "a"], ["--", "a"]),
            (["c", "--", ""], [""]),
            (["--expect", "--", "c", "a"], ["a"]),
            (["--expect=a=b", "c", "a"], ["a"]),
        ],
    )
    def test_good(self, argv: list[str], command: list[str]) -> None:
        job = parse(argv)
        assert (job.check, job.command, job.quiet) == ("c", command, False)

    @pytest.mark.parametrize(
        ("argv", "line"),
        [
            ([], f"which check? usage: hcrun [OPTIONS] CHECK -- COMMAND{HINT}"),
            (["--quiet"], f"which check? usage: hcrun [OPTIONS] CHECK -- COMMAND{HINT}"),
            (["--", "a"], f"which check? usage: hcrun [OPTIONS] CHECK -- COMMAND{HINT}"),
            (["c"], f"which command? usage: hcrun [OPTIONS] CHECK -- COMMAND{HINT}"),
            (["c", "--"], f"which command? usage: hcrun [OPTIONS] CHECK -- COMMAND{HINT}"),
            (
                ["c", "--quiet", "--", "a"],
                "--quiet stands after the check's name; options go before CHECK",
            ),
            (
                ["c", "--password=hunter2"],
                "--password stands after the check's name; options go before CHECK",
            ),
            (["--password=hunter2", "c", "a"], f"there is no option --password{HINT}"),
            (
                ["--time-out", "5m", "c", "a"],
                f"there is no option --time-out (did you mean --timeout?){HINT}",
            ),
            (["-x", "c", "a"], f"there is no option -x{HINT}"),
            (["-", "c", "a"], f"there is no option -{HINT}"),
        ],
    )
    def test_bad(self, argv: list[str], line: str) -> None:
        assert refused(*argv) == line


class TestRun:
    """Through the real command: 125, one line, and nothing was run or recorded."""

    @pytest.mark.parametrize(
        ("argv", "line"),
        [
            (["--timeout", "soon", "c", "--"], f"--timeout: 'soon' {DURATION}{HINT}"),
            (["--tiemout=5m", "c", "--"], None),
            (["--on-exit", "300=log", "c", "--"], None),
            (["--expect", "(", "c", "--"], None),
            (["c", "--quiet"], None),
            (["my check", "--"], None),
            (["ftp://x/ping/y", "--"], None),
            (["--dry-run", "my check", "--"], None),
        ],
    )
    def test_misuse(self, tmp_path: Path, argv: list[str], line: str | None) -> None:
        mark = tmp_path / "it-ran"
        done = run_hcrun(tmp_path, *argv, "touch", str(mark))
        assert (done.returncode, done.stdout) == (125, b"")
        text = done.stderr.decode()
        assert text.startswith("hcrun: ")
        assert text.count("\n") == 1
        if line:
            assert text == f"hcrun: {line}\n"
        assert list(tmp_path.iterdir()) == []

    def test_the_same_command_runs(self, tmp_path: Path) -> None:
        mark = tmp_path / "it-ran"
        assert run_hcrun(tmp_path, "c", "touch", str(mark)).returncode == 0
        assert mark.exists()

    def test_words_that_are_not_utf8(self, tmp_path: Path) -> None:
        done = run_hcrun(tmp_path, b"--\xff", "c", "true")
        line = b"hcrun: there is no option --\xff; see hcrun --help\n"
        assert (done.returncode, done.stderr) == (125, line)

    def test_options_of_the_command(self, tmp_path: Path) -> None:
        done = run_hcrun(tmp_path, "c", "echo", "--quiet", "--version", "--", "-h")
        assert (done.returncode, done.stdout) == (0, b"--quiet --version -- -h\n")
