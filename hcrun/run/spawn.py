"""Start a command as execvp(3) would, untouched: a process id, or a reason why not."""

from __future__ import annotations

import _signal as signal
import errno
import os

from hcrun.errors import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, HcrunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# Python ignores these two at its start; the command is to get them as they were.
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
# What LC_CTYPE is set to by PEP 538.
_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")


class SpawnError(HcrunError):
    """The command could not be started; `exit_code` is 126 or 127, as POSIX sh has it."""

    def __init__(self, exit_code: int, what: str) -> None:
        super().__init__(what)
        self.exit_code = exit_code


def spawn(
    command: list[str], environ: Mapping[str, str], actions: Sequence[Any], **how: Any
) -> int:
    """Start `command` in a process group of its own; raises SpawnError.

    BlockingIOError when this user may have no more processes. `actions` are the file_actions of
    os.posix_spawn, `how` its further keywords.
    """
    try:
        return _spawn(command, environ, actions, **how)
    except BlockingIOError:  # says nothing of the command
        raise
    except OSError as error:
        raise _explain(command[0], error) from None
    except ValueError:  # an empty name, or one with a NUL byte
        raise SpawnError(EXIT_NOT_FOUND, f"{command[0]!r} is not a command") from None


def _spawn(
    command: list[str], environ: Mapping[str, str], actions: Sequence[Any], **how: Any
) -> int:
    how = {"setpgroup": 0, "setsigdef": _RESTORED, **how}
    try:
        return os.posix_spawnp(command[0], command, environ, file_actions=actions, **how)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A script without a #! line: shells and execvp(3) give it to sh, posix_spawnp does not.
    script = _find(command[0])
    return os.posix_spawn(
        "/bin/sh", ["sh", script, *command[1:]], environ, file_actions=actions, **how
    )


def _explain(name: str, error: OSError) -> SpawnError:
    reason = os.strerror(error.errno or 0)
    if error.errno == errno.ENOENT:
        if "/" not in name:
            return SpawnError(EXIT_NOT_FOUND, f"{name}: command not found in PATH")
        if os.path.lexists(name):
            return SpawnError(EXIT_NOT_FOUND, f"{name}: its interpreter (#! line) does not exist")
        return SpawnError(EXIT_NOT_FOUND, f"{name}: no such file")
    if error.errno == errno.EACCES:
        if os.path.isdir(name):
            return SpawnError(EXIT_NOT_EXECUTABLE, f"{name}: is a directory")
        return SpawnError(EXIT_NOT_EXECUTABLE, f"{name}: not executable: {reason}")
    return SpawnError(EXIT_NOT_EXECUTABLE, f"{name}: cannot be started: {reason}")


def _find(name: str) -> str:
    """The file that `name` means, as execvp(3) looks it up."""
    if "/" in name:
        return name
    for directory in os.get_exec_path():
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return name


def environment(added: Mapping[str, str]) -> dict[str, str]:
    """The environment that hcrun was given, and `added`.

    Where the locale is C, as under cron, Python sets LC_CTYPE at its start (PEP 538): the
    command is not to see that. The kernel still has the environment as it was given.
    """
    environ = dict(os.environ)
    if environ.get("LC_CTYPE") in _COERCED:
        given = _given("LC_CTYPE", environ["LC_CTYPE"])
        if given is None:
            del environ["LC_CTYPE"]
        else:
            environ["LC_CTYPE"] = given
    environ.update(added)
    return environ


def _given(name: str, now: str) -> str | None:
    """What a variable was when this process began; `now` where the kernel does not tell."""
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return now
    prefix = os.fsencode(f"{name}=")
    values = [entry.removeprefix(prefix) for entry in entries if entry.startswith(prefix)]
    return os.fsdecode(values[0]) if values else None
