"""The command at a terminal: it sees one, and its output is captured all the same.

- stdin and stdout are a terminal: the command gets a pseudo-terminal as the controlling terminal
  of a session of its own; hcrun puts the real one in raw mode and passes bytes both ways.
- only outputs are a terminal (`... | hcrun x -- cmd`): those become a pseudo-terminal, and the
  command keeps the real one as its controlling terminal; it is lent to it when it asks.
- `--tty` without any: a pseudo-terminal between hcrun's own stdin and stdout.
"""

from __future__ import annotations

import fcntl
import os
import termios
import tty

from hcrun.lean import signal
from hcrun.monitor import MonitoredChild
from hcrun.process import Child, shown_to
from hcrun.pump import Keyboard, Stream
from hcrun.sink import Sink
from hcrun.spawn import SpawnError, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hcrun.job import Job
    from hcrun.process import Capture
    from hcrun.relay import Relay

_SIZE_24_BY_80 = b"\x18\0\x50\0\0\0\0\0"  # struct winsize: rows and columns first


def start(
    job: Job, environ: dict[str, str], capture: Capture, sinks: tuple[Sink, Sink], relay: Relay
) -> tuple[Child, list[Stream]]:
    """Start the command at a pseudo-terminal; raises SpawnError."""
    in_session = job.tty or (os.isatty(0) and os.isatty(1))
    real = next((fd for fd in (0, 1, 2) if os.isatty(fd)), None)
    master, slave = os.openpty()
    if real is not None:
        termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(real))
    copy_size(real, master)
    actions: list[Any] = [(os.POSIX_SPAWN_DUP2, slave, 0)] if in_session else []
    streams: list[Stream] = []
    ours = [slave]
    for fd, sink in enumerate(sinks, 1):
        if job.tty or os.isatty(fd):
            actions.append((os.POSIX_SPAWN_DUP2, slave, fd))
            if not streams or streams[0].source != master:
                streams.append(Stream(master, sink, shown_to(capture, fd)))
        else:
            read, write = os.pipe()
            actions.append((os.POSIX_SPAWN_DUP2, write, fd))
            streams.append(Stream(read, sink, shown_to(capture, fd)))
            ours.append(write)
    try:
        if in_session:
            return _start_session(job, environ, actions, streams, master, real)
        # The real terminal does the output processing and has the keyboard.
        tty.setraw(slave)
        pid = spawn(job.command, environ, actions)

        def resize() -> None:
            copy_size(real, master)
            relay.send(signal.SIGWINCH)

        _on(signal.SIGWINCH, resize)
        return Child(pid), streams
    except SpawnError:
        for stream in streams:
            stream.close()
        raise
    finally:
        for fd in ours:
            os.close(fd)


def _start_session(
    job: Job,
    environ: dict[str, str],
    actions: list[Any],
    streams: list[Stream],
    master: int,
    real: int | None,
) -> tuple[Child, list[Stream]]:
    slave = actions[0][1]
    keyboard = Keyboard(0, Sink(master, own=True))
    if real is None:
        _without_echo(slave)
        child = MonitoredChild(job.command, environ, actions, slave, lambda _pid: None)
        return child, [*streams, keyboard]
    screen = Screen(real, master, keyboard)
    child = ScreenChild(job.command, environ, actions, slave, screen.suspend)
    child.screen = screen
    _on(signal.SIGWINCH, screen.resume)
    _on(signal.SIGCONT, screen.resume)
    screen.resume()
    return child, [*streams, keyboard]


class Screen:
    """The real terminal while the command has a pseudo-terminal."""

    def __init__(self, fd: int, master: int, keyboard: Keyboard) -> None:
        self.fd = fd
        self.master = master
        self.keyboard = keyboard
        self.saved = termios.tcgetattr(fd)

    def resume(self) -> None:
        """Take the terminal if it is ours now, and pass its size on."""
        ours = in_foreground(self.fd)
        self.keyboard.paused = not ours
        if ours and os.isatty(0):
            tty.setraw(self.fd, termios.TCSADRAIN)
        copy_size(self.fd, self.master)

    def restore(self) -> None:
        """Give the terminal back as it was."""
        if in_foreground(self.fd):
            try:
                termios.tcsetattr(self.fd, termios.TCSADRAIN, self.saved)
            except termios.error:  # it has vanished
                pass

    def suspend(self, pid: int) -> None:
        """Ctrl-Z stopped the command: stop as well, so that the shell takes over."""
        self.restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.resume()
        os.killpg(pid, signal.SIGCONT)


class ScreenChild(MonitoredChild):
    """A command whose end gives the real terminal back."""

    screen: Screen

    def close(self) -> None:
        super().close()
        self.screen.restore()


def lend(group: int, number: int, lent: bool) -> bool:
    """A command that shares hcrun's terminal was stopped by signal `number`.

    It gets the terminal when it asked for it (SIGTTIN, SIGTTOU) and hcrun has it; when Ctrl-Z
    stopped it while it had the terminal, hcrun stops as well, and lends it again afterwards.
    Returns whether the terminal is lent now.
    """
    asks = number in (signal.SIGTTIN, signal.SIGTTOU)
    if not asks and not lent:
        return False
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not asks:
            take_back()
        if not asks or not in_foreground(terminal):
            os.kill(os.getpid(), signal.SIGSTOP)  # until the shell's `fg`
        lent = in_foreground(terminal)
        if lent:
            os.tcsetpgrp(terminal, group)
        os.killpg(group, signal.SIGCONT)
        return lent
    finally:
        os.close(terminal)


def take_back() -> None:
    """Make hcrun's own group the terminal's foreground again."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    try:
        os.tcsetpgrp(terminal, os.getpgrp())
    except OSError:  # the terminal has vanished
        pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(terminal)


def in_foreground(fd: int) -> bool:
    """Whether hcrun's group is the terminal's foreground group."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


def copy_size(real: int | None, master: int) -> None:
    """Give the pseudo-terminal the size of the real one; 24 by 80 where there is none."""
    size = _SIZE_24_BY_80
    try:
        if real is not None:
            size = fcntl.ioctl(real, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)
    except OSError:  # either has vanished
        pass


def _without_echo(slave: int) -> None:
    """Input that comes from a pipe is not to appear in the output."""
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)


def _on(number: int, action: Callable[[], object]) -> None:
    signal.signal(number, lambda *_: action())
