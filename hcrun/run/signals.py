"""SignalForwarder: passes the signals that hcrun gets to the command's process group."""

import _signal as signal
import posix
import select
import time

# Signals that ask a process to end, and so end hcrun's own waiting.
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
FORWARDED = (*_ENDING, signal.SIGUSR1, signal.SIGUSR2)


class SignalForwarder:
    """Forwards signals while a command runs, and remembers those that came.

    The command has its own process group. A signal that a terminal sends to hcrun's group
    therefore reaches the command only through here, and once.
    """

    def __init__(self) -> None:
        self.group = 0  # 0: no command
        self.received: list[int] = []
        self._early: list[int] = []
        self._had_command = False
        self._leash: tuple[int, ...] = ()
        self.wake, wake_write = posix.pipe()
        for fd in (self.wake, wake_write):
            posix.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake hcrun up
        # Some parents leave SIGCHLD blocked. The command gets `mask`, as hcrun got it.
        self.mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        for number in FORWARDED:
            # An ignored signal stays ignored, here and in the command: nohup, background jobs.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._forward)
        if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._stop)

    def _forward(self, number: int, _frame: object) -> None:
        self.received.append(number)
        if self.group:
            self.send(number)
        elif not self._had_command:
            self._early.append(number)

    def _stop(self, number: int, _frame: object) -> None:
        """Ctrl-Z: stop and continue the command together with hcrun."""
        self.send(number)
        stop(posix.getpid(), number)
        self.send(signal.SIGCONT)

    def target(self, group: int) -> None:
        """Forward signals to `group` (0: to none) from now on, first those that came before."""
        self.group = group
        self._had_command = True
        self._kill_with_hcrun(group)
        while group and self._early:
            self.send(self._early.pop(0))

    def _kill_with_hcrun(self, group: int) -> None:
        """Let the kernel kill `group` (0: none) when hcrun ends, even if hcrun is killed.

        When a process ends, the kernel closes its descriptors. When one end of a pipe is closed,
        the kernel sends the signal F_SETSIG to the owner of the other end, F_SETOWN. Both ends are
        set up because the order in which they are closed is not defined.
        """
        try:
            import fcntl  # after the spawn

            if not self._leash:
                self._leash = posix.pipe()
                for fd in self._leash:
                    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
                    fcntl.fcntl(fd, fcntl.F_SETFL, posix.O_ASYNC)
            for fd in self._leash:
                fcntl.fcntl(fd, fcntl.F_SETOWN, -group)
        except (OSError, ImportError):  # no descriptor is left, or the group has ended
            pass

    def alive(self) -> bool:
        """Whether a process of the command's group is left."""
        try:
            posix.killpg(self.group, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _has_living_process(self.group)

    def send(self, number: int) -> None:
        """Send a signal to the command's group, if it still exists."""
        if self.group:
            try:
                posix.killpg(self.group, number)
            except (ProcessLookupError, PermissionError):
                pass

    def asked_to_end(self) -> bool:
        """Whether one of the signals that end a process has come."""
        return any(number in _ENDING for number in self.received)

    def leaves_container(self) -> bool:
        """Whether hcrun is PID 1 and was told to end: after 10 s `docker stop` kills everything."""
        return signal.SIGTERM in self.received and posix.getpid() == 1

    def sleep(self, seconds: float) -> None:
        """Sleep until the time is over or hcrun is asked to end."""
        end = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self.wake, select.POLLIN)
        while not self.asked_to_end() and (remaining := end - time.monotonic()) > 0:
            poller.poll(int(remaining * 1000) + 1)
            self.drain()

    def drain(self) -> None:
        """Empty the wake-up pipe; the signals' handlers have run."""
        try:
            posix.read(self.wake, 4096)
        except BlockingIOError:
            pass


def _has_living_process(group: int) -> bool:
    """Whether a process other than a zombie is left: in a container nobody may reap zombies."""
    try:
        for name in posix.listdir("/proc"):
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
    """Stop `process` (0: hcrun's whole group) as a terminal does, with SIGTSTP or the like.

    Not with SIGSTOP: the kernel ignores the others if no shell could continue the group.
    """
    if signal.getsignal(number) is not signal.SIG_IGN:
        handler = signal.signal(number, signal.SIG_DFL)
        posix.kill(process, number)
        signal.signal(number, handler)
