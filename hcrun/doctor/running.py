"""What starts the jobs of this host: whether it runs, and what hcrun has said in its log."""

import os
import re
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from hcrun.doctor.finding import Finding, finding, grouped
from hcrun.schedulers.installed import Line
from hcrun.text import shortened

_CRONS = {"cron", "crond", "fcron", "supercronic", "busybox"}
_FILES = ("var/log/syslog", "var/log/messages", "var/log/cron", "var/log/cron.log")
_TAIL = 1_000_000  # bytes of a file
# Of cron's jobs; those of units are with the output of their commands.
_JOURNAL = "journalctl --quiet --no-pager --output=short-iso --since=-7d -t hcrun _TRANSPORT=syslog"


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


def evaluate_log(root: str) -> Iterator[Finding]:
    """The last warnings of hcrun under cron."""
    text = ""
    for name in _FILES:
        with suppress(OSError), open(os.path.join(root, name), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            text += file.read(_TAIL).decode("utf-8", "replace")
    if os.path.realpath(root) == "/" and " hcrun[" not in text:
        with suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(_JOURNAL.split(), capture_output=True, timeout=10, check=False)
            text = done.stdout.decode("utf-8", "replace")
    for line in re.findall(r"^.* hcrun\[\d+\]: .*", text, re.MULTILINE)[-3:]:
        yield finding("said", line=shortened(line, 300))
