"""The marker of a run that starts: a file, until the journal has the run some milliseconds later.

If hcrun is killed in between, another one finds the file without the lock that its process held.
The file outlives the process; it need not outlive a power cut.

This module is loaded before the command's start. So it does not look into the env file: the place
of the markers is known from the environment alone.
"""

import posix
import time

from hcrun.environment import create_directory, variables

PREFIX = "journal.db.start-"  # and the id of the run
_FLAGS = posix.O_RDWR | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
# Beside HC_CHECK_NAME, what decides which ping URL a check has.
_ADDRESS = (b"_PING_URL", b"_PING_KEY", b"_PING_KEY_FILE")
_TRUE = (b"1", b"true", b"yes", b"on")


class StartMarker:
    """The marker of a run of this process. Raises OSError."""

    def __init__(self, check: str, run_id: str) -> None:
        directory = _directory()
        if not posix.geteuid() and not _is_root_s(directory):
            raise PermissionError
        self.path = f"{directory}/{PREFIX}{run_id}"
        try:
            self._fd = posix.open(self.path, _FLAGS, 0o600)
        except FileNotFoundError:  # the first run ever
            create_directory(directory)
            self._fd = posix.open(self.path, _FLAGS, 0o600)
        try:
            posix.lockf(self._fd, posix.F_LOCK, 0)
            text = f"{posix.getpid()} {time.time()} {address_key(check)} {check}\n"
            posix.write(self._fd, text.encode("utf-8", "surrogateescape"))
        except OSError:  # a full disk
            self.remove()

    def remove(self) -> None:
        """The journal has the run, or its result was reported without the journal."""
        try:
            posix.unlink(self.path)
            posix.close(self._fd)
        except OSError:  # it was removed before, or the disk is read-only by now
            pass


def found() -> list[str]:
    """The markers of runs that start, and of those whose hcrun was killed then."""
    directory = _directory()
    try:
        names = posix.listdir(directory)
    except OSError:
        return []
    return [f"{directory}/{name}" for name in names if name.startswith(PREFIX)]


def address_key(check: str) -> int:
    """The same number in all processes whose settings find the same ping URL; not a secret."""
    get = posix.environ.get
    variable = b"HC_CHECK_" + check.rstrip("/").upper().replace("-", "_").encode()
    enabled = get(b"HEALTHCHECKS_ENABLED", b"").strip().lower()
    values = [b"" if enabled in _TRUE else enabled, get(b"CREDENTIALS_DIRECTORY", b"")]
    values.append(get(b"HCRUN_ENV_FILE") or get(b"XDG_CONFIG_HOME") or get(b"HOME", b""))
    values += [get(b"HEALTHCHECKS" + name, b"") for name in _ADDRESS]
    values += [get(variable, b""), get(variable + b"_FILE", b"")]
    return int.from_bytes(b"\0".join(values), "big") % 0x7FFFFFFF


def _is_root_s(path: str) -> bool:
    """Whether only root can write there; `settings.refused` looks at the whole way later."""
    try:
        status = posix.stat(path)
    except FileNotFoundError:
        parent, slash, _ = path.rpartition("/")
        return _is_root_s(parent or slash or ".")
    is_shared = status.st_mode & 0o002 or (status.st_mode & 0o020 and status.st_gid)
    return not status.st_uid and not (is_shared and not status.st_mode & 0o1000)


def _directory() -> str:
    """The directory of the journal, unless the env file has STATE_DIRECTORY."""
    get = variables().get
    if given := get("STATE_DIRECTORY", "").partition(":")[0]:
        return given
    if posix.geteuid() == 0:
        return "/var/lib/hcrun"
    base = get("XDG_STATE_HOME") or f"{get('HOME') or '/nonexistent'}/.local/state"
    return f"{base}/hcrun"
