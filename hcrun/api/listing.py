"""What help() and completion show of `hcrun`: its public names and modules."""

import sys
from pkgutil import get_importer
from typing import Any

_MODULES = ("celery_tasks", "testing")


class _Finder:
    """Finds every module of the package, and lists the public ones."""

    def __init__(self, finder: Any) -> None:
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)

    def iter_modules(self, prefix: str = "") -> list[tuple[str, bool]]:
        """As pkgutil.iter_modules asks for it, which help() calls."""
        return [(prefix + name, False) for name in _MODULES]


def hide_modules(directory: str) -> None:
    """List no other modules of the package in this directory."""
    finder: Any = get_importer(directory)
    if not isinstance(finder, _Finder):
        sys.path_importer_cache[directory] = _Finder(finder)
