"""The journal for commands that read it."""

from __future__ import annotations

import os

from hcrun.errors import JournalError
from hcrun.journal.database import FILE
from hcrun.journal.journal import Journal
from hcrun.paths import state_directory


def open_existing() -> Journal:
    """Open this user's journal. Raises JournalError if there is none: a reader creates none."""
    directory = state_directory()
    path = os.path.join(directory, FILE)
    try:
        os.stat(path)
    except FileNotFoundError:
        raise JournalError(
            "there is no journal",
            where=path,
            hint="the first run of hcrun creates it; run this as the user whose runs they are,"
            " or set STATE_DIRECTORY",
        ) from None
    except OSError:  # Journal says what it is
        pass
    return Journal(directory)
