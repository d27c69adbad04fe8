"""The end of a run for which the journal had no room: a symbolic link beside it says it.

A short one needs no room on a full disk: it stands in the inode. Without it the run would be
taken for one whose hcrun vanished, and reported as failed, although it may have succeeded and the
server know so.
"""

from __future__ import annotations

import os

from hcrun.units import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hcrun.journal.run import Run


def leave(journal: str, run: Run, delivery: str) -> bool:
    """Whether it could be said."""
    text = f"{run.ended} {run.duration} {run.status} {run.result} {delivery}"
    try:
        os.symlink(text, _path(journal, run.run_id))
    except OSError:
        return False
    return True


def find(journal: str, run_id: str) -> tuple[Any, ...] | None:
    """When it ended, its duration, status, result, the same in words, delivery; None: not said."""
    try:
        ended, duration, status, result, delivery = os.readlink(_path(journal, run_id)).split()
        took = float(duration)
        why = f"exit status {status} after {span(took)}; the journal could not be written then"
        return float(ended), took, int(status), result, why, delivery
    except (OSError, ValueError):
        return None


def forget(journal: str, run_id: str) -> None:
    """It is in the journal now."""
    try:
        os.unlink(_path(journal, run_id))
    except OSError:
        pass


def _path(journal: str, run_id: str) -> str:
    return f"{journal}.end-{run_id}"
