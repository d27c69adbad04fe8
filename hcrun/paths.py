"""Where hcrun keeps its state."""

import posix

from hcrun.errors import JournalError
from hcrun.settings import Settings, refused

CATALOG = "/etc/hcrun/checks.toml"  # of this host


def state_directory() -> str:
    """The directory of this process. Raises JournalError if there is none that it may use."""
    return directory_of(Settings.load())


def directory_of(settings: Settings) -> str:
    """The directory of this process, whose settings these are. Raises JournalError."""
    directory = find_directory(settings, posix.geteuid())
    if refusal := refused(directory, "set STATE_DIRECTORY=/var/lib/hcrun"):
        raise JournalError(refusal[0], where=directory, hint=refusal[1])
    return directory


def find_directory(settings: Settings, uid: int) -> str:
    """STATE_DIRECTORY (as of systemd), else /var/lib/hcrun for root, else XDG_STATE_HOME/hcrun.

    Of a process of this user. Raises JournalError if there is none.
    """
    given = settings.get("STATE_DIRECTORY").partition(":")[0]
    if given.startswith("/"):
        return given
    if given:  # each working directory would have a journal of its own
        raise JournalError(
            f"{given!r} is not an absolute path", where="STATE_DIRECTORY", hint="begin it with /"
        )
    if uid == 0:
        return "/var/lib/hcrun"
    if base := settings.get("XDG_STATE_HOME"):
        return f"{base}/hcrun"
    return f"{settings.environ.get('HOME') or _home(uid)}/.local/state/hcrun"


def _home(uid: int) -> str:
    from pwd import getpwuid  # few users have no HOME

    try:
        return getpwuid(uid).pw_dir
    except KeyError:
        raise JournalError(
            f"user {uid} has no home", hint="set STATE_DIRECTORY to a directory for the journal"
        ) from None
