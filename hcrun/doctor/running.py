"""What starts the jobs of this host: whether it runs, and has the files as hcctl made them."""

import os
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from hcrun.doctor.finding import Finding, finding, grouped
from hcrun.schedulers.installed import Line

_CRONS = {"cron", "crond", "fcron", "supercronic", "busybox"}


def evaluate(lines: Sequence[Line], dead: Collection[str]) -> Iterator[Finding]:
    """Of this host itself; `dead` are the timers that are not enabled."""
    systemd = os.path.isdir("/run/systemd/system")
    jobs = [line for line in lines if line.job and not line.timer]
    if jobs and not _cron_runs():
        fix = "systemctl enable --now cron" if systemd else "service cron start"
        yield finding("no-cron", number=len(jobs), fix=fix)
    timers = [line.where for line in lines if line.timer and line.job and line.where not in dead]
    if not timers:
        return
    command = ["systemctl", "is-active", "--", *timers]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        states = done.stdout.split() if systemd else ["without systemd"] * len(timers)
    except (OSError, subprocess.TimeoutExpired) as problem:
        yield finding("no-systemctl", problem=problem)
        return
    for state, names in grouped(zip(states, timers, strict=False)):
        if state != "active":
            fix = f"systemctl start {' '.join(names)}" if systemd else "hcctl install crontab"
            yield finding("timers", names=names, state=state, fix=fix)


def _cron_runs() -> bool:
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as file:
            if os.fsdecode(file.read()).strip() in _CRONS:
                return True
    return os.path.isdir("/run/systemd/generator/cron.target.wants")  # of systemd-cron
