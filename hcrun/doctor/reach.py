"""Whether the settings that the doctor sees get to the jobs of cron, whose environment is empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hcrun.doctor.finding import Finding, warning
from hcrun.schedulers import users
from hcrun.schedulers.installed import Line
from hcrun.settings import Settings
from hcrun.text import counted, listed

_NEEDED = ("HCRUN_ENV_FILE", "HEALTHCHECKS_PING_URL", "HEALTHCHECKS_PING_KEY")
MayRead = Callable[[str, str], bool]  # of a user and a path


def evaluate(lines: Sequence[Line], settings: Settings, may_read: MayRead) -> Iterator[Finding]:
    """`lines` are those of crontabs that have hcrun in them."""
    here = [name for name in _NEEDED if _only_here(name, settings)]
    lost = [line.where for line in lines if any(not _sets(line, name) for name in here)]
    if lost:
        yield warning(
            f"{listed(here)} only set in this shell, not for {listed(lost)}",
            "cron gives its jobs an empty environment: they ping nobody, or somebody else",
            "put them into /etc/hcrun/hcrun.env",
        )
    names = sorted({line.user for line in lines if line.user})
    for path in _files(settings):
        locked_out = [name for name in names if not may_read(name, path)]
        if locked_out:
            yield warning(
                f"{path} cannot be read by {listed(locked_out)}",
                f"{counted(len(locked_out), 'user')} with jobs that ping nobody",
                f"chgrp {_group(locked_out)} {path} && chmod 0640 {path}",
            )


def _group(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else "GROUP-OF-ALL-THOSE"


def _only_here(name: str, settings: Settings) -> bool:
    names = {name, f"{name}_FILE"}
    return any(settings.environ.get(one) for one in names) and not names & set(settings.from_file)


def _sets(line: Line, name: str) -> bool:
    return bool({name, f"{name}_FILE", "HCRUN_ENV_FILE"} & set(line.environ))


def _files(settings: Settings) -> Iterator[str]:
    """The env file of all, and the ping key that it names: a user's own is that user's business."""
    if settings.path.startswith("/etc/") or settings.environ.get("HCRUN_ENV_FILE"):
        yield settings.path
        if key := settings.from_file.get("HEALTHCHECKS_PING_KEY_FILE", "").strip():
            yield key


def by_modes(root: str) -> MayRead:
    """Who is unknown is spoken of elsewhere."""

    def may_read(name: str, path: str) -> bool:
        user = users.find(name, root)
        return user is None or users.may_read(user, path)

    return may_read
