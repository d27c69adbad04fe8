"""Runs commands in turns and measures wall time and CPU time, children included."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from uv import find_uv_bin

BIN = Path(sys.executable).parent
HCRUN = str(BIN / "hcrun")
BARE = [str(BIN / "python3"), "-I", "-c", "pass"]  # the unit: a bare interpreter start


@contextmanager
def installed() -> Iterator[str]:
    """Give the path of an hcrun as `make install` installs it, in an environment of its own.

    Beside it lies hcrun-pip, whose first line is of pip and not of `make install`. The one of the
    developer's environment is editable, and so takes longer to find.
    """
    with tempfile.TemporaryDirectory() as directory:
        uv = [find_uv_bin(), "--quiet"]
        root = Path(__file__).parents[1]
        subprocess.run([*uv, "build", "--wheel", "--out-dir", directory, root], check=True)
        (wheel,) = Path(directory).glob("*.whl")
        subprocess.run([*uv, "venv", "--python", BARE[0], f"{directory}/venv"], check=True)
        into = ["--python", f"{directory}/venv", "--no-deps", "--compile-bytecode"]
        subprocess.run([*uv, "pip", "install", *into, wheel], check=True)
        program = Path(directory, "venv/bin/hcrun")
        shutil.copy(program, f"{program}-pip")
        launcher = (root / "scripts/packaging/launcher").read_text()
        version = "{}.{}".format(*sys.version_info[:2])
        launcher = launcher.replace("/opt/hcrun", f"{directory}/venv").replace("@version@", version)
        program.write_text(launcher)
        yield str(program)


@dataclass(frozen=True)
class Contender:
    """A command and the environment that it runs in."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    goal: str = ""


@dataclass(frozen=True)
class Cost:
    """Seconds, and the output of the command."""

    wall: float
    cpu: float
    began: float  # time.time()
    stdout: str


def run(contender: Contender) -> Cost:
    """Run the command once, with stdout in a pipe and without stdin."""
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
    """Run each command once per round, after a first round that is not counted."""
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


# The kernel's peak memory of a process includes that of its parent before the exec, so the parent
# must be small.
_LAUNCHER = """
import os, sys
null = (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[null])
print(os.wait4(pid, 0)[2].ru_maxrss)
"""


def peak_memory(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Return the peak memory of the command or its largest child, in bytes."""
    launcher = [BARE[0], "-I", "-S", "-c", _LAUNCHER, *argv]
    done = subprocess.run(launcher, env=env, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024


def clean_environment(state: str, **more: str) -> dict[str, str]:
    """Return an environment without the settings of this machine, with its own journal."""
    return {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": state,
        "STATE_DIRECTORY": state,
        "LANG": "C.UTF-8",
        **more,
    }
