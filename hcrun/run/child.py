"""Child: a running command, and how it ended."""

from __future__ import annotations

import os


class Child:
    """A running command. `wait_status` is None until it has ended."""

    wakes: tuple[int, ...] = ()  # descriptors, beside SIGCHLD, that show when to poll

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.wait_status: int | None = None
        self.cpu_user = self.cpu_system = 0.0
        self.memory = 0
        self._has_terminal = False  # the command's group is in the foreground

    def poll(self) -> bool:
        """Return whether the command has ended."""
        while self.wait_status is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG | os.WUNTRACED)
            if not pid:
                return False
            if os.WIFSTOPPED(status):
                # It asked for the terminal that hcrun's group has, or Ctrl-Z was typed.
                from hcrun.run.terminal.foreground import hand_over  # rarely needed

                self._has_terminal = hand_over(self.pid, os.WSTOPSIG(status), self._has_terminal)
                continue
            self.wait_status = status
            self.cpu_user, self.cpu_system = usage.ru_utime, usage.ru_stime
            self.memory = usage.ru_maxrss * 1024
        return True

    def close(self) -> None:
        """Take the terminal back if the command had it."""
        if self._has_terminal:
            from hcrun.run.terminal.foreground import take_back

            take_back()
