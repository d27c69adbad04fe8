"""Signals that hcrun is sent, passed on to the command's process group."""

from __future__ import annotations

import _signal as signal
import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

PASSED_ON = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
# What asks a process to end, and so ends hcrun's own waiting.
ENDING = {signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT}


class SignalForwarder:
    """Passes signals on while a command runs, and remembers those that came.

    The command has a process group of its own, so a signal that a terminal sends to hcrun's
    group reaches the command once: through here.
    """

    def __init__(self) -> None:
        self.group = 0  # 0: no command to pass signals to
        self.received: list[int] = []
        self._early: list[int] = []
        self._started = False
        self.wake, wake_write = os.pipe()
        for fd in (self.wake, wake_write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only for its wake-up
        # Some parents leave it blocked. The command gets `mask`: what hcrun was given.
        self.mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        for number in PASSED_ON:
            # What is ignored stays ignored, here and in the command: nohup, background jobs.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._pass_on)
        if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._stop)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(number)
        if self.group:
            self.send(number)
        elif not self._started:
            self._early.append(number)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z: the command stops with hcrun, and goes on with it."""
        self.send(number)
        stop(os.getpid(), number)
        self.send(signal.SIGCONT)

    def target(self, group: int) -> None:
        """Pass signals to `group` from now on (0: to none), those that came too early first."""
        self.group = group
        self._started = True
        while group and self._early:
            self.send(self._early.pop(0))

    def alive(self) -> bool:
        """Whether a process of the group is left."""
        try:
            os.killpg(self.group, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _has_living(self.group)

    def send(self, number: int) -> None:
        """Send a signal to the command's group, if there still is one."""
        if self.group:
            try:
                os.killpg(self.group, number)
            except (ProcessLookupError, PermissionError):
                pass

    @property
    def told_to_end(self) -> bool:
        return any(number in ENDING for number in self.received)

    def rest(self, seconds: float) -> None:
        """Sleep, unless told to end."""
        until = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self.wake, select.POLLIN)
        while not self.told_to_end and (left := until - time.monotonic()) > 0:
            poller.poll(int(left * 1000) + 1)
            self.drain()

    def drain(self) -> None:
        """Forget that signals came; their handlers have run."""
        try:
            os.read(self.wake, 4096)
        except BlockingIOError:
            pass


def _has_living(group: int) -> bool:
    """Whether it is more than zombies: in a container, process 1 may never reap what is left."""
    try:
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", "rb") as file:
                        state, _parent, its_group = file.read().rpartition(b")")[2].split()[:3]
                except (OSError, ValueError):  # it has just ended
                    continue
                if int(its_group) == group and state not in b"ZX":
                    return True
    except OSError:
        return True
    return False


def stop(process: int, number: int) -> None:
    """Stop `process` (0: hcrun's whole group) as a terminal does it, by SIGTSTP or the like.

    Not by SIGSTOP: where no shell could continue the group, the kernel leaves it running.
    """
    if signal.getsignal(number) is not signal.SIG_IGN:
        handler = signal.signal(number, signal.SIG_DFL)
        os.kill(process, number)
        signal.signal(number, handler)
