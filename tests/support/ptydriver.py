"""A person at a terminal: types, reads what appears, changes the window's size, hangs up.

with Terminal([HCRUN, "job", "--", "cat"], env) as terminal:
    terminal.type("hello\\n")
    terminal.read_until("hello")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0
"""

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Self

from tests.support.command import PATIENCE

CTRL_C, CTRL_D, CTRL_Z, CTRL_BACKSLASH = "\x03", "\x04", "\x1a", "\x1c"
PROMPT = "ready> "


class Terminal:
    """A pseudo-terminal, and a program whose controlling terminal it is."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], rows: int = 24, columns: int = 80
    ) -> None:
        self.master, self.slave = os.openpty()
        self.screen = ""  # all that appeared
        self._read = 0  # of it, what a `read_until` has found already
        self.resize(rows, columns)
        self.first_modes = self.modes()  # before the program may have changed them
        self.program = subprocess.Popen(
            argv,
            env=dict(env),
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        try:
            self.program.wait(PATIENCE)
        finally:
            self.program.kill()
            self.program.wait()
            os.close(self.slave)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read_until(self, pattern: str) -> re.Match[str]:
        """Wait for text that matches, after what was found last."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if match := re.compile(pattern).search(self.screen, self._read):
                self._read = match.end()
                return match
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} does not appear after:\n{self.screen}"
            self.take(left)

    def take(self, timeout: float) -> bool:
        if not select.select([self.master], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other side is closed
            return False
        self.screen += data.decode("utf-8", "replace")
        return bool(data)

    def wait(self) -> int:
        """The program's exit status as subprocess has it; what it printed is in `screen`."""
        deadline = time.monotonic() + PATIENCE
        while self.program.poll() is None:
            self.take(0.05)
            assert time.monotonic() < deadline, f"still runs after:\n{self.screen}"
        while self.take(0):
            pass
        return self.program.returncode

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def modes(self) -> list[object]:
        """The terminal's modes, as tcgetattr(3) has them."""
        return list(termios.tcgetattr(self.slave))

    def hang_up(self) -> None:
        """Close the window."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


class Shell(Terminal):
    """An interactive bash with job control."""

    def __init__(self, env: Mapping[str, str]) -> None:
        dumb = {"TERM": "dumb", "PS1": PROMPT, "HISTFILE": "/dev/null"}
        super().__init__(["bash", "--noprofile", "--norc", "-i"], {**env, **dumb})
        self.read_until(PROMPT)

    def run(self, command: str) -> str:
        """Type a command; what it printed until the next prompt."""
        self.type(command + "\n")
        self.read_until(r"\n")  # the echo of the command
        start = self._read
        end = self.read_until(PROMPT).start()
        return self.screen[start:end].replace("\r\n", "\n")
