"""Runs whose hcrun was killed before the journal had them; see `hcrun.start_marker`."""

import os
import time

from hcrun.journal.delivery import Report
from hcrun.journal.journal import Journal
from hcrun.journal.run import Run, user_name
from hcrun.ping.target import resolve
from hcrun.settings import Settings
from hcrun.start_marker import PREFIX, address_key

_LARGEST = 4096  # bytes
_STARTING = 60.0  # seconds that a process may need between creating the file and locking it
_COMMAND = "unknown: hcrun vanished before it recorded the command"


def adopt(journal: Journal, path: str) -> None:
    """Record the run of this marker as one in progress if its hcrun is gone. Raises JournalError.

    With settings that may find another ping URL the marker is left to a process with the same ones.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # another process has adopted it
        return
    try:
        os.lockf(fd, os.F_TLOCK, 0)  # as long as the file is open
        text = os.read(fd, _LARGEST).decode("utf-8", "surrogateescape")
        if not text.endswith("\n"):  # killed before the command's start
            done = time.time() - os.fstat(fd).st_mtime > _STARTING
        else:
            done = _record(
                journal, os.path.basename(path).removeprefix(PREFIX), text[:-1].split(" ")
            )
        if done:
            os.unlink(path)
    except OSError:  # its hcrun lives, or another process is adopting it
        pass
    finally:
        os.close(fd)


def _record(journal: Journal, run_id: str, words: list[str]) -> bool:
    try:
        pid, started, key, check = int(words[0]), float(words[1]), int(words[2]), words[3]
    except (ValueError, IndexError):  # not a marker
        return False
    if key != address_key(check):
        return False
    if not journal.query("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)):
        report = Report(Run(run_id, started))
        report.target = resolve(check, Settings.load())
        report.run.check, report.run.command = report.target.label, _COMMAND
        report.run.user = user_name()
        report.begin(journal, pid)
        journal.release(report.row)
    return True
