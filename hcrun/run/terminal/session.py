"""MonitoredChild: a command in a terminal session of its own, led by a monitor process.

The command's terminal must be the controlling terminal of a session. The command itself must not
lead that session: the kernel ignores Ctrl-Z for a process group whose parents are all in other
sessions. So a fork of hcrun leads the session and starts the command in its own process group.
It writes to a pipe what wait(2) returns, as lines:

    started PID | failed STATUS TEXT | stopped SIGNAL | ended WAIT_STATUS USER SYSTEM BYTES
"""

import _signal as signal
import fcntl
import os
import termios
from _collections_abc import Callable

from hcrun.run.signals import FORWARDED
from hcrun.run.spawn import Child, Program, SpawnError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_ASKS_FOR_TERMINAL = (signal.SIGTTIN, signal.SIGTTOU)


class Session:
    """What the monitor needs: the command, its descriptors, and its terminal."""

    def __init__(self, program: Program, slave: int, in_foreground: bool) -> None:
        self.program = program
        self.slave = slave
        self.in_foreground = in_foreground  # the command may use the terminal
        self.actions: list[tuple[int, ...]] = []  # as of os.posix_spawn


class MonitoredChild(Child):
    """A command in a session of its own. Raises SpawnError, or OSError without a monitor."""

    def __init__(self, session: Session, on_stop: Callable[[int], None]) -> None:
        self._reports, write = os.pipe()
        self._on_stop = on_stop  # called with each signal that stops the command
        monitor = os.fork()
        if not monitor:
            os.close(self._reports)
            _monitor(session, write)
        os.close(write)
        self.monitor = monitor
        self._buffer = b""
        word, _, rest = self._read_line().partition(" ")
        if word != "started":
            os.close(self._reports)
            os.waitpid(monitor, 0)
            if word != "failed":  # it was killed, or could have no process for the command
                raise OSError("the terminal's monitor process ended")
            status, _, text = rest.partition(" ")
            raise SpawnError(int(status), text)
        super().__init__(int(rest))
        os.set_blocking(self._reports, False)
        self.wakes = (self._reports,)

    def poll(self) -> bool:
        _reap(os.WNOHANG)  # orphans, if hcrun is PID 1 of a container
        while self.wait_status is None:
            try:
                line = self._read_line()
            except BlockingIOError:
                return False
            word, *fields = line.split()
            if word == "stopped":
                self._on_stop(int(fields[0]))
            else:
                self.wait_status = int(fields[0])
                self.cpu_user, self.cpu_system = float(fields[1]), float(fields[2])
                self.memory = int(fields[3])
                # After its end, closing the terminal hangs up on no process.
                _reap(0, self.monitor)
        return True

    def _read_line(self) -> str:
        """The next report. If the monitor was killed, the command counts as killed."""
        while b"\n" not in self._buffer:
            data = os.read(self._reports, 4096)
            self._buffer += data or b"ended 9 0 0 0\n"
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode("utf-8", "surrogateescape")

    def close(self) -> None:
        os.close(self._reports)


def _reap(options: int, pid: int = -1) -> None:
    """Collect children that have ended: `pid`, or any."""
    try:
        while os.waitpid(pid, options)[0]:
            pass
    except ChildProcessError:
        pass


def _monitor(session: Session, reports: int) -> "NoReturn":
    """The monitor process."""
    status = 1
    slave = session.slave
    try:
        signal.set_wakeup_fd(-1)  # that pipe is hcrun's
        # The terminal must vanish when hcrun ends, so only hcrun may have its other side open.
        actions = (*session.actions, *session.program.inherited)
        _close_all_but(slave, reports, *(action[1] for action in actions))
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for number in (*FORWARDED, signal.SIGTSTP, *_ASKS_FOR_TERMINAL):
            if signal.getsignal(number) is not signal.SIG_IGN:
                # A handler, because the command would inherit SIG_IGN.
                signal.signal(number, lambda *_: None)
        try:
            pid = session.program.spawn(session.actions)
        except SpawnError as error:
            _report(reports, f"failed {error.exit_code} {error}")
            raise
        signal.signal(signal.SIGHUP, lambda *_: _hang_up(pid))
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        if session.in_foreground:
            _give_terminal(slave, pid)
        _report(reports, f"started {pid}")
        end = _wait(session, pid, reports)
        # When the session's leader ends, the kernel hangs up on the foreground group: that must
        # not be what the command left running.
        _give_terminal(slave, os.getpgrp())
        _report(reports, end)
        status = 0
    finally:
        os._exit(status)


def _close_all_but(*kept: int) -> None:
    """Close all descriptors except these and the standard ones."""
    lowest = 3
    for fd in sorted({fd for fd in kept if fd >= lowest}):
        os.closerange(lowest, fd)
        lowest = fd + 1
    os.closerange(lowest, os.sysconf("SC_OPEN_MAX"))


def _give_terminal(slave: int, group: int) -> None:
    try:
        os.tcsetpgrp(slave, group)
    except OSError:  # the command has ended, or the terminal has vanished
        pass


def _wait(session: Session, pid: int, reports: int) -> str:
    """Report the command's stops; returns the report of its end."""
    while True:
        _, status, usage = os.wait4(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            times = f"{usage.ru_utime} {usage.ru_stime}"
            return f"ended {status} {times} {usage.ru_maxrss * 1024}"
        number = os.WSTOPSIG(status)
        if number in _ASKS_FOR_TERMINAL:
            _give_terminal(session.slave, pid)
            if session.in_foreground:  # it asked before it had been given the terminal
                os.killpg(pid, signal.SIGCONT)
                continue
            session.in_foreground = True
        _report(reports, f"stopped {number}")


def _report(fd: int, line: str) -> None:
    os.write(fd, line.replace("\n", " ").encode("utf-8", "surrogateescape") + b"\n")


def _hang_up(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGHUP)
        os.killpg(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass
