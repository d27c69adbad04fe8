"""Where hcrun keeps its state."""

import os
from _collections_abc import Mapping

from hcrun.errors import JournalError


def state_directory(environ: Mapping[str, str] = os.environ, uid: int | None = None) -> str:
    """`$STATE_DIRECTORY` (systemd), else /var/lib/hcrun for root, else `$XDG_STATE_HOME/hcrun`.

    By default of this process; else of a process with this environment and user. Raises
    JournalError if there is none.
    """
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return given
    if (os.geteuid() if uid is None else uid) == 0:
        return "/var/lib/hcrun"
    home = environ.get("HOME", "")
    base = environ.get("XDG_STATE_HOME") or (home and os.path.join(home, ".local/state"))
    if not base:
        raise JournalError(
            "no place for the journal", where="HOME", hint="set HOME or STATE_DIRECTORY"
        )
    return os.path.join(base, "hcrun")
