"""Program: starts the command as execvp(3) would, with the environment that hcrun was given."""

import _signal as signal
import errno
import os
from _collections_abc import Callable, Mapping, Sequence

from hcrun.errors import EXIT_NOT_FOUND, HcrunError

# Python ignores these two at its start; the command gets the default action.
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")  # values that PEP 538 gives LC_CTYPE


class SpawnError(HcrunError):
    """The command cannot be started; `exit_code` is 126 or 127, as in a POSIX shell."""

    def __init__(self, exit_code: int, what: str) -> None:
        super().__init__(what)
        self.exit_code = exit_code


class Program:
    """A command, its environment, and the signals that it has blocked from the start.

    `inherited` are file_actions of os.posix_spawn for descriptors beside its standard ones.
    """

    def __init__(
        self,
        command: list[str],
        environ: Mapping[str, str],
        mask: set[int],
        inherited: Sequence[tuple[int, ...]],
    ) -> None:
        self.command = command
        self.environ = environ
        self.mask = mask
        self.inherited = inherited

    def spawn(self, actions: Sequence[tuple[int, ...]]) -> int:
        """Start the command in its own process group and return its process id.

        `actions` are the file_actions of os.posix_spawn. Raises SpawnError, or BlockingIOError
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
            return start(os.posix_spawnp, name, self.command)
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
                return start(os.posix_spawn, "/bin/sh", ["sh", path, *arguments])
            if problem.errno == errno.ENOENT and path:
                return start(os.posix_spawn, path, self.command)
        except BlockingIOError:
            raise
        except OSError as error:
            problem = error
        raise SpawnError(*not_started.explain(self.command, problem.errno or 0))


def environment(additions: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that hcrun was given, plus `additions`.

    In the C locale, as under cron, Python sets LC_CTYPE at its start (PEP 538). The command must
    not see that; the kernel still has the original environment.
    """
    environ = dict(os.environ)
    if environ.get("LC_CTYPE") in _COERCED:
        original = _original_value("LC_CTYPE", environ["LC_CTYPE"])
        if original is None:
            del environ["LC_CTYPE"]
        else:
            environ["LC_CTYPE"] = original
    environ.update(additions)
    return environ


def _original_value(name: str, default: str) -> str | None:
    """Return a variable's value at the start of this process; `default` if it cannot be read."""
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return default
    prefix = os.fsencode(f"{name}=")
    values = [entry.removeprefix(prefix) for entry in entries if entry.startswith(prefix)]
    return os.fsdecode(values[0]) if values else None
