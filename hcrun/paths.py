"""Where hcrun keeps its state."""

from __future__ import annotations

import os

from hcrun.errors import JournalError


def state_directory() -> str:
    """`$STATE_DIRECTORY` (systemd), else /var/lib/hcrun for root, else `$XDG_STATE_HOME/hcrun`.

    Raises JournalError when there is none.
    """
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return given
    if os.geteuid() == 0:
        return "/var/lib/hcrun"
    home = os.environ.get("HOME", "")
    base = os.environ.get("XDG_STATE_HOME") or (home and os.path.join(home, ".local/state"))
    if not base:
        raise JournalError(
            "no place for the journal", where="HOME", hint="set HOME or STATE_DIRECTORY"
        )
    return os.path.join(base, "hcrun")
