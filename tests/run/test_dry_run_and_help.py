"""--dry-run, --help, --version."""

import shlex
from pathlib import Path

import pytest

import hcrun
from hcrun.run.help import GROUPS, STATUSES, run_variables
from hcrun.run.options import USAGE
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import run_hcrun

UUID = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"
KEY = {"HEALTHCHECKS_PING_KEY": "k" * 22}
BY_NAME = {"HC_CHECK_X": UUID}


def dry_run(
    tmp_path: Path, *argv: str, stub: HealthchecksStub | None = None, **env: str
) -> list[str]:
    """The lines that are printed; fails if anything else happened."""
    done = run_hcrun(tmp_path, "--dry-run", *argv, stub=stub, env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not (tmp_path / "it-ran").exists()
    assert not (tmp_path / "state").exists()
    assert not stub or not stub.requests
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    ("options", "env", "pings"),
    [
        (
            UUID.upper(),
            {},
            ["0a1b2c3d/start  at the start", "0a1b2c3d  on success", "0a1b2c3d/STATUS  on failure"],
        ),
        (
            "--on-exit 1=log --fail-after 3 x",
            BY_NAME,
            [
                "x  on success",
                "x/log  on an exit status with --on-exit log",
                "x/log  on the first 2 failures in a row",
                "x/STATUS  on failure",
            ],
        ),
        (
            "--fail-after 2 x",
            BY_NAME,
            ["x  on success", "x/log  on the first failure in a row", "x/STATUS  on failure"],
        ),
        (
            "--recover-after 2 x",
            BY_NAME,
            [
                "x  on success",
                "x/log  after a failure, on success, until 2 in a row",
                "x/STATUS  on failure",
            ],
        ),
        ("--no-start --create x", KEY, ["x?create=1  on success", "x/STATUS?create=1  on failure"]),
    ],
)
def test_pings(
    tmp_path: Path, stub: HealthchecksStub, options: str, env: dict[str, str], pings: list[str]
) -> None:
    mark = str(tmp_path / "it-ran")
    server = "/".join(stub.ping_url.split("/")[:3])
    assert dry_run(tmp_path, *options.split(), "touch", mark, stub=stub, **env) == [
        f"would run: touch {mark}",
        *(f"would ping: {server}/.../{ping}" for ping in pings),
        "settings: from the environment only",
    ]


def test_no_ping(tmp_path: Path) -> None:
    assert dry_run(tmp_path, "x", "true") == [
        "would run: true",
        "would not ping: HEALTHCHECKS_ENABLED is false",
        "settings: from the environment only",
    ]
    _, line, _ = dry_run(tmp_path, "x", "true", HEALTHCHECKS_ENABLED="")
    assert line.startswith("would not ping: x is not pinged: set HC_CHECK_X ")


def test_problems(tmp_path: Path) -> None:
    path = tmp_path / "hcrun.env"
    path.write_text("nonsense\nHEALTHCHECKS_RETRY_COUNT=many\n", encoding="utf-8")
    lines = dry_run(tmp_path, "x", "true", HCRUN_ENV_FILE=str(path))
    assert lines[2] == f"settings: {path}"
    assert lines[3].startswith(f"problem: {path}: line 1 ")
    assert lines[4].startswith("problem: HEALTHCHECKS_RETRY_COUNT: 'many' ")


def test_no_secret(tmp_path: Path) -> None:
    url = f"https://user:trustno1@hc.example.com/ping/{UUID}"
    argv = ["--redact", "p=.*", url, "echo", "--token", "t0k3n", "hunter2-in-env", "p=1234"]
    place = "would ping: https://[redacted]@hc.example.com/.../0a1b2c3d"
    assert dry_run(tmp_path, *argv, PGPASSWORD="hunter2-in-env", HEALTHCHECKS_ENABLED="") == [
        "would run: echo --token [redacted] [redacted] [redacted]",
        f"{place}/start  at the start",
        f"{place}  on success",
        f"{place}/STATUS  on failure",
        "settings: from the environment only",
    ]


def test_version(tmp_path: Path) -> None:
    line = f"hcrun {hcrun.__version__}\n".encode()
    for flag in ("--version", "-V"):
        done = run_hcrun(tmp_path, flag)
        assert (done.returncode, done.stdout, done.stderr) == (0, line, b"")


@pytest.fixture
def help_lines(tmp_path: Path) -> list[str]:
    done = run_hcrun(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert run_hcrun(tmp_path, "-h").stdout == done.stdout
    return done.stdout.decode().splitlines()


def section(lines: list[str], title: str) -> list[str]:
    start = lines.index(f"{title}:") + 1
    return lines[start : [*lines, ""].index("", start)]


def test_help_is_complete(help_lines: list[str]) -> None:
    assert help_lines[0] == "Examples:"
    assert help_lines.index(USAGE) == 5
    tables = {
        title: [(f"{option.flag} {option.metavar}".rstrip(), option.help) for option in options]
        for title, options in GROUPS.items()
    }
    tables |= {"Exit status": list(STATUSES.items()), "Environment": run_variables()}
    for title, rows in tables.items():
        words = " ".join(section(help_lines, title)).split()
        expected = " ".join(word for row in rows for word in row).split()
        assert words[: len(expected)] == expected


def test_help_fits_the_terminal(help_lines: list[str]) -> None:
    assert max(map(len, help_lines)) <= 80
    assert not [line for line in help_lines if line != line.rstrip()]


def test_examples_are_right(help_lines: list[str], tmp_path: Path) -> None:
    examples = section(help_lines, "Examples")
    assert len(examples) == 3
    for example in examples:
        name, *argv = shlex.split(example)
        assert name == "hcrun"
        done = run_hcrun(tmp_path, "--dry-run", *argv)
        assert (done.returncode, done.stderr) == (0, b"")
