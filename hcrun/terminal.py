"""The command at a terminal: it sees one, and its output is captured all the same.

- stdin and stdout are a terminal: the command gets a pseudo-terminal as the controlling terminal
  of a session of its own; hcrun puts the real one in raw mode and passes bytes both ways.
- only outputs are a terminal (`... | hcrun x -- cmd`): those become a pseudo-terminal, and the
  command keeps the real one as its controlling terminal; it is lent to it when it asks (lend.py).
- `--tty` without any: a pseudo-terminal between hcrun's own stdin and stdout.
"""

from __future__ import annotations

import fcntl
import os
import termios
import tty

from hcrun.lean import signal
from hcrun.lend import in_foreground
from hcrun.monitor import MonitoredChild
from hcrun.process import Child, shown_to
from hcrun.pump import Keyboard, Stream
from hcrun.relay import stop
from hcrun.sink import Sink
from hcrun.spawn import SpawnError, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hcrun.job import Job
    from hcrun.process import Capture
    from hcrun.relay import Relay

_TICK = 0.2  # seconds between looks at whether a background job is in the foreground again
_SIZE_24_BY_80 = b"\x18\0\x50\0\0\0\0\0"  # struct winsize: rows and columns first


def start(
    job: Job, environ: dict[str, str], capture: Capture, sinks: tuple[Sink, Sink], relay: Relay
) -> tuple[Child, list[Stream]]:
    """Start the command at a pseudo-terminal; raises SpawnError, or OSError if there is none."""
    in_session = job.tty or (os.isatty(0) and os.isatty(1))
    real = next((fd for fd in (0, 1, 2) if os.isatty(fd)), None)
    master, slave = os.openpty()
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
            return _start_session(job, environ, actions, streams, relay, master, real)
        # The real terminal does the output processing and has the keyboard.
        tty.setraw(slave)
        pid = spawn(job.command, environ, actions, setsigmask=relay.mask)

        def resize() -> None:
            copy_size(real, master)
            relay.send(signal.SIGWINCH)

        _on(signal.SIGWINCH, resize)
        return Child(pid), streams
    except (SpawnError, OSError):
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
    relay: Relay,
    master: int,
    real: int | None,
) -> tuple[Child, list[Stream]]:
    slave = actions[0][1]
    # A descriptor of its own, as output and input wait for different things.
    keyboard = Keyboard(0, Sink(os.dup(master), own=True))
    streams.append(keyboard)
    # In the background the modes are the shell's, while it edits a line.
    if real is not None and in_foreground(real):
        termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(real))
    if not os.isatty(0):
        _without_echo(slave)
    if real is None:
        child = MonitoredChild(job.command, environ, actions, slave, relay.mask, lambda _pid: None)
        return child, streams
    screen = Screen(real, master, keyboard, relay)
    child = ScreenChild(job.command, environ, actions, slave, relay.mask, screen.suspend)
    child.screen = screen
    screen.enter()
    return child, streams


class Screen:
    """The real terminal while the command has a pseudo-terminal."""

    def __init__(self, fd: int, master: int, keyboard: Keyboard, relay: Relay) -> None:
        self.fd = fd
        self.master = master
        self.keyboard = keyboard
        self.relay = relay
        self.saved: list[Any] | None = None  # its modes when hcrun came
        self.handlers: dict[int, Any] = {}

    def enter(self) -> None:
        """Take the terminal, and keep up with what happens to it."""
        for number in (signal.SIGWINCH, signal.SIGCONT, signal.SIGALRM):
            self.handlers[number] = _on(number, self.resume)
        if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
            # The command stops, and `suspend` is told so.
            tell = lambda: self.relay.send(signal.SIGTSTP)  # noqa: E731
            self.handlers[signal.SIGTSTP] = _on(signal.SIGTSTP, tell)
        self.resume()

    def resume(self) -> None:
        """Take the terminal if it is ours now, and pass its size on."""
        copy_size(self.fd, self.master)
        if not os.isatty(0):
            return
        ours = in_foreground(self.fd)
        self.keyboard.paused = not ours
        # No signal says that the shell has put a job in the foreground which was running.
        signal.setitimer(signal.ITIMER_REAL, 0 if ours else _TICK)
        if ours:
            try:
                self.saved = self.saved or termios.tcgetattr(self.fd)
                tty.setraw(self.fd, termios.TCSANOW)
            except termios.error:  # it has vanished
                pass

    def restore(self) -> None:
        """Give the terminal back as it was."""
        if self.saved and in_foreground(self.fd):
            try:
                termios.tcsetattr(self.fd, termios.TCSANOW, self.saved)
            except termios.error:  # it has vanished
                pass

    def suspend(self, pid: int) -> None:
        """Ctrl-Z stopped the command: stop as well, so that the shell takes over."""
        self.restore()
        stop(0, signal.SIGTSTP)
        self.resume()
        os.killpg(pid, signal.SIGCONT)

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


def _on(number: int, action: Callable[[], object]) -> Any:
    """Have `action` done at a signal; returns the handler it had."""
    return signal.signal(number, lambda *_: action())
