"""Settings, from the environment, the env file and files with credentials.

Precedence: flag > code (`hcrun.configure`) > environment > env file > default. Only
`Settings.secret` reads secrets.

A wrong setting never stops a job, so only `secret` raises an error. The other methods return the
default and add to `problems`; the caller decides whether that is a line on stderr (hcrun) or an
error (hcctl, probes).
"""

from __future__ import annotations

import posix
from _stat import S_ISCHR, S_ISDIR, S_ISLNK, S_ISVTX, S_IWGRP, S_IWOTH

from hcrun.environment import exists, variables
from hcrun.errors import SettingsError
from hcrun.text import decimal
from hcrun.units import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

HOSTED = "https://hc-ping.com"
HOSTED_API = "https://healthchecks.io/api/v3"
RETRY_COUNT = 3
RETRY_DELAY = 1.0  # seconds
CHECK_TIMEOUT = 10.0  # seconds
PREFIX = "HEALTHCHECKS_"
HOST = "HEALTHCHECKS_HOST"
CHECK_PREFIX = "HC_CHECK_"

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_DEEPEST = 40  # symbolic links on one path, as in the kernel
_LARGEST = 65536  # characters of a file: /dev/zero must not fill the memory

# The settings of `hcrun.configure`; each call makes another object.
in_code: Mapping[str, str] = {}


