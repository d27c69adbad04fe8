"""Command line of `hcrun`: good and bad values of every option, and the error messages."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from hcrun.errors import UsageError
from hcrun.run.help import GROUPS
from hcrun.run.job import Job
from hcrun.run.options import OPTIONS, parse
from tests.support.command import run_hcrun

HELP = "; see hcrun --help"
USAGE = "Usage: hcrun [OPTIONS] CHECK -- COMMAND [ARG...]"
TAIL = ["check", "--", "command"]


def error(*argv: str) -> str:
    """The error message for `argv`."""
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
    ("--needs", "redis,db", "needs", ["redis", "db"]),
    ("--fail-after", "1", "fail_after", 1),
    ("--fail-after", "3", "fail_after", 3),
    ("--recover-after", "2", "recover_after", 2),
    ("--remedy", "restart it", "remedy", "restart it"),
    ("--remedy-after", "3", "remedy_after", 3),
    ("--remedy-limit", "1/h", "remedy_limit", 1),
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
    ("--period", "10m", "period", 600),
    ("--grace", "365d", "grace", 31_536_000),
]
SWITCHES: list[tuple[str, str, object]] = [
    ("--quiet", "quiet", True),
    ("--verbose", "verbose", True),
    ("-q", "quiet", True),
    ("--tty", "tty", True),
    ("--no-tty", "tty", False),
    ("--no-output", "output", False),
    ("--create", "create", True),
    ("--no-start", "start", False),
    ("--dry-run", "dry_run", True),
]
ANSWERS = [("--help", "--help"), ("-h", "--help"), ("--version", "--version")]
WHOLE = "give a whole number from {} to 999999"
STATUSES = "is not an exit status (0-255) or a range such as 3-5"
DURATIONS = [
    option.flag for options in GROUPS.values() for option in options if option.metavar == "DUR"
]
BAD: list[tuple[Sequence[str], Sequence[str], str]] = [
    # flags, values, the reason in the message
    (
        DURATIONS,
        ("", "soon", "-5", "--", "5 m"),
        "not a duration; write it like 30s, 5m, 1h30m or 2d",
    ),
    (
        ("--timeout", "--idle-timeout", "--min-runtime", "--splay", "--deadline"),
        ("0s",),
        "give a duration greater than zero",
    ),
    (("--timeout",), ("99999d",), "longer than ten years"),
    (("--period", "--grace"), ("0s", "59s", "366d"), "give 1m to 365d"),
    (
        ("--expect", "--reject", "--redact"),
        ("a(",),
        "not a regular expression: missing ), unterminated subpattern at position 1",
    ),
    (("--on-exit",), ("1", "1=ok", "1=LOG"), "end it with =success, =fail or =log"),
    (
        ("--fail-after", "--recover-after"),
        ("0", "-1", "1.5", "two", "1000000", ""),
        WHOLE.format(1),
    ),
    (("--retries",), ("-1", "1.5", "two", "9" * 5000), WHOLE.format(0)),
    (("--overlap",), ("no", ""), "choose allow, skip or wait"),
    *(
        (["--on-exit"], [f"{codes}=log"], f"{codes.split(',')[-1]!r} {STATUSES}")
        for codes in ("", "256", "1,", "5-3", "1,3-", "-1", "1-2-3", "0x1", "٣")
    ),
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
    assert error(f"{flag}=yes", *TAIL) == f"{flag} takes no value{HELP}"


@pytest.mark.parametrize(("flag", "show"), ANSWERS)
def test_answer(flag: str, show: str) -> None:
    for argv in ([flag], ["--quiet", flag, "--nonsense"], [flag, *TAIL]):
        assert parse(argv).show == show
    assert parse([*TAIL, flag]).show == ""


@pytest.mark.parametrize(("flags", "values", "reason"), BAD)
def test_bad_value(flags: Sequence[str], values: Sequence[str], reason: str) -> None:
    for flag in flags:
        for value in values:
            for argv in ([flag, value], [f"{flag}={value}"]):
                assert error(*argv, *TAIL) == f"invalid {flag} {value!r}: {reason}"


def test_every_option_is_covered() -> None:
    documented = [option for options in GROUPS.values() for option in options]
    assert [f"{one.flag} {one.metavar}".rstrip() for one in documented] == list(OPTIONS)
    flags = {option.flag for options in GROUPS.values() for option in options}
    tested = [row[0] for rows in (GOOD, SWITCHES, ANSWERS) for row in rows]
    assert flags == {flag for flag in tested if flag.startswith("--")}


def test_missing_value() -> None:
    for options in GROUPS.values():
        for option in options:
            if option.metavar:
                usage = f"{option.flag} {option.metavar}"
                assert error(option.flag) == f"{option.flag} needs a value: {usage}{HELP}"


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
    assert Job().expect == []  # jobs share nothing


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
        ("argv", "message"),
        [
            ([], f"missing CHECK. {USAGE}"),
            (["--quiet"], f"missing CHECK. {USAGE}"),
            (["--", "a"], f"missing CHECK. {USAGE}"),
            (["c"], f"missing COMMAND. {USAGE}"),
            (["c", "--"], f"missing COMMAND. {USAGE}"),
            (["c", "--quiet", "--", "a"], "--quiet comes after CHECK; put options before CHECK"),
            (["c", "--key=hunter2"], "--key comes after CHECK; put options before CHECK"),
            (["--password=hunter2", "c", "a"], f"unknown option --password{HELP}"),
            (["--time-out", "5m", "c"], "unknown option --time-out; did you mean --timeout?"),
            (["-x", "c", "a"], f"unknown option -x{HELP}"),
            (["-", "c", "a"], f"unknown option -{HELP}"),
        ],
    )
    def test_bad(self, argv: list[str], message: str) -> None:
        assert error(*argv) == message


class TestRun:
    """The real command: exit status 125, one line, and nothing is run or recorded."""

    @pytest.mark.parametrize(
        "argv",
        [
            ["--timeout", "soon", "c", "--"],
            ["--tiemout=5m", "c", "--"],
            ["--on-exit", "300=log", "c", "--"],
            ["--expect", "(", "c", "--"],
            ["c", "--quiet"],
            ["my check", "--"],
            ["ftp://x/ping/y", "--"],
            ["--dry-run", "my check", "--"],
        ],
    )
    def test_misuse(self, tmp_path: Path, argv: list[str]) -> None:
        done = run_hcrun(tmp_path, *argv, "touch", str(tmp_path / "it-ran"))
        assert (done.returncode, done.stdout) == (125, b"")
        assert done.stderr.startswith(b"hcrun: ")
        assert done.stderr.count(b"\n") == 1
        assert list(tmp_path.iterdir()) == []

    def test_a_name_that_is_not_utf8(self, tmp_path: Path) -> None:
        done = run_hcrun(tmp_path, b"--\xff", "c", "true")
        line = b"hcrun: unknown option --\xff; see hcrun --help\n"
        assert (done.returncode, done.stderr) == (125, line)

    def test_options_of_the_command(self, tmp_path: Path) -> None:
        done = run_hcrun(tmp_path, "c", "echo", "--quiet", "--version", "--", "-h")
        assert (done.returncode, done.stdout) == (0, b"--quiet --version -- -h\n")
