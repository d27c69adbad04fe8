"""A command that runs, and who sees its output."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Capture(Protocol):
        """Sees the output: stream 1 or 2, and the bytes as they came."""

        def add(self, stream: int, data: bytes) -> None: ...


class Child:
    """A command that runs, and what the kernel says when it has ended."""

    wakes: tuple[int, ...] = ()  # descriptors, beside SIGCHLD, that say when to poll

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.wait_status: int | None = None
        self.cpu_user = self.cpu_system = 0.0
        self.memory = 0
        self._lent = False  # the terminal, to the command's group

    def poll(self) -> bool:
        """Whether it has ended."""
        while self.wait_status is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG | os.WUNTRACED)
            if not pid:
                return False
            if os.WIFSTOPPED(status):
                self._stopped(os.WSTOPSIG(status))
                continue
            self.wait_status = status
            self.cpu_user, self.cpu_system = usage.ru_utime, usage.ru_stime
            self.memory = usage.ru_maxrss * 1024
        return True

    def _stopped(self, number: int) -> None:
        """It wants the terminal that hcrun's group has, or Ctrl-Z was typed."""
        from hcrun.run.terminal.foreground import hand_over

        self._lent = hand_over(self.pid, number, self._lent)

    def close(self) -> None:
        if self._lent:
            from hcrun.run.terminal.foreground import take_back

            take_back()


def shown_to(capture: Capture, fd: int) -> Callable[[bytes], None]:
    return lambda data: capture.add(fd, data)
