"""hcrun-mail: mail from this host about the server that sends the alerts."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "hcrun/bin/hcrun-mail"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run it with a probe that exits with a status, and a sendmail that keeps its mails."""
    for name, script in {
        "probe-x": "echo \"X says $1 'quoted' \\$HOME\"; exit $1",
        "sendmail": f'echo "to $3" >> {tmp_path}/mails; cat >> {tmp_path}/mails',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "STATE_DIRECTORY": str(tmp_path / "state")}

    def run(*argv: str, **env: str) -> tuple[int, str, str]:
        argv = argv if len(argv) > 1 else ("ops@example.com", "probe-x", *argv)
        done = subprocess.run(
            [SCRIPT, *argv],
            env=environ | env,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def subjects(tmp_path: Path) -> list[str]:
    path = tmp_path / "mails"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [line.partition(": ")[2] for line in lines if line.startswith("Subject")]


def test_one_mail_for_an_outage(run: Run, tmp_path: Path) -> None:
    critical, over = (f"{word}: probe-x on {os.uname().nodename}" for word in ("CRITICAL", "over"))
    for status, expected in (
        *[("2", []), ("0", []), ("2", []), ("3", []), ("2", [critical])],  # one alone is not one
        *[("2", []), ("3", []), ("1", [over]), ("0", [])],
    ):
        assert run(status) == (int(status), f"X says {status} 'quoted' $HOME\n", "")
        assert subjects(tmp_path) == expected, status


def test_it_is_repeated_every_hour(run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        run("2")
    text = (tmp_path / "mails").read_text()
    assert text.startswith("to ops@example.com\nTo: ops@example.com\nSubject: CRITICAL: ")
    assert text.endswith("Auto-Submitted: auto-generated\n\nX says 2 'quoted' $HOME\n")
    state = tmp_path / "state/mail-probe-x"
    failed, mailed = state.read_text().split()
    subjects(tmp_path)
    state.write_text(f"{failed} {int(mailed) - 3601}\n")
    run("2")
    assert len(subjects(tmp_path)) == 1


def test_without_sendmail_it_is_tried_again(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sendmail").rename(tmp_path / "later")
    run("2")
    status, _, err = run("2")
    assert (status, "hcrun-mail: no mail to ops@example.com: " in err) == (2, True)
    (tmp_path / "later").rename(tmp_path / "sendmail")
    run("2")
    assert len(subjects(tmp_path)) == 1


@pytest.mark.parametrize("text", ["", "x y", "-1 2", "\0\n"])
def test_a_state_that_is_damaged(text: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/mail-probe-x").write_text(text)
    for _ in range(2):
        assert run("2")[::2] == (2, "")
    assert len(subjects(tmp_path)) == 1


def test_no_place_for_the_state(run: Run, tmp_path: Path) -> None:
    """Too many mails are better than none."""
    status, _, err = run("2", STATE_DIRECTORY="/proc/nowhere")
    assert (status, "each CRITICAL run is mailed" in err) == (2, True)
    assert len(subjects(tmp_path)) == 1


def test_wrong_use(run: Run) -> None:
    assert run("ops@example.com", "/no/such/probe")[0] == 127
    done = subprocess.run([SCRIPT, "root"], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr[:18]) == (125, b"hcrun-mail: usage:")
