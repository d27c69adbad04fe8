"""Where hcrun keeps its state."""

import os
from _collections_abc import Mapping

from hcrun.errors import JournalError
from hcrun.settings import Settings


def state_directory(environ: Mapping[str, str] = os.environ, uid: int | None = None) -> str:
    """The directory of this process; else of a process with this environment and user.

    Raises JournalError if there is none.
    """
    return directory_of(Settings.load(environ), uid)


def directory_of(settings: Settings, uid: int | None = None) -> str:
    """STATE_DIRECTORY (as of systemd), else /var/lib/hcrun for root, else XDG_STATE_HOME/hcrun.

    Raises JournalError if there is none.
    """
    given = settings.get("STATE_DIRECTORY").partition(":")[0]
    if given:
        return given
    uid = os.geteuid() if uid is None else uid
    if uid == 0:
        return "/var/lib/hcrun"
    if base := settings.get("XDG_STATE_HOME"):
        return os.path.join(base, "hcrun")
    return os.path.join(settings.environ.get("HOME") or _home(uid), ".local/state/hcrun")


def _home(uid: int) -> str:
    from pwd import getpwuid  # few users have no HOME

    try:
        return getpwuid(uid).pw_dir
    except KeyError:
        raise JournalError(
            f"user {uid} has no home", hint="set STATE_DIRECTORY to a directory for the journal"
        ) from None
