"""Commands run in turns, each measured by the kernel: wall time, CPU of it and its children."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

BIN = Path(sys.executable).parent
HCRUN = str(BIN / "hcrun")
BARE = [str(BIN / "python3"), "-I", "-c", "pass"]  # the unit: a bare interpreter start


@dataclass(frozen=True)
class Contender:
    """One command, and the environment it runs in."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    goal: str = ""


@dataclass(frozen=True)
class Cost:
    """Seconds; `stdout` is what it printed."""

    wall: float
    cpu: float
    began: float  # time.time()
    stdout: str


def run(contender: Contender) -> Cost:
    """Run it once, with its stdout in a pipe and no stdin."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, started = time.time(), time.monotonic()
    done = subprocess.run(
        contender.argv,
        env=contender.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, began, done.stdout)


def in_turns(contenders: Sequence[Contender], rounds: int) -> dict[str, list[Cost]]:
    """One uncounted round, then `rounds` in which each has its turn."""
    costs: dict[str, list[Cost]] = {contender.name: [] for contender in contenders}
    for number in range(rounds + 1):
        for contender in contenders:
            cost = run(contender)
            if number:
                costs[contender.name].append(cost)
    return costs


def table(title: str, rows: Sequence[tuple[str, float, str]], unit: float, of: str) -> None:
    """Print rows of (name, seconds, goal): milliseconds, and the ratio to `unit` seconds."""
    print(f"\n{title}")
    print(f"  {'':34}{'ms':>9}  {of:>18}  goal")
    for name, seconds, goal in rows:
        print(f"  {name:34}{seconds * 1000:9.1f}  {seconds / unit:18.2f}  {goal}".rstrip())


def medians(costs: Mapping[str, Sequence[Cost]], what: str) -> dict[str, float]:
    return {name: median(getattr(cost, what) for cost in each) for name, each in costs.items()}


# What the kernel says of a process includes what its parent had when it started it: so the parent
# is as small as can be.
_LAUNCHER = """
import os, sys
null = (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[null])
print(os.wait4(pid, 0)[2].ru_maxrss)
"""


def peak_memory(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Bytes of the largest process: the command, or one that it has waited for."""
    launcher = [BARE[0], "-I", "-S", "-c", _LAUNCHER, *argv]
    done = subprocess.run(launcher, env=env, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024


def clean_environment(state: str, **more: str) -> dict[str, str]:
    """Nothing of this machine's settings; a journal of its own."""
    return {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": state,
        "STATE_DIRECTORY": state,
        "LANG": "C.UTF-8",
        **more,
    }
