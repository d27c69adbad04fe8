"""What starts the jobs of this host: whether it runs, and has the files as hcctl made them."""

import os
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from hcrun.doctor.finding import Finding, error, grouped, note, warning
from hcrun.schedulers.installed import Line
from hcrun.text import counted, listed

_CRONS = {"cron", "crond", "fcron", "supercronic", "busybox"}
_LATE = "nobody is alerted before their checks are late"


def evaluate(lines: Sequence[Line], dead: Collection[str]) -> Iterator[Finding]:
    """Of this host itself; `dead` are the timers that are not enabled."""
    systemd = os.path.isdir("/run/systemd/system")
    jobs = [line for line in lines if line.job and not line.timer]
    if jobs and not _cron_runs():
        what = f"cron is not running: {counted(len(jobs), 'crontab line')} of hcrun will not run"
        yield error(what, _LATE, "systemctl enable --now cron" if systemd else "service cron start")
    timers = [line.where for line in lines if line.timer and line.job and line.where not in dead]
    if not timers:
        return
    command = ["systemctl", "is-active", "--", *timers]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        states = done.stdout.split() if systemd else ["without systemd"] * len(timers)
    except (OSError, subprocess.TimeoutExpired) as problem:
        yield note(f"systemctl does not answer: {problem}", "doctor cannot tell which timers run")
        return
    for state, names in grouped(zip(states, timers, strict=False)):
        if state != "active":
            what = f"{counted(len(names), 'timer')} {state}: {listed(names)}"
            fix = f"systemctl start {' '.join(names)}" if systemd else "hcctl install crontab"
            yield error(what, f"their jobs do not run; {_LATE}", fix)


def _cron_runs() -> bool:
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as file:
            if os.fsdecode(file.read()).strip() in _CRONS:
                return True
    return os.path.isdir("/run/systemd/generator/cron.target.wants")  # of systemd-cron


def evaluate_edited(paths: Sequence[str]) -> Iterator[Finding]:
    """`paths` are files of hcctl that are not as it wrote them."""
    if paths:
        yield warning(
            f"changed by hand since hcctl installed it: {listed(paths)}",
            "the catalogue does not know the change, and hcctl install refuses to write",
            f"move the change to checks.toml (or systemctl edit); rm {' '.join(paths)};"
            " hcctl install crontab, or systemd",
        )
