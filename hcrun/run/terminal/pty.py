"""Runs the command at a pseudo-terminal: it sees a terminal, and hcrun records its output.

The pseudo-terminal is the controlling terminal of a session of its own (session.py). It takes the
place of those of the command's stdin, stdout and stderr that are a terminal, with --tty of all.

- stdin and stdout are the terminal: hcrun puts the real one in raw mode from the start and copies
  bytes both ways.
- Only some are (`... | hcrun x -- cmd`, `hcrun x -- cmd | less`): the keyboard may belong to
  another program of the pipeline. The command starts in the background of its pseudo-terminal,
  so that the kernel stops it when it reads from there. Only then hcrun takes the keyboard.
"""

import _signal as signal
import fcntl
import os
import termios
import tty
from _collections_abc import Callable

from hcrun.run.child import Child
from hcrun.run.command import Runner
from hcrun.run.signals import SignalForwarder, stop
from hcrun.run.spawn import SpawnError
from hcrun.run.streams import READ, WRITE, Sink, Stream
from hcrun.run.terminal.foreground import in_foreground
from hcrun.run.terminal.session import MonitoredChild, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

error = termios.error  # not an OSError
_TICK = 0.2  # seconds between checks whether a background job is in the foreground again
_SIZE_24_BY_80 = b"\x18\0\x50\0\0\0\0\0"  # struct winsize: rows and columns first


def start(runner: Runner) -> tuple[Child, list[Stream]]:
    """Start the command at a pseudo-terminal; raises SpawnError, or OSError if there is none."""
    job, capture = runner.job, runner.capture
    real = next((fd for fd in (0, 1, 2) if os.isatty(fd)), None)
    takes_keyboard = bool(job.tty) or real is None or (os.isatty(0) and os.isatty(1))
    master, slave = os.openpty()
    session = Session(runner.program, slave, takes_keyboard)
    streams: list[Stream] = []
    closed = [slave]
    if job.tty or os.isatty(0):
        session.actions.append((os.POSIX_SPAWN_DUP2, slave, 0))
    for fd, sink in enumerate(capture.sinks, 1):
        source, target = master, slave
        if not job.tty and not os.isatty(fd):
            source, target = os.pipe()
            closed.append(target)
        session.actions.append((os.POSIX_SPAWN_DUP2, target, fd))
        if source not in [stream.source for stream in streams]:
            streams.append(Stream(source, sink, capture.recorder(fd)))
    # A descriptor of its own, because output and input wait for different events.
    keyboard = Keyboard(0 if job.tty or real is None else real, Sink(os.dup(master), private=True))
    keyboard.displays = [stream for stream in streams if stream.source == master]
    streams.append(keyboard)
    try:
        _set_up(slave, real)
        if real is None:
            return MonitoredChild(session, lambda _number: None), streams
        screen = Screen(real, master, keyboard, runner.forwarder)
        screen.active = takes_keyboard
        child = ScreenChild(session, screen)
        screen.enter(child.pid)
        return child, streams
    except (SpawnError, OSError, error):
        for stream in streams:
            stream.close()
        raise
    finally:
        for fd in closed:
            os.close(fd)


class Keyboard(Stream):
    """Input for the pseudo-terminal. Reads once per turn, because its source may be shared."""

    is_output = False

    def __init__(self, source: int, sink: Sink) -> None:
        self.source = source
        self.sink = sink
        self.open = True
        self.blocked = False
        self.paused = False  # hcrun does not have the terminal
        self._in_line = False
        self.displays: list[Stream] = []  # what shows the terminal's output

    def awaited_event(self) -> tuple[int, int] | None:
        if any(stream.sink.gone for stream in self.displays):
            self.close()  # the terminal hangs up
        if self.blocked:
            return (self.sink.fd, WRITE)
        return (self.source, READ) if self.open and not self.paused else None

    def transfer(self) -> None:
        if self.blocked:
            self.blocked = not self.sink.flush()
            return
        try:
            data = os.read(self.source, 4096)
        except OSError:  # EIO: the terminal has vanished
            data = b""
        if data:
            self._in_line = not data.endswith(b"\n")
        else:
            self.open = False
            # Ctrl-D ends the input; within a line the first one only ends the line.
            data = b"\x04\x04" if self._in_line else b"\x04"
        self.blocked = not self.sink.write(data)

    def close(self) -> None:
        if self.sink.fd >= 0:
            os.close(self.sink.fd)
            self.sink.fd = -1
        self.open = self.blocked = False


