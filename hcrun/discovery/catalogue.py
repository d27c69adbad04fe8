"""The catalogue of what was found, and the env files with addresses and passwords."""

import json
import os
import pwd
import re
import shlex
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from hcrun import files
from hcrun.discovery.checks import Found
from hcrun.discovery.service import KINDS, TABLES, Secret
from hcrun.errors import HcrunError
from hcrun.settings import parse_env_file, refused

_HEAD = Path(__file__).with_name("catalogue.head")
_DEFAULT_ENV = "/etc/hcrun/hcrun.env"
_BY_FILE = {"PGPASSWORD", "REDIS_PASSWORD", "S3_SECRET_ACCESS_KEY"}  # NAME_FILE works as well

Values = dict[str, str | Secret]


class Plan:
    """What is written for these checks; `env_file` is the main env file."""

    def __init__(self, checks: Mapping[str, Found], env_file: str) -> None:
        self.checks, self.env_file = checks, env_file
        self.slugs = _slugs(checks)
        self.files: dict[str, Values] = {}  # the values of each env file
        self.places: dict[str, str] = {}  # the env file of each check
        by_probe: dict[str, dict[str, Values]] = {}
        for name, check in checks.items():
            if check.address:
                alike = by_probe.setdefault(check.command.split()[0], {})
                alike[name] = self._values(check)
        for alike in by_probe.values():
            self._place(alike)
        self.needs: dict[str, list[str]] = {name: [] for name in self.places}
        for name in self.places:
            for need in checks[name].needs:
                if need in self.places and name not in self._below(need):  # no circle
                    self.needs[name].append(need)

    def _values(self, check: Found) -> Values:
        is_consumer = check.kind == "kafka-consumer" and check.broker
        of_broker = self.checks[check.broker].env if is_consumer else {}
        return {**of_broker, **check.env, **check.secrets}

    def _place(self, alike: Mapping[str, Values]) -> None:
        """Choose the env file of checks with one probe: the main one if all have the same."""
        one, *others = alike.values()
        main = self.files.get(self.env_file, {})
        fits = all(main.get(key, value) == value for key, value in one.items())
        for name, values in alike.items():
            own = os.path.join(os.path.dirname(self.env_file), f"{self.slugs[name]}.env")
            path = self.env_file if fits and all(other == one for other in others) else own
            self.files.setdefault(path, {}).update(values)
            self.places[name] = path

    def _below(self, name: str) -> set[str]:
        return {name}.union(*map(self._below, self.needs[name]))

    def catalogue(self, zone: str, user: str) -> str:
        """The text of checks.toml."""
        head = _HEAD.read_text("utf-8").format(env=self.env_file, zone=zone, user=user)
        return "\n".join([head, *map(self._table, self.checks)])

    def _table(self, name: str) -> str:
        slug, check = self.slugs[name], self.checks[name]
        if name not in self.places:
            return f"# {slug}: this host does not reach it ({check.why}).\n# {check.fix}\n"
        tier = KINDS[check.kind]["tier"]
        is_default = self.places[name] == _DEFAULT_ENV
        env = "" if is_default else f"env {shlex.quote(f'HCRUN_ENV_FILE={self.places[name]}')} "
        requests = " --requests 1" if check.command.startswith("probe-http") else ""
        containers = " ".join(check.containers)
        keys = {
            "logs": f"docker logs --tail 100 {check.containers[0]}" if containers else "",
            "restart": f"docker restart {containers}" if containers else "",
            "tier": tier,
            "every": "1m" if tier == "1" else "2m",
            "timeout": "10s",
            "command": f"{env}{check.command}{requests} --timeout 9s",
            "needs": [self.slugs[need] for need in self.needs[name]],
        }
        notes = "".join(f"# {text}\n" for text in self.warnings(check))
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items() if value)
        return f"{notes}[checks.{slug}]\n{lines}"

    def warnings(self, check: Found) -> list[str]:
        return [TABLES["warn"][each].format(env=self.env_file) for each in check.warn]


def _slugs(names: Iterable[str]) -> dict[str, str]:
    """A slug for each name; no two of them have the same variable HC_CHECK_<NAME>."""
    slugs: dict[str, str] = {}
    for name in names:
        slug = plain = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "service"
        while slug in slugs.values():
            slug = f"{plain}-{len(slugs)}"
        slugs[name] = slug
    return slugs


def env_text(path: str, values: Values, user: str, *, force: bool) -> str:
    """The text of the file: its other lines as they are, and these values.

    Raises HcrunError if the file sets one of the variables to something else, unless `force`.
    """
    try:
        old = (files.read_regular(path) or "") if os.path.lexists(path) else ""
    except OSError as error:
        raise HcrunError(f"cannot be read: {error.strerror}", where=path) from None
    ours = {name for each in values for name in (each, f"{each}_FILE")}
    new = "".join(_line(name, value, user) for name, value in values.items())
    known, wanted = parse_env_file(old, path)[0], parse_env_file(new, path)[0]
    other = sorted(name for name in ours & set(known) if known[name] != wanted.get(name))
    if other and not force:
        what = f"{other[0]} has another value than the service"
        raise HcrunError(what, where=path, hint="remove that line, or add --force to replace it")
    kept = [line for line in old.splitlines() if not ours & set(parse_env_file(line, path)[0])]
    return "".join(f"{line}\n" for line in kept) + new


def _line(name: str, value: str | Secret, user: str) -> str:
    """The line of a variable: for a secret in a file its path, if the jobs may read it."""
    secret = Secret("", value) if isinstance(value, str) else value
    is_own = user == pwd.getpwuid(os.geteuid()).pw_name
    if name in _BY_FILE and is_own and os.path.isfile(secret.path) and not refused(secret.path):
        return f"{name}_FILE={secret.path}\n"
    text = secret.value
    if not text or not text.isprintable():
        return f"# {name}= must be set: its value is in: {secret.where}\n"
    if "'" in text:  # in double quotes, sh, systemd and compose read these four
        text = '"' + re.sub(r'(["\\$`])', r"\\\1", text) + '"'
    elif not re.fullmatch(r"[\w@%+=:,./-]+", text):
        text = f"'{text}'"
    return f"{name}={text}\n"


def write_env(path: str, text: str, user: str) -> None:
    """Write an env file, which only its owner and the group of the jobs' user can read."""
    mode, group = 0o600, -1
    if os.path.exists(path):
        old = os.stat(path)
        mode, group = stat.S_IMODE(old.st_mode) & 0o640, old.st_gid
    elif user != pwd.getpwuid(os.geteuid()).pw_name:
        mode, group = 0o640, pwd.getpwnam(user).pw_gid
    files.write(path, text, mode)
    os.chown(path, -1, group)
