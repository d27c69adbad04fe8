"""`hcctl init --compose`: what it finds in compose files, by the real docker-compose."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.discovery.cases import CASES
from tests.support.command import run_hcctl

BIN = Path(sys.executable).parent  # with docker-compose, if PyPI has it for this machine
PATH = f"{BIN}:{os.environ['PATH']}"
pytestmark = pytest.mark.skipif(not (BIN / "docker-compose").exists(), reason="no docker-compose")
DATA = Path(__file__).parents[1] / "data"
FOLDERS = sorted((DATA / "compose").iterdir())


def found(tmp_path: Path, files: list[Path], **env: str) -> dict[str, Any]:
    options = [word for file in files for word in ("--compose", str(file))]
    done = run_hcctl(tmp_path, "init", "--json", *options, env={"PATH": PATH, **env})
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def comparable(given: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The keys that are expected, and those that nothing must have unless they are."""
    keys = {*expected, *({"why", "warn", "advertised", "containers"} & set(given))}
    return {key: given.get(key) for key in keys}


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_a_project(folder: Path, tmp_path: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    files = [folder / name for name in expected["files"]]
    given = found(tmp_path, files, **expected["environment"])
    checks = expected.pop("checks")
    for key in ("project", "not_checked"):
        assert given[key] == expected[key]
    assert {
        name: comparable(check, checks.get(name, {})) for name, check in given["checks"].items()
    } == checks


@pytest.mark.parametrize("case", CASES)
def test_a_service(case: str, tmp_path: Path) -> None:
    expected = CASES[case]
    given = found(tmp_path, [DATA / "services" / f"{case}.yaml"])
    assert given["not_checked"] == {
        name: why for name, why in expected.items() if isinstance(why, str)
    }
    checks = {name: check for name, check in expected.items() if isinstance(check, dict)}
    got = {}
    for name, check in given["checks"].items():
        wanted = checks.get(name, {})
        got[name] = {key: check.get(key) for key in wanted}
        if "why" not in wanted:
            assert check.get("why") is None, (name, check)
    assert got == checks
