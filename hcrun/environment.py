"""The environment and the paths of this process, without `os`, which is slow to import."""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def variables() -> Mapping[str, str]:
    """`os.environ`; what this process was started with if nothing has imported `os`."""
    if "os" in sys.modules:  # a program may have changed it
        import os

        return os.environ
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    return {
        name.decode(encoding, errors): value.decode(encoding, errors)
        for name, value in posix.environ.items()
    }


def encoded(text: str) -> bytes:
    """As `os.fsencode`."""
    return text.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def exists(path: str) -> bool:
    """As `os.path.lexists`."""
    try:
        posix.lstat(path)
    except (OSError, ValueError):
        return False
    return True


def create_directory(path: str) -> None:
    """Create the directory of the journal, and those above it. Raises OSError."""
    import os  # the first run ever

    os.makedirs(path, mode=0o700, exist_ok=True)
