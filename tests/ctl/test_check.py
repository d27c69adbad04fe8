"""`hcctl check`: what it prints."""

import json
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
