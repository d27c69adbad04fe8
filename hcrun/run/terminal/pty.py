"""Runs the command at a pseudo-terminal: it sees a terminal, and hcrun records its output.

The pseudo-terminal is the controlling terminal of a session of its own (session.py). It takes the
place of those of the command's stdin, stdout and stderr that are a terminal, with --tty of all.

- stdin and stdout are the terminal: the command has the foreground of its pseudo-terminal from the
  start. The real terminal edits lines until the command sets other modes: see keyboard.py. Then
  hcrun puts the real one in raw mode and copies bytes both ways.
- Only some are (`... | hcrun x -- cmd`, `hcrun x -- cmd | less`): the keyboard may belong to
  another program of the pipeline. The command starts in the background of its pseudo-terminal,
  so that the kernel stops it when it reads from there. Only then hcrun takes the keyboard.
"""

import _signal as signal
import fcntl
import os
import termios
import time
import tty
from _collections_abc import Callable

from hcrun.run.command import Runner
from hcrun.run.signals import SignalForwarder, stop
from hcrun.run.spawn import Child, SpawnError
from hcrun.run.streams import READ, Sink, Stream
from hcrun.run.terminal.foreground import in_foreground
from hcrun.run.terminal.keyboard import (
    PROMPT,
    SOON,
    TICK,
    Keyboard,
    give_back,
    may_read,
    wait_for_input,
)
from hcrun.run.terminal.session import MonitoredChild, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

error = termios.error  # not an OSError
_BY_TERMINAL, _CONTINUED = "by the terminal", "continued"  # after Ctrl-Z
_TERMIOS = 64  # bytes: more than the kernel's struct termios
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
    source = 0 if job.tty or real is None else real
    keyboard = Keyboard(source, Sink(os.dup(master), private=True), os.ttyname(slave))
    keyboard.displays = [stream for stream in streams if stream.source == master]
    streams.append(keyboard)
    try:
        _set_up(slave, real)
        if real is None:
            return MonitoredChild(session, lambda _number: None), streams
        screen = Screen(real, master, keyboard, runner.forwarder)
        screen.active = takes_keyboard
        if os.isatty(0) and os.isatty(1):
            screen.follow_modes()
        child = ScreenChild(session, screen)
        keyboard.leader = child.monitor
        screen.enter(child.pid)
        return child, streams
    except (SpawnError, OSError, error):
        for stream in streams:
            stream.close()
        raise
    finally:
        for fd in closed:
            os.close(fd)


