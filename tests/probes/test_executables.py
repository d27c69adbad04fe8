"""Every probes/check_*.py runs as a file, with python, with -m and as a console script."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hcrun import __version__

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "probes").glob("check_*.py"))
BIN = Path(sys.executable).parent
# $PATH has this interpreter as python3, as an activated virtual environment does.
ENV = {"PATH": f"{BIN}:/usr/bin:/bin", "HCRUN_ENV_FILE": os.devnull}


def run(*argv: str | Path, cwd: Path, **env: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*map(str, argv)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=ENV | env,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_nothing_else_lies_beside_them() -> None:
    beside = {path.name for path in (ROOT / "probes").iterdir()} - {"__pycache__"}
    folders = {"framework", "clients", "tables"}
    assert beside == {"__init__.py", *folders, *(file.name for file in FILES)}
    assert len(FILES) >= 18


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_ways_are_the_same(file: Path, tmp_path: Path) -> None:
    name = file.stem.removeprefix("check_").replace("_", "-")
    link = tmp_path / "check"
    link.symlink_to(file)
    ways: list[tuple[str | Path, ...]] = [
        (file,),
        (sys.executable, file),
        (sys.executable, "-m", f"probes.{file.stem}"),
        (link,),
    ]
    assert os.access(file, os.X_OK)
    expected = run(BIN / f"probe-{name}", "--nonsense", cwd=tmp_path)
    assert expected[0] == 3
    assert expected[1].strip()
    for way in ways:
        assert run(*way, "--nonsense", cwd=tmp_path) == expected, way
    for flag in ("-V", "--version"):
        printed = run(BIN / f"probe-{name}", flag, cwd=tmp_path)
        assert printed == (0, f"probe-{name} {__version__}\n", "")
    helped = run(BIN / f"probe-{name}", "--help", cwd=tmp_path)
    assert helped[0] == 0
    assert helped == run(file, "--help", cwd=tmp_path)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_without_hcrun_it_is_unknown(file: Path, tmp_path: Path) -> None:
    """-S leaves site-packages out: neither hcrun nor what it needs is installed."""
    status, line, errors = run(sys.executable, "-S", file, cwd=tmp_path)
    assert (status, errors, line.count("\n")) == (3, "", 1)
    assert "UNKNOWN - the probe cannot start: " in line
    assert f"{sys.executable} -m pip install 'hcrun" in line
    alone = tmp_path / file.name  # a copy of this file only
    shutil.copy(file, alone)
    status, line, errors = run(sys.executable, "-S", alone, cwd=tmp_path)
    assert (status, errors, line.count("\n")) == (3, "", 1)
    assert "pip install 'hcrun" in line


def test_a_probe_whose_import_fails_is_unknown(tmp_path: Path) -> None:
    """Not 1, Python's own exit status, which is a WARNING."""
    (tmp_path / "click.py").write_text("import nothing_of_that_name\n")
    for way in ([BIN / "probe-redis"], [ROOT / "probes" / "check_redis.py"]):
        status, line, errors = run(*way, cwd=tmp_path, PYTHONPATH=str(tmp_path))
        assert (status, errors) == (3, "")
        assert line.startswith("REDIS UNKNOWN - the probe cannot start: ModuleNotFoundError: ")
