"""A process between hcrun and a command that has a terminal of its own.

The command's terminal must be the controlling terminal of a session, and the command must not
be that session's first process: the kernel drops Ctrl-Z for a process group whose parents are
all in other sessions. So a fork of hcrun leads the session, starts the command in a process
group of its own, and tells hcrun in lines on a pipe what wait(2) tells it:

    started PID | failed STATUS TEXT | stopped SIGNAL | ended WAIT_STATUS USER SYSTEM BYTES
"""

from __future__ import annotations

import _signal as signal
import fcntl
import os
import termios

from hcrun.run.child import Child
from hcrun.run.signals import PASSED_ON
from hcrun.run.spawn import SpawnError, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import Any


class MonitoredChild(Child):
    """A command in a session of its own; raises SpawnError as `spawn` does, or OSError."""

    def __init__(
        self,
        command: list[str],
        environ: dict[str, str],
        actions: Sequence[Any],
        slave: int,
        mask: set[int],
        in_foreground: bool,
        suspend: Callable[[int], None],
    ) -> None:
        self._reports, write = os.pipe()
        self._suspend = suspend
        monitor = os.fork()
        if not monitor:
            os.close(self._reports)
            _monitor(command, environ, actions, slave, mask, in_foreground, write)
        os.close(write)
        self._monitor = monitor
        self._lines = b""
        word, _, rest = self._line().partition(" ")
        if word != "started":
            os.close(self._reports)
            os.waitpid(monitor, 0)
            if word != "failed":  # killed, or it could have no process for the command
                raise OSError("the terminal's monitor process ended")
            status, _, text = rest.partition(" ")
            raise SpawnError(int(status), text)
        super().__init__(int(rest))
        os.set_blocking(self._reports, False)
        self.wakes = (self._reports,)

    def poll(self) -> bool:
        while self.wait_status is None:
            try:
                line = self._line()
            except BlockingIOError:
                return False
            word, *rest = line.split()
            if word == "stopped":
                self._suspend(int(rest[0]))
            else:
                self.wait_status = int(rest[0])
                self.cpu_user, self.cpu_system = float(rest[1]), float(rest[2])
                self.memory = int(rest[3])
                # Once it is gone, closing the terminal hangs up on nobody.
                os.waitpid(self._monitor, 0)
        return True

    def _line(self) -> str:
        """The next report; a monitor that was killed leaves the command without a witness."""
        while b"\n" not in self._lines:
            data = os.read(self._reports, 4096)
            self._lines += data or b"ended 9 0 0 0\n"
        line, self._lines = self._lines.split(b"\n", 1)
        return line.decode("utf-8", "surrogateescape")

    def close(self) -> None:
        os.close(self._reports)


def _monitor(
    command: list[str],
    environ: dict[str, str],
    actions: Sequence[Any],
    slave: int,
    mask: set[int],
    in_foreground: bool,
    reports: int,
) -> None:
    """The monitor's whole life; never returns."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)  # that pipe is hcrun's
        # The terminal is to vanish with hcrun, whatever ends it: its other side is hcrun's alone.
        _close_all_but(slave, reports, *(action[1] for action in actions))
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for number in (*PASSED_ON, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            if signal.getsignal(number) is not signal.SIG_IGN:
                # A handler, not SIG_IGN, which the command would inherit.
                signal.signal(number, _do_nothing)
        pid = _start(command, environ, actions, mask, reports)
        signal.signal(signal.SIGHUP, lambda *_: _hang_up(pid))
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        if in_foreground:
            _give_terminal(slave, pid)
        _report(reports, f"started {pid}")
        ended = _watch(pid, slave, in_foreground, reports)
        # At the end of a session's leader its foreground group is hung up on: not on what the
        # command has left running.
        _give_terminal(slave, os.getpgrp())
        _report(reports, ended)
        status = 0
    finally:
        os._exit(status)


def _close_all_but(*kept: int) -> None:
    """All descriptors but these and the standard ones."""
    lowest = 3
    for fd in sorted({fd for fd in kept if fd >= lowest}):
        os.closerange(lowest, fd)
        lowest = fd + 1
    os.closerange(lowest, os.sysconf("SC_OPEN_MAX"))


def _start(
    command: list[str],
    environ: dict[str, str],
    actions: Sequence[Any],
    mask: set[int],
    reports: int,
) -> int:
    try:
        return spawn(command, environ, actions, setsigmask=mask)
    except SpawnError as error:
        _report(reports, f"failed {error.exit_code} {error}")
        raise


def _give_terminal(slave: int, group: int) -> None:
    try:
        os.tcsetpgrp(slave, group)
    except OSError:  # the command has ended already, or the terminal has vanished
        pass


def _watch(pid: int, slave: int, in_foreground: bool, reports: int) -> str:
    """Report the command's stops; returns the report of its end."""
    while True:
        _, status, usage = os.wait4(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            times = f"{usage.ru_utime} {usage.ru_stime}"
            return f"ended {status} {times} {usage.ru_maxrss * 1024}"
        number = os.WSTOPSIG(status)
        if number in (signal.SIGTTIN, signal.SIGTTOU):
            _give_terminal(slave, pid)
            if in_foreground:  # it asked before it had been given the terminal
                os.killpg(pid, signal.SIGCONT)
                continue
            in_foreground = True
        _report(reports, f"stopped {number}")


def _report(fd: int, line: str) -> None:
    os.write(fd, line.replace("\n", " ").encode("utf-8", "surrogateescape") + b"\n")


def _hang_up(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGHUP)
        os.killpg(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass
