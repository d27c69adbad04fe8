"""Journals with a past: runs as hcrun records them, at any time."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from uuid import uuid4

from hcrun.excerpt import Excerpt
from hcrun.journal import Journal
from hcrun.record import Run


def open_past(tmp_path: Path) -> Journal:
    """The journal that the commands of `tests.command` see."""
    return Journal(str(tmp_path / "state"))


def add_run(
    journal: Journal,
    check: str,
    ended: float,
    *,
    duration: float | None = 1.0,
    result: str = "success",
    status: int = 0,
    output: str = "",
    why: str = "",
    address: str = "",
) -> Run:
    """One run of the past. With an address, its ping is still to be delivered."""
    run = Run(str(uuid4()), ended - (duration or 0))
    run.check, run.command, run.user = check, "true", "app"
    run.ended, run.duration, run.result, run.status = ended, duration, result, status
    run.why = why or f"exit status {status}"
    run.excerpt = Excerpt(output)
    journal.begin(run, os.getpid(), zlib.crc32((check + address).encode()), address)
    journal.finish(run)
    return run
