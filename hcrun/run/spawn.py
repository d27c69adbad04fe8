"""Program: starts the command as execvp(3) would, with the environment that hcrun was given."""

import _signal as signal
import errno
import os
from _collections_abc import Callable, Mapping, Sequence

from hcrun.errors import EXIT_NOT_FOUND, HcrunError

# Python ignores these two at its start; the command gets the default action.
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)


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
        environ: Mapping[bytes, bytes],
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
                return start(os.posix_spawn, path, [path, *arguments])
        except BlockingIOError:
            raise
        except OSError as error:
            problem = error
        raise SpawnError(*not_started.explain(self.command, problem.errno or 0))
