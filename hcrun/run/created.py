"""A check that --create has just made: its period and grace time."""

import shlex
import subprocess

from hcrun.run.job import Job
from hcrun.run.not_started import find

_PATIENCE = 30.0  # seconds


def notes(job: Job, name: str) -> list[str]:
    """Set --period and --grace with hcctl, and say what the check has now, unless as wanted."""
    defaults = f"created the check {name} with a period of 1 day and a grace time of 1 hour"
    if not (job.period or job.grace):
        return [f"{defaults}; to change them, run hcctl set {name} --period 1d --grace 1h"]
    words = ["set", name]
    words += [f"--period={job.period}s"] if job.period else []
    words += [f"--grace={job.grace}s"] if job.grace else []
    try:
        # hcctl, as the Management API is not for hcrun to know.
        done = subprocess.run(
            [find("hcctl") or "hcctl", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    else:
        if not done.returncode:
            return [f"created the check {done.stdout.strip()}"] if job.verbose else []
        problem = done.stderr.strip()
    return [f"{defaults}: {problem}; then run hcctl {shlex.join(words)}"]
