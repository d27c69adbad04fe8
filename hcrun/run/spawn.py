"""Program: starts the command as execvp(3) would, with the environment that hcrun was given.

Child: the running command, and how it ended. One module, as each one delays the command's start.
"""

from __future__ import annotations

import _signal as signal
import errno
import posix

from hcrun.errors import EXIT_NOT_FOUND, HcrunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Python ignores these two at its start; the command gets the default action.
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)


class SpawnError(HcrunError):
    """The command cannot be started; `exit_code` is 126 or 127, as in a POSIX shell."""

    def __init__(self, exit_code: int, what: str) -> None:
        super().__init__(what)
        self.exit_code = exit_code


class Program:
    """A command, its environment, and the signals that it has blocked from the start."""

    def __init__(
        self,
        command: list[str],
        environ: Mapping[bytes, bytes],
        mask: set[int],
        inherited: Sequence[tuple[int, ...]],
    ) -> None:
        self.command = command
        self.environ = environ
        self.mask = mask
        self.inherited = inherited  # file_actions for descriptors beside its standard ones

    def spawn(self, actions: Sequence[tuple[int, ...]]) -> int:
        """Start the command in its own process group and return its process id.

        `actions` are the file_actions of posix.posix_spawn. Raises SpawnError, or BlockingIOError
        if this user may have no more processes.
        """
        name, *arguments = self.command

        def start(function: Callable[..., int], path: str, words: list[str]) -> int:
            return function(
                path,
                words,
                self.environ,
                file_actions=[*actions, *self.inherited],
                setpgroup=0,
                setsigdef=_RESTORED,
                setsigmask=self.mask,
            )

        try:
            return start(posix.posix_spawnp, name, self.command)
        except BlockingIOError:  # not about the command
            raise
        except OSError as error:
            problem = error
        except ValueError:  # an empty name, or one with a NUL byte
            raise SpawnError(EXIT_NOT_FOUND, f"{name!r} is not a command") from None
        from hcrun.run import not_started  # rare

        path = not_started.find(name)
        try:
            if problem.errno == errno.ENOEXEC:
                # A script without a #! line: shells and execvp(3) run it with sh.
                return start(posix.posix_spawn, "/bin/sh", ["sh", path, *arguments])
            if problem.errno == errno.ENOENT and path:
                return start(posix.posix_spawn, path, [path, *arguments])
        except BlockingIOError:
            raise
        except OSError as error:
            problem = error
        raise SpawnError(*not_started.explain(self.command, problem.errno or 0))


class Child:
    """A running command. `wait_status` is None until it has ended."""

    wakes: tuple[int, ...] = ()  # descriptors, beside SIGCHLD, that show when to poll

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.wait_status: int | None = None
        self.cpu_user = self.cpu_system = 0.0
        self.memory = 0
        self._has_terminal = False  # the command's group is in the foreground

    def poll(self) -> bool:
        """Return whether the command has ended."""
        while self.wait_status is None:
            # Any child: as PID 1 of a container, hcrun also gets the orphans.
            pid, status = self._wait(-1, posix.WNOHANG | posix.WUNTRACED)
            if not pid:
                return False
            if pid != self.pid:
                continue
            if posix.WIFSTOPPED(status):
                # It asked for the terminal that hcrun's group has, or Ctrl-Z was typed.
                from hcrun.run.terminal.foreground import hand_over  # rarely needed

                self._has_terminal = hand_over(self.pid, posix.WSTOPSIG(status), self._has_terminal)
                continue
            self.wait_status = status
        return True

    def _wait(self, pid: int, options: int) -> tuple[int, int]:
        """Do what posix.waitpid does, and keep the resources that the command used."""
        try:
            import resource  # noqa: F401 - posix.wait4 does so once the status is gone
        except ImportError:  # no descriptor is left
            return posix.waitpid(pid, options)
        pid, status, usage = posix.wait4(pid, options)
        if pid == self.pid:
            self.cpu_user, self.cpu_system = usage.ru_utime, usage.ru_stime
            self.memory = usage.ru_maxrss * 1024
        return pid, status

    def close(self) -> None:
        """Take the terminal back if the command had it."""
        if self._has_terminal:
            from hcrun.run.terminal.foreground import take_back

            take_back()


def oom_kills() -> int:
    """Return how many OOM kills this cgroup, else this machine, has counted; 0 if unknown."""
    for path in (*_cgroup_files(), "/proc/vmstat"):
        try:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        except (OSError, ValueError):
            continue
    return 0


def _cgroup_files() -> list[str]:
    files = []
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                if not controllers:
                    files.append(f"/sys/fs/cgroup{path}/memory.events")
                elif "memory" in controllers.split(","):
                    files.append(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
    except (OSError, ValueError):
        pass
    return files
