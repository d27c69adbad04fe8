"""The environment and the paths of this process, without `os`, which is slow to import."""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# What only the server needs.
_SERVERS_OWN = (b"HEALTHCHECKS_SECRET_KEY", b"HEALTHCHECKS_DB_")


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


def of_command(block: bytes) -> dict[bytes, bytes]:
    """Return the command's variables, from `block`, an environment as the kernel keeps it.

    In the C locale, as under cron, Python sets LC_CTYPE at its start (PEP 538), and the launcher's
    shell sets PWD. The command must not see that, but what hcrun was given, without the secrets of
    the server itself.
    """
    try:
        if not block:  # `python -m hcrun`
            with open("/proc/self/environ", "rb") as file:
                block = file.read()
    except OSError:
        block = b"\0".join(name + b"=" + value for name, value in posix.environ.items())
    found: dict[bytes, bytes] = {}
    for entry in block.split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name and not name.startswith(_SERVERS_OWN):
            found.setdefault(name, value)
    return found


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
