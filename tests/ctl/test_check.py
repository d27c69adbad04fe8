"""`hcctl check` and `hcctl init`: what they print, and the files that they leave."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hcrun.catalog import SHIPPED
from tests.support.command import run_hcctl

ANSWER = tuple[int, str, str]


def hcctl(tmp_path: Path, *arguments: str) -> ANSWER:
    done = run_hcctl(tmp_path, *arguments)
    return done.returncode, done.stdout, done.stderr


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "checks.toml"
    path.write_text(text)
    return str(path)


def test_check_counts(tmp_path: Path) -> None:
    summary = f"{SHIPPED}: 35 checks, 3 without a command (pinged by the application)\n"
    assert hcctl(tmp_path, "check", "--catalog", SHIPPED) == (0, summary, "")
    path = written(tmp_path, '[checks.a]\nevery = "5m"\ncommand = "true"')
    summary = f"{path}: 1 check; no channels: a\n"
    assert hcctl(tmp_path, "check", "--catalog", path) == (0, summary, "")
    path = written(tmp_path, "")
    assert hcctl(tmp_path, "check", "--catalog", path) == (0, f"{path}: 0 checks\n", "")


def test_check_says_all_that_is_wrong(tmp_path: Path) -> None:
    path = written(tmp_path, '[checks.a]\nevery = "5m"\ngraec = "1m"\nzone = 5')
    first = f'{path}:3: unknown key "graec" in [checks.a]; did you mean "grace"?'
    second = f"{path}:4: checks.a.zone: 5 is not text; put it in quotes"
    assert hcctl(tmp_path, "check", "--catalog", path) == (1, "", f"{first}\n{second}\n")


def test_check_for_programs(tmp_path: Path) -> None:
    path = written(tmp_path, '[checks.a]\nevery = "5m"\n[checks.b]\nevery = "5m"')
    status, output, errors = hcctl(tmp_path, "check", "--json", "--catalog", path)
    assert (status, errors) == (0, "")
    assert json.loads(output) == {"path": path, "checks": ["a", "b"], "problems": []}
    path = written(tmp_path, "[checks.a]\nevery = '5m'\nzone = 5")
    status, output, errors = hcctl(tmp_path, "check", "--json", "--catalog", path)
    assert (status, errors) == (1, "")
    problem = {"what": "5 is not text", "hint": "put it in quotes"}
    problem["where"] = f"{path}:3: checks.a.zone"
    assert json.loads(output) == {"path": path, "checks": [], "problems": [problem]}


def test_check_of_no_file(tmp_path: Path) -> None:
    message = "none.toml: No such file or directory; create it with hcctl init\n"
    assert hcctl(tmp_path, "check", "--catalog", "none.toml") == (1, "", message)


def test_init_writes_a_start_that_is_right(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "hcrun" / "checks.toml"
    message = f"{path} written. Edit it, then run: hcctl check --catalog {path}\n"
    assert hcctl(tmp_path, "init", str(path)) == (0, message, "")
    assert path.read_text() == Path(SHIPPED).read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(path.parent) == ["checks.toml"]
    assert hcctl(tmp_path, "check", "--catalog", str(path))[0] == 0


def test_init_replaces_nothing_unless_it_is_told_to(tmp_path: Path) -> None:
    path = written(tmp_path, "mine")
    refused = (1, "", f"hcctl: {path}: already exists; add --force to replace it\n")
    assert hcctl(tmp_path, "init", path) == refused
    assert Path(path).read_text() == "mine"
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    assert hcctl(tmp_path, "init", "--force", str(link))[0] == 0
    assert link.is_symlink()
    assert Path(path).read_text() == Path(SHIPPED).read_text()


def test_init_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "checks.toml"
    status, output, errors = hcctl(tmp_path, "init", str(path))
    assert (status, output) == (1, "")
    assert errors == f"hcctl: {tmp_path}/file: cannot be created: File exists\n"
    assert hcctl(tmp_path, "init", "/proc/checks.toml") == (
        1,
        "",
        "hcctl: /proc/checks.toml: cannot be written: No such file or directory\n",
    )


def test_init_several_at_once(tmp_path: Path) -> None:
    """One writes the file, the others find it."""
    path = tmp_path / "checks.toml"
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: hcctl(tmp_path, "init", str(path)), range(4)))
    assert sorted(status for status, _, _ in answers) == [0, 1, 1, 1]
    assert path.read_text() == Path(SHIPPED).read_text()
    assert os.listdir(tmp_path) == ["checks.toml"]
