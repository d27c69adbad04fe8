"""The file of HC_CHECK_<NAME>=uuid for programs that ping without hcrun; a uuid is a secret."""

import os
from collections.abc import Mapping

from hcrun.errors import HcrunError
from hcrun.settings import refused

_HEADER = "# Written by hcctl sync. NAME is the check's slug in upper case, with _ for -.\n"
_OURS = ("#", "HC_CHECK_")


def render(uuids: Mapping[str, str]) -> str:
    """The file's text; `uuids` by slug."""
    lines = {f"HC_CHECK_{slug.upper().replace('-', '_')}={uuid}\n" for slug, uuid in uuids.items()}
    return _HEADER + "".join(sorted(lines))


def check(path: str) -> None:
    """Raise HcrunError if the file cannot be written, or contains other lines."""
    if refusal := refused(path):
        raise HcrunError(refusal[0], where=path, hint=refusal[1])
    directory = os.path.dirname(path) or "."
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/null must stay what it is
        raise HcrunError("not a regular file", where=path, hint="give the path of one")
    if not os.access(directory, os.W_OK | os.X_OK):
        why = "not writable" if os.path.isdir(directory) else "not a directory"
        raise HcrunError(why, where=directory, hint="create it, or give another --env-file")
    try:
        with open(path, encoding="utf-8") as file:
            foreign = [line for line in file if line.strip() and not line.startswith(_OURS)]
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a text file"
        raise HcrunError(why, where=path, hint="give another --env-file") from None
    if foreign:
        raise HcrunError(
            "contains other lines than HC_CHECK_*, which would be lost",
            where=path,
            hint="give a file of its own, for example healthchecks.env",
        )