class Screen:
    """The real terminal while the command has a pseudo-terminal."""

    active = False  # the command uses the keyboard
    group = 0  # the command's

    def __init__(
        self, fd: int, master: int, keyboard: Keyboard, forwarder: SignalForwarder
    ) -> None:
        self.fd = fd
        self.master = master
        self.keyboard = keyboard
        self.forwarder = forwarder
        self.saved: list[Any] | None = None  # the terminal's modes before raw mode
        self.handlers: dict[int, Any] = {}

    def enter(self, group: int) -> None:
        """Take the terminal, and react to its changes."""
        self.group = group
        for number in (signal.SIGWINCH, signal.SIGCONT, signal.SIGALRM):
            self._on(number, self.resume)
        if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
            # It stops the command, and that calls `suspend`.
            self._on(signal.SIGTSTP, lambda: self.forwarder.send(signal.SIGTSTP))
        self.resume()

    def _on(self, number: int, action: Callable[[], object]) -> None:
        self.handlers[number] = signal.signal(number, lambda *_: action())

    def resume(self) -> None:
        """Take the terminal if hcrun is in its foreground, and pass its size on."""
        if copy_size(self.fd, self.master) and not self.active:
            self.forwarder.send(signal.SIGWINCH)  # the kernel signals only the foreground
        if not os.isatty(self.keyboard.source):
            return
        foreground = in_foreground(self.fd)
        self.keyboard.paused = not (foreground and self.active)
        # No signal comes when the shell's `fg` puts a running job in the foreground.
        signal.setitimer(signal.ITIMER_REAL, 0 if foreground or not self.active else _TICK)
        if foreground and self.active:
            try:
                self.saved = self.saved or termios.tcgetattr(self.fd)
                tty.setraw(self.fd, termios.TCSANOW)
            except error:  # it has vanished
                pass

    def suspend(self, number: int) -> None:
        """Stop hcrun if Ctrl-Z stopped the command, or if it asked for a terminal in use."""
        asks = number in (signal.SIGTTIN, signal.SIGTTOU)
        if not asks or not in_foreground(self.fd):
            self.restore()
            stop(0, number if asks else signal.SIGTSTP)  # until the shell's `fg`
        self.active = self.active or asks
        self.resume()
        os.killpg(self.group, signal.SIGCONT)

    def restore(self) -> None:
        """Set the terminal's original modes."""
        if self.saved and in_foreground(self.fd):
            try:
                termios.tcsetattr(self.fd, termios.TCSANOW, self.saved)
            except error:  # it has vanished
                pass

    def leave(self) -> None:
        """Give the terminal back."""
        self.restore()
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


class ScreenChild(MonitoredChild):
    """A command at a pseudo-terminal. Its end gives the real terminal back."""

    def __init__(self, session: Session, screen: Screen) -> None:
        self._screen = screen
        super().__init__(session, screen.suspend)

    def close(self) -> None:
        super().close()
        self._screen.leave()
        assert self.wait_status is not None
        if (
            os.WIFSIGNALED(self.wait_status)
            and os.WTERMSIG(self.wait_status) == signal.SIGINT
            and signal.SIGINT not in self._screen.forwarder.received
        ):
            # Only the command got the Ctrl-C: the rest of hcrun's group (a script that runs
            # hcrun) and hcrun's own retries must end as well.
            os.kill(0, signal.SIGINT)


def copy_size(real: int | None, master: int) -> bool:
    """Give the pseudo-terminal the real one's size (or 24 by 80); returns whether it changed."""
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
    """Set the modes and the size of a new pseudo-terminal."""
    copy_size(real, slave)
    # In the background the modes are those of the shell that edits a line.
    if real is not None and in_foreground(real):
        termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(real))
    if not os.isatty(0):  # input from a pipe must not appear in the output
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
