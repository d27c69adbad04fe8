"""Environment, env file and credentials -> Settings.

Precedence: flag > environment > env file > default. Secrets are read by `Settings.secret` and
nowhere else.

A setting that cannot be used never stops a job (law 1), so nothing here raises but `secret`:
what is wrong is kept in `problems`, the default is used, and the caller decides whether that is
a line on stderr (hcrun) or an error (hcctl, probes).
"""

from __future__ import annotations

import os

from hcrun.errors import SettingsError
from hcrun.units import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


class Settings:
    """Values by name, from the environment first, then from the env file."""

    def __init__(
        self, environ: Mapping[str, str], from_file: Mapping[str, str], path: str = ""
    ) -> None:
        self.environ = environ
        self.from_file = from_file
        self.path = path
        self.problems: list[str] = []

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read `$HCRUN_ENV_FILE`, else ~/.config/hcrun/hcrun.env, else /etc/hcrun/hcrun.env."""
        environ = os.environ if environ is None else environ
        path = environ.get("HCRUN_ENV_FILE", "")
        candidates = [path] if path else _default_paths(environ)
        for candidate in candidates:
            try:
                with open(candidate, encoding="utf-8", errors="surrogateescape") as file:
                    values, problems = parse_env_file(file.read(), candidate)
            except FileNotFoundError:
                continue
            except OSError as error:
                settings = cls(environ, {}, candidate)
                settings.problems.append(
                    f"{candidate}: {error.strerror}; its settings are not used"
                )
                return settings
            settings = cls(environ, values, candidate)
            settings.problems += problems
            return settings
        settings = cls(environ, {})
        if path:
            settings.problems.append(f"HCRUN_ENV_FILE: {path}: no such file; unset it or create it")
        return settings

    def get(self, name: str, default: str = "") -> str:
        """The value, without surrounding white space; an empty one counts as not set."""
        return self.environ.get(name, "").strip() or self.from_file.get(name, "") or default

    def names(self, prefix: str) -> list[str]:
        """The names of all settings that begin with `prefix`."""
        return sorted({n for n in (*self.environ, *self.from_file) if n.startswith(prefix)})

    def flag(self, name: str, default: bool) -> bool:
        """A truth value: 1/true/yes/on or 0/false/no/off."""
        word = self.get(name).lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        if word:
            self.problems.append(f"{name}: {word!r} is neither true nor false; using {default}")
        return default

    def integer(self, name: str, default: int, least: int = 0) -> int:
        """A whole number of at least `least`."""
        text = self.get(name)
        if not text:
            return default
        if text.isascii() and text.isdigit() and int(text) >= least:
            return int(text)
        self.problems.append(
            f"{name}: {text!r} is not a whole number of {least} or more; using {default}"
        )
        return default

    def seconds(self, name: str, default: float) -> float:
        """A duration in seconds."""
        text = self.get(name)
        try:
            return seconds(text) if text else default
        except ValueError as error:
            self.problems.append(f"{name}: {error}; using {default:g}s")
            return default

    def secret(self, name: str) -> str:
        """A secret by reference: `NAME_FILE`, then `$CREDENTIALS_DIRECTORY/name`, then `NAME`.

        Returns "" when none is set. Raises SettingsError when a reference cannot be read.
        """
        reference = self.get(f"{name}_FILE")
        if reference:
            return _read_secret(reference, f"{name}_FILE")
        directory = self.get("CREDENTIALS_DIRECTORY")
        if directory:
            path = os.path.join(directory, name.lower())
            if os.path.exists(path):
                return _read_secret(path, "CREDENTIALS_DIRECTORY")
        return self.get(name)


def _read_secret(path: str, where: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            # A secret is one line; 64 KiB keeps a mistaken /dev/zero from filling the memory.
            text = file.read(65536).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise SettingsError(
            f"{path}: {reason}", where=where, hint="check the path and who may read it"
        ) from None
    if not text:
        raise SettingsError(f"{path}: is empty", where=where, hint="put the secret in it")
    return text


def _default_paths(environ: Mapping[str, str]) -> list[str]:
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", ""), ".config")
    return [
        path
        for path in (os.path.join(config, "hcrun/hcrun.env"), "/etc/hcrun/hcrun.env")
        if path.startswith("/")
    ]


def parse_env_file(text: str, path: str) -> tuple[dict[str, str], list[str]]:
    """`NAME=value` lines -> values, and a problem for each line that is none.

    `export `, comments and one pair of quotes around the value are understood, as systemd's
    EnvironmentFile= and `docker run --env-file` write them; there is no expansion. The value of
    a bad line is never repeated: it may be a secret.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip().removeprefix("\ufeff").removeprefix("export ").lstrip()
        if not line or line[0] in "#;":
            continue
        name, equals, value = line.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name.replace("_", "a").isalnum() or "\0" in line:
            problems.append(f"{path}: line {number}: is not NAME=value; it is not used")
            continue
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        values[name] = value
    return values, problems
