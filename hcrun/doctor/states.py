"""Where the jobs of this host keep their journals, and whether they can."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from hcrun.doctor.finding import Finding, warning
from hcrun.errors import JournalError
from hcrun.paths import state_directory
from hcrun.schedulers import users
from hcrun.schedulers.installed import Line


def directories(lines: Iterable[Line], root: str) -> dict[str, users.User]:
    """The state directories of those who run hcrun in these lines."""
    found: dict[str, users.User] = {}
    for line in lines:
        user = users.find(line.user, root) if line.job else None
        if user is None:  # who is unknown is spoken of elsewhere
            continue
        try:
            path = state_directory({"HOME": user.home, **line.environ}, user.uid)
        except JournalError:  # without a home
            continue
        found[os.path.join(root, path.lstrip("/"))] = user
    return found


def evaluate(lines: Iterable[Line], root: str) -> Iterator[Finding]:
    """systemd itself makes those that it names."""
    left = [line for line in lines if "STATE_DIRECTORY" not in line.environ]
    for path, user in directories(left, root).items():
        if not users.may_make(user, path, root):
            yield warning(
                f"{user.name} can neither write nor make {path}",
                "these runs are not recorded, and results that cannot be delivered are lost",
                f"install -d -m 0700 -o {user.name} {path}",
            )
