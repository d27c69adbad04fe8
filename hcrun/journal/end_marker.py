"""The end of a run that the journal has no room for, as a symbolic link beside the journal.

A short link needs no room on a full disk: its text is in the inode. Without it, others would take
the run for one whose hcrun vanished and report a failure, even if it has succeeded.
"""

import os

from hcrun.units import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hcrun.journal.run import Run


def leave(journal: str, run: "Run", delivery: str) -> bool:
    """Write the marker; returns whether that succeeded."""
    text = f"{run.ended} {run.duration} {run.status} {run.result} {delivery}"
    try:
        os.symlink(text, _path(journal, run.run_id))
    except OSError:
        return False
    return True


def find(journal: str, run_id: str) -> "tuple[Any, ...] | None":
    """The run's end, duration, status, result, why and delivery; None if there is no marker."""
    try:
        ended, duration, status, result, delivery = os.readlink(_path(journal, run_id)).split()
        seconds = float(duration)
        why = f"exit status {status} after {span(seconds)}; the journal was not writable then"
        return float(ended), seconds, int(status), result, why, delivery
    except (OSError, ValueError):
        return None


def forget(journal: str, run_id: str) -> None:
    """Delete the marker: the journal has the end now."""
    try:
        os.unlink(_path(journal, run_id))
    except (OSError, ValueError):  # the latter: a damaged id
        pass


def _path(journal: str, run_id: str) -> str:
    return f"{journal}.end-{run_id}"
