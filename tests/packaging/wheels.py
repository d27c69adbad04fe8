"""The wheels of all that hcrun needs, for Debian 12's Python, so that nothing else is fetched."""

import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
PYTHON = "3.11.2"  # of hcbed:base
SOURCE_ONLY = "oncalendar"  # has no wheel on PyPI


def download(directory: Path) -> Path:
    """Fill the directory, with what builds hcrun as well."""
    builder = directory / "build.in"
    builder.write_text("hatchling\n")
    pins = directory / "pins.txt"
    options = ("--all-extras", "--python-version", PYTHON, "--no-emit-package", SOURCE_ONLY)
    compiled = (*options, "--output-file", pins)
    _run(find_uv_bin(), "pip", "compile", "--quiet", "pyproject.toml", builder, *compiled)
    pip = (sys.executable, "-m", "pip")
    _run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", directory, SOURCE_ONLY)
    only = ("--only-binary", ":all:", "--no-deps", "--python-version", PYTHON)
    platforms = ("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64")
    wanted = ("--requirement", pins, "--dest", directory)
    _run(*pip, "download", "--quiet", *only, *platforms, *wanted)
    return directory


def _run(*words: str | Path) -> None:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
