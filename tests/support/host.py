"""A host with hcrun, whose Healthchecks server is a stub."""

import subprocess
from pathlib import Path

from hcrun.journal.journal import Journal
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import run_hcctl, run_hcrun, start_hcrun


class Host:
    """`path` is its home, and has the journal in `state`."""

    def __init__(self, path: Path, stub: HealthchecksStub) -> None:
        self.path = path
        self.stub = stub

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
        """`hcrun ARGUMENTS...`"""
        return run_hcrun(self.path, *arguments, stub=self.stub, env=env)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return start_hcrun(self.path, *arguments, stub=self.stub)

    def flush(self) -> subprocess.CompletedProcess[str]:
        return run_hcctl(self.path, "flush")

    @property
    def journal(self) -> Journal:
        return Journal(str(self.path / "state"))

    @property
    def delivery(self) -> str:
        """Of the last run."""
        return self.journal.runs()[0][1]
