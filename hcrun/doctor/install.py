"""The installation: whether its modules are byte-compiled."""

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path

from hcrun.doctor.finding import Finding, finding, ok
from hcrun.text import counted

PACKAGES = ("hcrun", "probes")
_HEADER = 16  # bytes: magic number, flags, and time and size of the source


def directories() -> list[str]:
    """The directories of the packages."""
    specs = (importlib.util.find_spec(name) for name in PACKAGES)
    return [os.path.dirname(spec.origin) for spec in specs if spec and spec.origin]


def stale(directories: Iterable[str]) -> tuple[list[str], int]:
    """The modules without a byte-compiled file that Python would use, and the number of modules."""
    modules = [str(path) for directory in directories for path in Path(directory).rglob("*.py")]
    return [path for path in modules if not _compiled(path)], len(modules)


def _compiled(path: str) -> bool:
    try:
        with open(importlib.util.cache_from_source(path), "rb") as file:
            header = file.read(_HEADER)
        status = os.stat(path)
    except OSError:
        return False
    if len(header) < _HEADER or header[:4] != importlib.util.MAGIC_NUMBER:
        return False
    if header[4] & 1:  # has the hash of the source, which Python compares or trusts
        return True
    mtime, size = (int.from_bytes(header[at : at + 4], "little") for at in (8, 12))
    return (mtime, size) == (int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)


def evaluate(directories: list[str], found: list[str], total: int) -> Finding:
    if not found:
        return ok(f"{counted(total, 'module')}, all byte-compiled")
    return finding("not-compiled", names=directories, number=len(found), total=total)
