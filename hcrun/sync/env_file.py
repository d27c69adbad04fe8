"""A file of HC_CHECK_<NAME>=uuid, for what pings without hcrun. Whose uuid it knows can ping."""

from __future__ import annotations

import os
from collections.abc import Mapping

from hcrun import files
from hcrun.errors import HcrunError

_HEADER = "# Written by hcctl sync. NAME is the check's slug in upper case, with _ for -.\n"
_OURS = ("#", "HC_CHECK_")


def render(uuids: Mapping[str, str]) -> str:
    """The file's text; `uuids` by slug."""
    lines = {f"HC_CHECK_{slug.upper().replace('-', '_')}={uuid}\n" for slug, uuid in uuids.items()}
    return _HEADER + "".join(sorted(lines))


def check(path: str) -> None:
    """Raises HcrunError when the file could not be written, or has what somebody else wrote."""
    directory = os.path.dirname(path) or "."
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/null must not become one
        raise HcrunError("is no file", where=path, hint="give the path of one")
    if not os.access(directory, os.W_OK | os.X_OK):
        why = "may not be written" if os.path.isdir(directory) else "is no directory"
        raise HcrunError(why, where=directory, hint="make it, or give another --env-file")
    try:
        with open(path, encoding="utf-8") as file:
            foreign = [line for line in file if line.strip() and not line.startswith(_OURS)]
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "is no text"
        raise HcrunError(why, where=path, hint="give another --env-file") from None
    if foreign:
        raise HcrunError(
            "has more in it than HC_CHECK_ lines, which would be lost",
            where=path,
            hint="give a file of its own, as healthchecks.env",
        )


def write(path: str, uuids: Mapping[str, str]) -> None:
    """All of it or nothing, mode 0600. Raises HcrunError."""
    files.write(path, render(uuids), 0o600)
