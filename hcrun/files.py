"""Files are written whole or not at all."""

import os
import stat
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from hcrun.errors import HcrunError
from hcrun.settings import refused

_LARGEST = 1_000_000  # characters that are read of a file


def read_regular(path: str) -> str | None:
    """Returns the beginning of a regular file, else None: a pipe would block. Raises OSError."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        return None
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read(_LARGEST)


def text_of(path: str) -> str:
    """Returns the beginning of a regular file, "" if there is none that can be read."""
    try:
        return read_regular(path) or ""
    except OSError:
        return ""


def table(module: str, name: str) -> dict[str, Any]:
    """Returns the TOML file of that name, which is beside the module."""
    return tomllib.loads(Path(module).with_name(name).read_text("utf-8"))


def write(path: str, text: str, mode: int = 0o644, *, replace: bool = True) -> None:
    """Write `text` as UTF-8 into the file `path`, with the permissions `mode`.

    Readers see the old file or the new one, even after a crash. A symbolic link is followed.
    /dev/null, a pipe and the like are not replaced. Raises HcrunError; without `replace` also if
    the file exists. The name of the temporary file begins with a dot, so that cron and systemd
    ignore it.
    """
    if os.path.islink(path) and (refusal := refused(path)):  # root would follow any link
        raise HcrunError(f"a symbolic link; {refusal[0]}", where=path, hint="delete it")
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise HcrunError("cannot be written: not a regular file", where=path)
    directory, name = os.path.split(path)
    part = ""
    try:
        descriptor, part = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
        with open(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            os.fchmod(descriptor, mode)
            file.flush()
            os.fsync(descriptor)
        if replace:
            os.replace(part, path)
        else:
            os.link(part, path)  # unlike a rename it fails when there is a file
    except OSError as error:
        hint = "run it as root (sudo)" if isinstance(error, PermissionError) else ""
        raise HcrunError(f"cannot be written: {error.strerror}", where=path, hint=hint) from None
    finally:
        if part and os.path.lexists(part):
            os.unlink(part)
