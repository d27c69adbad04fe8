"""Journals with runs of times long past: `Past(tmp_path).run("backup", at, 12.0)`."""

from pathlib import Path
from uuid import uuid4

from hcrun.excerpt import Excerpt
from hcrun.journal.journal import Journal
from hcrun.journal.run import Run


class Past:
    """The journal that `run_hcctl(tmp_path, ...)` looks at. Times in seconds since the epoch."""

    def __init__(self, tmp_path: Path) -> None:
        self.journal = Journal(str(tmp_path / "state"))

    def run(
        self,
        check: str,
        started: float,
        duration: float | None = 1.0,
        result: str = "success",
        why: str = "",
        *,
        output: str = "",
        pending: bool = False,
    ) -> Run:
        """Record a run; duration None with result `lost`: its hcrun vanished."""
        run = Run(str(uuid4()), started)
        run.check, run.command, run.user = check, "true", "app"
        identity = sum(check.encode())
        row = self.journal.begin(run, 1, identity, "http://127.0.0.1:1" if pending else "", "")
        run.duration = duration
        run.ended = started + (duration or 0.0)
        run.result, run.status = result, 0 if result == "success" else 1
        run.why = why or ("exit status 0" if result == "success" else "exit status 1")
        run.excerpt = Excerpt(output)
        self.journal.finish(row, run)
        return run

    def every(self, check: str, seconds: float, since: float, until: float) -> None:
        """Successes of one second each."""
        at = since
        while at < until:
            self.run(check, at)
            at += seconds
