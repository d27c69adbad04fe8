"""hcrun, observed from inside by Python's own audit events: what it does, and in which order.

done = audited(tmp_path, "backup", "--", "true", stub=stub)
assert done.events[0].name == "os.posix_spawn"

It runs without `site`: that adds modules of its own, other ones in each environment.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import hcrun
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import PATIENCE, environment

SCRIPT = Path(hcrun.__file__).parent / "bin" / "hcrun"
# With nothing but built-in modules, as the modules are what is looked at.
DRIVER = """
import posix, sys

end = posix._exit

def leave(status):
    note("end", " ".join(sys.modules))
    end(status)

def note(name, text):
    posix.write(log, f"{name}\\t{text}\\n".encode("utf-8", "replace"))

def hook(name, values):
    if (name, hangs) == ("open", "open marker") and "journal.db.start-" in str(values[0]):
        note(hangs, "")
        posix.read(never, 1)
    if name in ("open", "sqlite3.connect"):
        note(name, values[0])
    elif name in ("socket.connect", "socket.getaddrinfo"):
        note(name, values[1] if name == "socket.connect" else values[0])
    elif name == "os.posix_spawn":
        note(name, " ".join(sys.modules))
        posix._exit = leave
    if name == hangs:
        posix.read(never, 1)

script, path, hangs, *sys.argv = sys.argv[1:]
sys.argv[:0] = [script, "0"]
log = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC, 0o600)
never, _ = posix.pipe()
with open(script) as file:
    code = compile(file.read(), script, "exec")
sys.addaudithook(hook)
exec(code)
"""


@dataclass(frozen=True)
class Event:
    """One audit event: `open`, `socket.connect`..., and what was opened or connected to.

    For `os.posix_spawn` and `end` it is the names of the modules that are loaded.
    """

    name: str
    text: str


def events(tmp_path: Path) -> list[Event]:
    """What was seen until now."""
    path = tmp_path / "events"
    lines = path.read_text().splitlines() if path.exists() else []
    return [Event(*line.split("\t", 1)) for line in lines]


@contextmanager
def audited(
    tmp_path: Path,
    *arguments: str,
    stub: HealthchecksStub | None = None,
    env: Mapping[str, str] | None = None,
    hangs: str = "",
) -> Iterator[subprocess.Popen[bytes]]:
    """`hcrun ARGUMENTS...`; the call that the event `hangs` announces never returns."""
    python = [sys.executable, "-S", "-c", DRIVER, str(SCRIPT), str(tmp_path / "events"), hangs]
    package = {"PYTHONPATH": str(SCRIPT.parents[2])}
    with subprocess.Popen(
        [*python, *arguments],
        env=environment(tmp_path, stub) | package | dict(env or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
            process.wait(2 * PATIENCE)
        finally:
            process.kill()


def modules(code: str) -> set[str]:
    """The modules that are loaded after `code`, without `site`."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"{code}; import sys; print(*sys.modules)"],
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())
