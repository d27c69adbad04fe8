"""--dry-run, --help, --version."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import hcrun
from hcrun.run.options import GROUPS
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import run_hcrun

UUID = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"


def dry_run(
    tmp_path: Path, *argv: str, stub: HealthchecksStub | None = None, **env: str
) -> list[str]:
    """The lines it prints, once it is sure that nothing else happened."""
    done = run_hcrun(tmp_path, "--dry-run", *argv, stub=stub, env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not (tmp_path / "it-ran").exists()
    assert not (tmp_path / "state").exists()
    assert not stub or not stub.requests
    return done.stdout.decode().splitlines()


def test_by_uuid(tmp_path: Path, stub: HealthchecksStub) -> None:
    mark = str(tmp_path / "it-ran")
    server = "/".join(stub.ping_url.split("/")[:3])
    assert dry_run(tmp_path, UUID.upper(), "touch", mark, stub=stub) == [
        f"would run: touch {mark}",
        f"would ping: {server}/.../0a1b2c3d/start  at its start",
        f"would ping: {server}/.../0a1b2c3d  on success",
        f"would ping: {server}/.../0a1b2c3d/STATUS  on failure",
        "settings: from the environment only",
    ]


def test_what_may_be_logged(tmp_path: Path, stub: HealthchecksStub) -> None:
    argv = ["--on-exit", "1=log", "--fail-after", "3", "x", "true"]
    lines = dry_run(tmp_path, *argv, stub=stub, HC_CHECK_X=UUID)
    server = "/".join(stub.ping_url.split("/")[:3])
    assert lines[1:-1] == [
        f"would ping: {server}/.../x  on success",
        f"would ping: {server}/.../x/log  on an exit status that --on-exit says to log",
        f"would ping: {server}/.../x/log  on the first 2 failures in a row",
        f"would ping: {server}/.../x/STATUS  on failure",
    ]
    lines = dry_run(tmp_path, "--fail-after", "2", "x", "true", stub=stub, HC_CHECK_X=UUID)
    assert lines[2] == f"would ping: {server}/.../x/log  on the first failure in a row"


def test_no_start_and_create(tmp_path: Path, stub: HealthchecksStub) -> None:
    argv = ["--no-start", "--create", "x", "true"]
    lines = dry_run(tmp_path, *argv, stub=stub, HEALTHCHECKS_PING_KEY="k" * 22)
    server = "/".join(stub.ping_url.split("/")[:3])
    assert lines[1:-1] == [
        f"would ping: {server}/.../x?create=1  on success",
        f"would ping: {server}/.../x/STATUS?create=1  on failure",
    ]


def test_nobody(tmp_path: Path) -> None:
    assert dry_run(tmp_path, "x", "true") == [
        "would run: true",
        "would ping nobody: HEALTHCHECKS_ENABLED is false",
        "settings: from the environment only",
    ]
    assert dry_run(tmp_path, "x", "true", HEALTHCHECKS_ENABLED="")[1] == (
        "would ping nobody: x is not pinged; set HC_CHECK_X to the check's UUID or ping URL,"
        " or HEALTHCHECKS_PING_KEY (HEALTHCHECKS_ENABLED=false keeps it so, silently)"
    )


def test_problems(tmp_path: Path) -> None:
    path = tmp_path / "hcrun.env"
    path.write_text("nonsense\nHEALTHCHECKS_RETRY_COUNT=many\n", encoding="utf-8")
    assert dry_run(tmp_path, "x", "true", HCRUN_ENV_FILE=str(path))[2:] == [
        f"settings: {path}",
        f"problem: {path}: line 1 is not NAME=value; it is not used",
        "problem: HEALTHCHECKS_RETRY_COUNT: 'many' is not a whole number of 1 or more; using 3",
    ]


def test_no_secret(tmp_path: Path) -> None:
    url = f"https://user:trustno1@hc.example.com/ping/{UUID}"
    argv = [url, "dump", "--token", "t0k3n", "hunter2-in-env", "p=1234"]
    lines = dry_run(
        tmp_path,
        *("--redact", "p=.*", *argv),
        PGPASSWORD="hunter2-in-env",
        HEALTHCHECKS_ENABLED="",
    )
    assert lines == [
        "would run: dump --token [redacted] [redacted] [redacted]",
        "would ping: https://[redacted]@hc.example.com/.../0a1b2c3d/start  at its start",
        "would ping: https://[redacted]@hc.example.com/.../0a1b2c3d  on success",
        "would ping: https://[redacted]@hc.example.com/.../0a1b2c3d/STATUS  on failure",
        "settings: from the environment only",
    ]


def test_version(tmp_path: Path) -> None:
    done = run_hcrun(tmp_path, "--version")
    line = f"hcrun {hcrun.__version__}\n".encode()
    assert (done.returncode, done.stdout, done.stderr) == (0, line, b"")


@pytest.fixture
def help_lines(tmp_path: Path) -> list[str]:
    done = run_hcrun(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert run_hcrun(tmp_path, "-h").stdout == done.stdout
    return done.stdout.decode().splitlines()


def section(lines: list[str], title: str) -> list[str]:
    start = lines.index(f"{title}:") + 1
    return lines[start : (lines + [""]).index("", start)]


def test_help_has_every_option(help_lines: list[str]) -> None:
    assert help_lines[0] == "Usage: hcrun [OPTIONS] CHECK [--] COMMAND [ARG...]"
    for title, options in GROUPS:
        text = section(help_lines, title)
        words = " ".join(" ".join(text).split())
        assert words == " ".join(f"{o.flag} {o.metavar} {o.help}" for o in options).replace(
            "  ", " "
        )
        starts = [line.split()[0] for line in text if line[2] != " "]
        assert starts == [option.flag for option in options]


def test_help_fits(help_lines: list[str]) -> None:
    assert max(map(len, help_lines)) <= 84
    assert not [line for line in help_lines if line != line.rstrip()]


def test_exit_statuses(help_lines: list[str]) -> None:
    assert section(help_lines, "Exit status") == [
        "  the command's           as it is; 128+n when signal n killed it",
        "  126, 127                the command is not executable, was not found",
        "  124                     --timeout or --idle-timeout ended it",
        "  75                      --overlap skip: another run is still going",
        "  125                     hcrun was misused; nothing was run",
    ]


def test_examples_are_right(help_lines: list[str], tmp_path: Path) -> None:
    examples = section(help_lines, "Examples")
    assert len(examples) == 5
    for example in examples:
        name, *argv = shlex.split(example)
        assert name == "hcrun"
        done = run_hcrun(tmp_path, "--dry-run", *argv)
        assert (done.returncode, done.stderr) == (0, b"")