class Settings:
    """The values of all settings: of the code first, of the environment, then of the env file."""

    def __init__(
        self, environ: Mapping[str, str], from_file: Mapping[str, str], path: str = ""
    ) -> None:
        self.in_code = in_code
        self.environ = environ
        self.from_file = from_file
        self.path = path
        self.problems: list[str] = []
        self.refused = False  # root does not use an env file of somebody else

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read `$HCRUN_ENV_FILE`, else ~/.config/hcrun/hcrun.env, else /etc/hcrun/hcrun.env."""
        settings = cls(variables() if environ is None else environ, {})
        problems = settings.problems
        given = settings.environ.get("HCRUN_ENV_FILE", "")
        for path in [given] if given else _default_paths(settings.environ):
            refusal = refused(path, "" if given else "set HOME=/root, as sudo -H does")
            if refusal and exists(path):
                settings.refused = True
                problems.append(f"{path}: {'; '.join(refusal)}")
                continue
            try:
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    settings.from_file, wrong = parse_env_file(file.read(_LARGEST), path)
            except (FileNotFoundError, NotADirectoryError):
                if given:
                    problems.append(f"HCRUN_ENV_FILE: {path}: no such file; unset it or create it")
            except OSError as error:
                problems.append(f"{path}: {error.strerror}; its settings are not used")
            else:
                settings.path = path
                problems += wrong
                break
        if host := settings.get(HOST).rstrip("/"):
            settings._derive(host)
        return settings

    def _derive(self, host: str) -> None:
        """The addresses that are not set follow from that of the server."""
        if not host.startswith(("https://", "http://")):
            self._problem(f"{HOST}: {host!r} is not a URL; write it like https://hc.example.com")
            return
        for name, path in (("PING_URL", "/ping"), ("API_URL", "/api/v3")):
            if not self.get(PREFIX + name):
                self.from_file = {**self.from_file, PREFIX + name: host + path}

    def over(self, values: Mapping[str, str]) -> Settings:
        """The same settings, with `values` over them."""
        settings = Settings(self.environ, self.from_file, self.path)
        settings.in_code = {**self.in_code, **values}
        settings.problems = self.problems
        return settings

    def get(self, name: str, default: str = "") -> str:
        """The value, without surrounding white space; an empty one counts as not set."""
        value = self._value(self.in_code, name) or self._value(self.environ, name)
        return value or self._value(self.from_file, name) or default

    def _value(self, source: Mapping[str, str], name: str) -> str:
        """As `docker run --env-file` leaves it in the environment, one may end with a comment."""
        value = source.get(name, "").strip()
        is_raw = source is self.environ and ("#" in value or value[:1] in ("'", '"'))
        if is_raw and name.startswith((PREFIX, CHECK_PREFIX)):
            from hcrun.quoting import read  # rare

            try:
                return read(value)[0].strip()
            except ValueError as error:
                self._problem(f"{name}: it has {error}; put the whole value in single quotes")
        return value

    def names(self, prefix: str) -> list[str]:
        """The names of all settings that begin with `prefix`."""
        return sorted({n for n in (*self.environ, *self.from_file) if n.startswith(prefix)})

    def flag(self, name: str, default: bool) -> bool:
        """A truth value: 1, true, yes, on or 0, false, no, off."""
        word = self.get(name).lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        if word:
            instead = str(default).lower()
            self._problem(f"{name}: {word!r} is neither true nor false; using {instead}")
        return default

    def integer(self, name: str, default: int, minimum: int = 0) -> int:
        """A whole number of at least `minimum`."""
        text = self.get(name)
        if not text:
            return default
        number = decimal(text)
        if number is not None and number >= minimum:
            return number
        self._problem(
            f"{name}: {text!r} is not a whole number of {minimum} or more; using {default}"
        )
        return default

    def seconds(self, name: str, default: float) -> float:
        """A duration in seconds."""
        text = self.get(name)
        try:
            return seconds(text) if text else default
        except ValueError as error:
            self._problem(f"{name}: {error}; using {default:g}s")
            return default

    def enabled(self) -> bool:
        """Whether the server may be pinged and asked."""
        return self.flag("HEALTHCHECKS_ENABLED", True)

    def ping_url(self) -> str:
        return self.get("HEALTHCHECKS_PING_URL", HOSTED).rstrip("/")

    def api_url(self) -> str:
        """Never that of the hosted server if pings go to an own one: a key is for its server."""
        pinged = self.ping_url()
        default = HOSTED_API if pinged == HOSTED else f"{pinged.removesuffix('/ping')}/api/v3"
        return self.get("HEALTHCHECKS_API_URL", default)

    def retry_count(self) -> int:
        """How often a request to the server is tried."""
        return self.integer("HEALTHCHECKS_RETRY_COUNT", RETRY_COUNT, minimum=1)

    def retry_delay(self) -> float:
        """Seconds before the second try."""
        return self.seconds("HEALTHCHECKS_RETRY_DELAY", RETRY_DELAY)

    def _problem(self, text: str) -> None:
        """Add a problem, once for any number of reads."""
        if text not in self.problems:
            self.problems.append(text)

    def secret(self, name: str) -> str:
        """A secret: `NAME_FILE`, then `$CREDENTIALS_DIRECTORY/name`, then `NAME`.

        The environment comes first, then the env file. Returns "" if none is set. Raises
        SettingsError if a file cannot be read.
        """
        variable, text, _ = self.locate_secret(name)
        return text if variable == name else _read_secret(text, variable)

    def locate_secret(self, name: str) -> tuple[str, str, str]:
        """Where a secret is: the variable, its value or the path of the file, and the source."""
        sources = (self.in_code, "code"), (self.environ, "environment"), (self.from_file, self.path)
        for source, where in sources:
            if path := self._value(source, f"{name}_FILE"):
                return f"{name}_FILE", path, where
            if directory := self._value(source, "CREDENTIALS_DIRECTORY"):
                path = f"{directory}/{name.lower()}"
                if exists(path):
                    return "CREDENTIALS_DIRECTORY", path, where
            if value := self._value(source, name):
                return name, value, where
        return name, "", ""


def _read_secret(path: str, where: str) -> str:
    if refusal := refused(path):
        raise SettingsError(f"{path}: {refusal[0]}", where=where, hint=refusal[1])
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LARGEST).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise SettingsError(
            f"{path}: {reason}", where=where, hint="check the path and who may read it"
        ) from None
    if not text:
        raise SettingsError(f"{path}: is empty", where=where, hint="put the secret in it")
    return text


def _default_paths(environ: Mapping[str, str]) -> list[str]:
    config = environ.get("XDG_CONFIG_HOME") or f"{environ.get('HOME', '')}/.config"
    paths = (f"{config}/hcrun/hcrun.env", "/etc/hcrun/hcrun.env")
    return [path for path in paths if path.startswith("/")]


def parse_env_file(text: str, path: str) -> tuple[dict[str, str], list[str]]:
    """The values in `NAME=value` lines, and the problems of other lines and of doubtful values.

    `export `, comments, and quotes around a value, also one of several lines, are allowed; nothing
    is expanded. A wrong line is not repeated in the problem: it may be a secret.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    wrong: list[int] = []
    lines = text.split("\n")
    end = 0  # of the last value, in lines
    for number, raw in enumerate(lines, 1):
        line = raw.removeprefix("\ufeff").strip().removeprefix("export ").lstrip()
        if number <= end or not line or line[0] in "#;":
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not name.replace("_", "a").isalnum() or "\0" in line:
            wrong.append(number)
            continue
        if "#" in value or '"' in value or "'" in value or "\\" in value:
            from hcrun.quoting import read  # rare

            try:
                value, further = read("\n".join([raw.partition("=")[2], *lines[number:]]))
                end = number + further
            except ValueError as error:
                doubt = f"line {number}: {name} is not used, because it has {error}"
                problems.append(f"{path}: {doubt}; put the whole value in single quotes")
                continue
        values[name] = value.strip()
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        problems.append(f"{path}: line {wrong[0]}{more} is not NAME=value; it is not used")
    return values, problems


