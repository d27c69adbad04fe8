"""The command at a terminal: it sees one, and its output is captured all the same.

It gets a pseudo-terminal as the controlling terminal of a session of its own (monitor.py), in
the place of those of its stdin, stdout and stderr that are a terminal; with `--tty` in the place
of all three.

- stdin and stdout are the terminal: hcrun puts the real one in raw mode and passes bytes both
  ways, from the beginning.
- only some are (`... | hcrun x -- cmd`, `hcrun x -- cmd | less`): the keyboard may belong to
  another program of the pipeline. hcrun takes it when the command asks: it is in the background
  of its pseudo-terminal, so the kernel stops it then, and the monitor reports that.
"""

from __future__ import annotations

import _signal as signal
import fcntl
import os
import termios
import tty

from hcrun.run.child import Child, shown_to
from hcrun.run.signals import stop
from hcrun.run.sink import Sink
from hcrun.run.spawn import SpawnError
from hcrun.run.streams import Keyboard, Stream
from hcrun.run.terminal.foreground import in_foreground
from hcrun.run.terminal.session import MonitoredChild

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hcrun.run.child import Capture
    from hcrun.run.job import Job
    from hcrun.run.signals import SignalForwarder

error = termios.error  # no OSError
_TICK = 0.2  # seconds between looks at whether a background job is in the foreground again
_SIZE_24_BY_80 = b"\x18\0\x50\0\0\0\0\0"  # struct winsize: rows and columns first


def start(
    job: Job,
    environ: dict[str, str],
    capture: Capture,
    sinks: tuple[Sink, Sink],
    relay: SignalForwarder,
) -> tuple[Child, list[Stream]]:
    """Start the command at a pseudo-terminal; raises SpawnError, or OSError if there is none."""
    master, slave = os.openpty()
    actions: list[Any] = []
    streams: list[Stream] = []
    ours = [slave]
    if job.tty or os.isatty(0):
        actions.append((os.POSIX_SPAWN_DUP2, slave, 0))
    for fd, sink in enumerate(sinks, 1):
        source, target = master, slave
        if not job.tty and not os.isatty(fd):
            source, target = os.pipe()
            ours.append(target)
        actions.append((os.POSIX_SPAWN_DUP2, target, fd))
        if source not in [stream.source for stream in streams]:
            streams.append(Stream(source, sink, shown_to(capture, fd)))
    real = next((fd for fd in (0, 1, 2) if os.isatty(fd)), None)
    # A descriptor of its own, as output and input wait for different things.
    keys = Sink(os.dup(master), own=True)
    keyboard = Keyboard(0 if job.tty or real is None else real, keys)
    streams.append(keyboard)
    try:
        _set_up(slave, real)
        monitored = (job.command, environ, actions, slave, relay.mask)
        if real is None:
            return MonitoredChild(*monitored, True, lambda _number: None), streams
        screen = Screen(real, master, keyboard, relay)
        screen.active = bool(job.tty) or (os.isatty(0) and os.isatty(1))
        child = ScreenChild(*monitored, screen.active, screen.suspend)
        child.screen = screen
        screen.enter(child.pid)
        return child, streams
    except (SpawnError, OSError, error):
        for stream in streams:
            stream.close()
        raise
    finally:
        for fd in ours:
            os.close(fd)


class Screen:
    """The real terminal while the command has a pseudo-terminal."""

    active = False  # the command has asked for the keyboard, or is supposed to
    group = 0  # the command's

    def __init__(self, fd: int, master: int, keyboard: Keyboard, relay: SignalForwarder) -> None:
        self.fd = fd
        self.master = master
        self.keyboard = keyboard
        self.relay = relay
        self.saved: list[Any] | None = None  # its modes when it was taken
        self.handlers: dict[int, Any] = {}

    def enter(self, group: int) -> None:
        """Take the terminal, and keep up with what happens to it."""
        self.group = group
        for number in (signal.SIGWINCH, signal.SIGCONT, signal.SIGALRM):
            self._on(number, self.resume)
        if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
            # The command stops, and `suspend` is told so.
            self._on(signal.SIGTSTP, lambda: self.relay.send(signal.SIGTSTP))
        self.resume()

    def _on(self, number: int, action: Callable[[], object]) -> None:
        self.handlers[number] = signal.signal(number, lambda *_: action())

    def resume(self) -> None:
        """Take the terminal if it is ours now, and pass its size on."""
        if copy_size(self.fd, self.master) and not self.active:
            self.relay.send(signal.SIGWINCH)  # the kernel tells the foreground only
        if not os.isatty(self.keyboard.source):
            return
        ours = in_foreground(self.fd)
        self.keyboard.paused = not (ours and self.active)
        # No signal says that the shell has put a job in the foreground which was running.
        signal.setitimer(signal.ITIMER_REAL, 0 if ours or not self.active else _TICK)
        if ours and self.active:
            try:
                self.saved = self.saved or termios.tcgetattr(self.fd)
                tty.setraw(self.fd, termios.TCSANOW)
            except error:  # it has vanished
                pass

    def suspend(self, number: int) -> None:
        """The command was stopped: by Ctrl-Z, or because it asked for the terminal."""
        asks = number in (signal.SIGTTIN, signal.SIGTTOU)
        if not asks or not in_foreground(self.fd):
            self.restore()
            stop(0, number if asks else signal.SIGTSTP)  # the shell takes over, until its `fg`
        self.active = self.active or asks
        self.resume()
        os.killpg(self.group, signal.SIGCONT)

    def restore(self) -> None:
        """Give the terminal back as it was."""
        if self.saved and in_foreground(self.fd):
            try:
                termios.tcsetattr(self.fd, termios.TCSANOW, self.saved)
            except error:  # it has vanished
                pass

    def leave(self) -> None:
        self.restore()
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


class ScreenChild(MonitoredChild):
    """A command whose end gives the real terminal back."""

    screen: Screen

    def close(self) -> None:
        super().close()
        self.screen.leave()
        assert self.wait_status is not None
        if (
            os.WIFSIGNALED(self.wait_status)
            and os.WTERMSIG(self.wait_status) == signal.SIGINT
            and signal.SIGINT not in self.screen.relay.received
        ):
            # Ctrl-C, which only the command has seen so far: the rest of hcrun's group (a script
            # in which it stands) and hcrun's own retries are to end as well.
            os.kill(0, signal.SIGINT)


def copy_size(real: int | None, master: int) -> bool:
    """Give the pseudo-terminal the size of the real one, else 24 by 80; whether that is new."""
    size = before = _SIZE_24_BY_80
    try:
        if real is not None:
            size = fcntl.ioctl(real, termios.TIOCGWINSZ, b"\0" * 8)
        before = fcntl.ioctl(master, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)
    except OSError:  # either has vanished
        pass
    return size != before


def _set_up(slave: int, real: int | None) -> None:
    """Modes and size of a new pseudo-terminal."""
    copy_size(real, slave)
    # In the background the modes are the shell's, while it edits a line.
    if real is not None and in_foreground(real):
        termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(real))
    if not os.isatty(0):  # what comes from a pipe is not to appear in the output
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
