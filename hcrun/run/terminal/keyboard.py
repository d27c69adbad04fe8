"""Keyboard: what is typed at the real terminal, on its way to the command's pseudo-terminal.

What is typed while the command runs and does not read must reach the shell. While the command uses
the terminal in the modes that it got, the real terminal edits and echoes lines, and hcrun passes
on one line at a time. What the command has not read when it ends, hcrun inserts into the real
terminal again. Linux may forbid that; then hcrun takes a line only if a process of the command may
be waiting for input. In other modes (editors, password prompts) hcrun takes each byte.
"""

import _signal as signal
import fcntl
import os
import select
import termios

from hcrun.run.streams import READ, WRITE, Sink, Stream

SOON = 0.005  # seconds until a process that got a line asks for the next one
PROMPT = 0.1  # seconds in which a program sets its modes or reads after a prompt
TICK = 0.1  # seconds between checks whether somebody waits for input, and of the modes
# Kernel functions (/proc/PID/wchan) in which a process waits for something else than a terminal.
_NOT_INPUT = (
    "do_wait",
    "hrtimer_nanosleep",
    "do_nanosleep",
    "futex_",
    "anon_pipe_",
    "pipe_",
    "unix_stream_",
) + ("inet_csk_accept", "do_sigtimedwait", "sigsuspend", "__do_sys_pause", "locks_lock_")


class Keyboard(Stream):
    """Input for the pseudo-terminal. Reads once per turn, because its source may be shared."""

    is_output = False
    leader = 0  # the process whose descendants may read
    by_line = False
    paused = False  # hcrun does not have the terminal
    kept = False  # there is input that nobody waits for

    def __init__(self, source: int, sink: Sink, terminal: str) -> None:
        self.source = self._original = source
        self.is_terminal = os.isatty(source)
        if self.is_terminal:
            try:  # Ctrl-C may discard what poll(2) has found, and then reading would block
                path = f"/proc/self/fd/{source}"
                self.source = os.open(
                    path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                )
            except OSError:  # another user's terminal
                pass
        self.sink = sink
        self.unread = b""  # by the command
        self.terminal = terminal  # the path of the pseudo-terminal
        self.open = True
        self.blocked = False
        self._in_line = False
        self.displays: list[Stream] = []  # what shows the terminal's output

    def awaited_event(self) -> tuple[int, int] | None:
        if any(stream.sink.gone for stream in self.displays):
            self.close()  # the terminal hangs up
        if self.blocked:
            return (self.sink.fd, WRITE)
        return (self.source, READ) if self.open and not self.paused and not self.kept else None

    def transfer(self) -> None:
        if self.blocked:
            self.blocked = not self.sink.flush()
            return
        if self.by_line:
            self._transfer_line()
            return
        data = self._read()
        if data is None:
            return
        if data:
            self._in_line = not data.endswith(b"\n")
        else:
            self.open = False
            # Ctrl-D ends the input; within a line the first one only ends the line.
            data = b"\x04\x04" if self._in_line else b"\x04"
        self.blocked = not self.sink.write(data)

    def _read(self) -> bytes | None:
        try:
            return os.read(self.source, 4096)
        except BlockingIOError:
            return None
        except OSError:  # EIO: the terminal has vanished
            return b""

    def _transfer_line(self) -> None:
        self.kept = True
        try:
            slave = os.open(self.terminal, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # hcrun has no descriptor left
            return
        try:
            passes = may_give_back() or may_read(self.leader)
            self.kept = bool(wait_for_input(slave)) or not passes
            data = None if self.kept else self._read()
            if data is not None:
                self._pass_line(slave, data)
        finally:
            os.close(slave)

    def _pass_line(self, slave: int, data: bytes) -> None:
        """Write a line to the pseudo-terminal, which must not echo it once more."""
        signal.setitimer(signal.ITIMER_REAL, 0)  # nobody looks at the modes now
        modes = termios.tcgetattr(slave)
        quiet = list(modes)
        quiet[3] &= ~(termios.ECHO | termios.ISIG)
        termios.tcsetattr(slave, termios.TCSANOW, quiet)
        # Ctrl-D: the end of the input, or of a line without a line break.
        self.sink.write(data if data.endswith(b"\n") else data + modes[6][termios.VEOF])
        wait_for_input(slave)  # the kernel waits until it has processed what was written
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        signal.setitimer(signal.ITIMER_REAL, SOON, TICK)

    def end(self) -> None:
        """The command has ended: what is typed from now on is not for it."""
        if self.open and not self.paused and self.is_terminal:
            try:
                slave = os.open(self.terminal, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
                self.unread = _drained(slave)
                os.close(slave)
            except (OSError, termios.error):  # it has hung up
                pass
        self.close()

    def close(self) -> None:
        if self.sink.fd >= 0:
            os.close(self.sink.fd)
            self.sink.fd = -1
            if self.source != self._original:
                os.close(self.source)
        self.open = self.blocked = False


def wait_for_input(fd: int, seconds: float = 0) -> int:
    """Return READ if there is input, now or within this time; POLLHUP at its end; else 0."""
    poller = select.poll()
    poller.register(fd, READ)
    return sum(events for _, events in poller.poll(seconds * 1000))


def may_give_back() -> bool:
    """Whether hcrun may insert input into its own terminal: Linux 6.2 and later may forbid it."""
    try:
        return _read("/proc/sys/dev/tty/legacy_tiocsti") == "1\n"
    except OSError:  # an older one
        return True


def _drained(terminal: int) -> bytes:
    """All input of the terminal, also an unfinished line."""
    modes = termios.tcgetattr(terminal)
    modes[3] &= ~(termios.ICANON | termios.ECHO)
    modes[6][termios.VMIN] = modes[6][termios.VTIME] = 0
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
    return os.read(terminal, 4096).replace(b"\0", b"")  # an end of input


def give_back(terminal: int, data: bytes) -> None:
    """Insert input before all that the terminal has, without an echo."""
    modes = termios.tcgetattr(terminal)
    quiet = list(modes)
    quiet[3] &= ~(termios.ECHO | termios.ISIG)
    try:
        termios.tcsetattr(terminal, termios.TCSANOW, quiet)
        fcntl.ioctl(terminal, termios.TIOCSTI, data[:1])
        data += _drained(terminal)[:-1]
        termios.tcsetattr(terminal, termios.TCSANOW, quiet)
        for position in range(len(data)):
            fcntl.ioctl(terminal, termios.TIOCSTI, data[position : position + 1])
    except OSError:  # the kernel forbids it
        pass
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, modes)


def may_read(leader: int) -> bool:
    """Whether a descendant of `leader` may be waiting for input: no only if that is certain."""
    pids = [str(leader)]
    if not os.path.exists(f"/proc/{leader}/task/{leader}/children"):
        return True  # a kernel that does not tell
    for pid in pids:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                directory = f"/proc/{pid}/task/{thread}"
                # What it waits for, as long as it waits; a running one has "0".
                if _sleeps(directory):
                    place = _read(f"{directory}/wchan")
                    if not place.startswith(_NOT_INPUT) and _sleeps(directory):
                        return True
                pids += _read(f"{directory}/children").split()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        except OSError:  # another user's
            return True
    return False


def _sleeps(thread: str) -> bool:
    return _read(f"{thread}/stat").rpartition(") ")[2].startswith("S")


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