class Screen:
    """The real terminal while the command has a pseudo-terminal."""

    active = False  # the command uses the keyboard
    ended = False  # the command has, but its output may still have to be shown, in the same modes
    group = 0  # the command's
    _follows_soon = False
    _stopped = ""
    _held = b""  # output
    _usual: bytes | None = None  # the modes in which the real terminal edits lines

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
        for number in (signal.SIGWINCH, signal.SIGALRM):
            self._on(number, self.resume)
        self._on(signal.SIGCONT, self._continue)
        if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
            # It stops the command, and that calls `suspend`.
            self._on(signal.SIGTSTP, self._stop)
        self.resume()

    def _stop(self) -> None:
        self._stopped = _BY_TERMINAL
        self.forwarder.send(signal.SIGTSTP)

    def _continue(self) -> None:
        if self._stopped:
            self._stopped = _CONTINUED
        self.resume()

    def follow_modes(self) -> None:
        """Let the real terminal edit lines unless the command sets other modes."""
        _, output, _, local, *_ = termios.tcgetattr(self.master)
        if local & termios.ICANON and output & termios.ONLCR:
            self._usual = self._modes()
            for stream in self.keyboard.displays:
                stream.adapt = self._adapt

    def _modes(self) -> bytes:
        return fcntl.ioctl(self.master, termios.TCGETS, bytes(_TERMIOS))

    def _edits_lines(self) -> bool:
        """Whether the command has neither other modes nor jobs of its own in the foreground."""
        if self._usual is None:
            return False
        try:
            group = os.tcgetpgrp(self.master)
            # After the command's end its monitor has the foreground, then nobody.
            own = (self.group, self.keyboard.leader)
            return not group or (group in own and self._modes() == self._usual)
        except OSError:  # it is closed
            return True

    def _adapt(self, output: bytes) -> bytes:
        """Follow the modes before and after a prompt: only one terminal may add line breaks."""
        if self.keyboard.by_line and not output.endswith((b"\n", b"\r")):
            self._await_reader()
        by_line = self._edits_lines()
        if by_line != self.keyboard.by_line and not (by_line and wait_for_input(self.master)):
            self.resume()
        elif not (self._follows_soon or self.ended):
            self._follows_soon = True
            signal.setitimer(signal.ITIMER_REAL, SOON, TICK)
        output, self._held = self._held + output, b""
        if not self.keyboard.by_line:
            return output
        if output.endswith(b"\r") and wait_for_input(self.master) & READ:  # half of a line break
            output, self._held = output[:-1], b"\r"
        return output.replace(b"\r\n", b"\n")

    def _await_reader(self) -> None:
        """After a prompt: bash switches the echo off only then."""
        until = time.monotonic() + PROMPT
        while self._edits_lines() and time.monotonic() < until:
            if wait_for_input(self.master, SOON) or may_read(self.keyboard.leader):
                break

    def _on(self, number: int, action: Callable[[], object]) -> None:
        self.handlers[number] = signal.signal(number, lambda *_: action())

    def resume(self) -> None:
        """Take the terminal if hcrun is in its foreground, and pass its size on."""
        if copy_size(self.fd, self.master) and not self.active:
            self.forwarder.send(signal.SIGWINCH)  # the kernel signals only the foreground
        if self.ended or not self.keyboard.is_terminal:
            return
        foreground = in_foreground(self.fd)
        self.keyboard.paused = not (foreground and self.active)
        self.keyboard.kept = self._follows_soon = False
        self.keyboard.by_line = self._edits_lines()
        # No signal comes when the shell's `fg` puts a running job in the foreground, or when the
        # command changes its modes.
        waits = self._usual is not None or (self.active and not foreground)
        signal.setitimer(signal.ITIMER_REAL, TICK if waits else 0, TICK if waits else 0)
        if self.keyboard.by_line:
            self.restore()
        elif foreground and self.active:
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
            if self._stopped == _BY_TERMINAL:  # it has signalled hcrun's whole group
                stop(os.getpid(), signal.SIGTSTP)
            elif not self._stopped:  # else the shell's `fg` was faster
                stop(0, number if asks else signal.SIGTSTP)  # until the shell's `fg`
            self._stopped = ""
        self.active = self.active or asks
        self.resume()
        os.killpg(self.group, signal.SIGCONT)

    def restore(self) -> None:
        """Set the terminal's original modes."""
        if self.saved and in_foreground(self.fd):
            try:
                termios.tcsetattr(self.fd, termios.TCSANOW, self.saved)
                self.saved = None
            except error:  # it has vanished
                pass

    def leave(self) -> None:
        """Give the terminal back."""
        self.restore()
        # Ctrl-C discards what was typed before.
        interrupted = {signal.SIGINT, signal.SIGQUIT} & {*self.forwarder.received}
        if self.keyboard.unread and not interrupted and in_foreground(self.fd):
            give_back(self.fd, self.keyboard.unread)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


class ScreenChild(MonitoredChild):
    """A command at a pseudo-terminal. Its end gives the real terminal back."""

    def __init__(self, session: Session, screen: Screen) -> None:
        self._screen = screen
        super().__init__(session, screen.suspend)

    def poll(self) -> bool:
        ended = super().poll()
        if ended:
            self._screen.keyboard.end()
            self._screen.ended = True
        return ended

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
