"""The journals of the users whose jobs run hcrun on this host."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from hcrun.errors import JournalError
from hcrun.journal.database import FILE
from hcrun.journal.foreign import ForeignJournal, as_user, owner_of
from hcrun.journal.journal import Journal, open_existing
from hcrun.paths import find_directory
from hcrun.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hcrun.schedulers import users
    from hcrun.schedulers.installed import Line


def open_all() -> list[Journal]:
    """This user's journal and, unless STATE_DIRECTORY names one, for root those of all jobs.

    Raises JournalError if there is none.
    """
    found: list[Journal] = []
    missing = None
    try:
        found.append(open_existing(read_only=True))
    except JournalError as error:
        if os.path.lexists(error.where):
            raise
        missing = error
    if not os.geteuid() and not os.environ.get("STATE_DIRECTORY"):
        from hcrun.schedulers.installed import read_crontabs, read_timers  # only for root

        known = {os.path.realpath(journal.path) for journal in found}
        for directory in directories(read_crontabs().lines + read_timers().lines, "/"):
            path = os.path.join(directory, FILE)
            if os.path.lexists(path) and os.path.realpath(path) not in known:
                known.add(os.path.realpath(path))
                owner = owner_of(path)
                found.append(ForeignJournal(path, owner) if owner else Journal(directory))
    if not found and missing:
        raise missing
    return found


def directories(lines: Iterable[Line], root: str) -> dict[str, users.User]:
    """The state directories of the users who run hcrun in these lines, below `root`."""
    from hcrun.schedulers import users  # only for root

    found: dict[str, users.User] = {}
    for line in lines:
        user = users.find(line.user, root) if line.job else None
        if user is None:  # the doctor reports an unknown user
            continue
        environ = {"HOME": user.home, **line.environ}
        find = partial(_directory, environ, user.uid)
        try:
            path = as_user(user.uid, user.home, find)
        except JournalError:  # without a home
            continue
        found[os.path.join(root, path.lstrip("/"))] = user
    return found


def _directory(environ: dict[str, str], uid: int) -> str:
    """As the user's own runs find it, with the env file of that user."""
    return find_directory(Settings.load(environ), uid)