def refused(path: str, instead: str = "") -> tuple[str, str] | None:
    """Why this process must not obey `path`, and what mends it; None if it may.

    Root obeys what only root can change: root must own the file and each directory and symbolic
    link on the way to it, and nobody else may write there. Others cannot replace root's files in a
    directory with the sticky bit, as /tmp. A part that does not exist ends the way. `instead` is
    what to do if a directory on the way is somebody else's.
    """
    if posix.geteuid():
        return None
    whole = path
    end, links = 1, 0
    owners = {0}
    while True:
        try:
            if whole[:1] != "/":
                whole = f"{posix.getcwd()}/{whole}"
            at = whole[:end]  # "/", "/etc", "/etc/hcrun"
            status = posix.lstat(at)
            target = posix.readlink(at) if S_ISLNK(status.st_mode) else ""
        except OSError:  # whoever opens it says why
            return None
        owner, mode = status.st_uid, status.st_mode
        if end == 1:  # they can change everything anyway; in a user namespace it is not user 0
            owners.add(owner)
        is_shared = bool(mode & S_IWOTH or (mode & S_IWGRP and status.st_gid))
        if is_shared and (target or S_ISCHR(mode) or (S_ISDIR(mode) and mode & S_ISVTX)):
            is_shared = False  # a link has no mode, and /dev/null no content
        if owner not in owners or is_shared:
            return _refusal(path, instead, at, owner, is_shared)
        if target and links < _DEEPEST:
            before = "" if target[0] == "/" else at[: at.rindex("/") + 1]
            whole = before + target + whole[end:]
            end, links = 1, links + 1
        elif end == len(whole):
            return None
        else:
            end = whole.find("/", end + 1)
            end = len(whole) if end < 0 else end


def _refusal(path: str, instead: str, at: str, owner: int, is_shared: bool) -> tuple[str, str]:
    """What is wrong with `at`, on the way to `path`, and what mends it."""
    import os  # neither is loaded in a run that works
    from shlex import quote

    is_path = at == os.path.realpath(path)
    it = "it" if is_path else at
    reason = f"{it} belongs to user {owner}" if owner else f"others can change {it}"
    if owner and not is_path:
        to = f"/etc/hcrun/{os.path.basename(path)}"
        mend = instead or f"install -D -m 0600 {quote(path)} {quote(to)}; then use that file"
    else:
        option = "-R " if os.path.isdir(at) and owner else ""
        mends = [f"chown {option}root: {quote(at)}"] if owner else []
        mends += [f"chmod {option}go-w {quote(at)}"] if is_shared else []
        mend = "; ".join(mends)
    return f"root does not use it, because {reason}", mend
