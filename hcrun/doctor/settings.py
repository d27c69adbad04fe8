"""The settings: what is set and where, what is misspelt or unresolved, what others can read."""

import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

from hcrun import files
from hcrun.api.answer import public
from hcrun.catalog import SWITCHES
from hcrun.catalog.parse import grace_multiplier, usual_zone
from hcrun.doctor.finding import Finding, any_of, finding, ok
from hcrun.errors import HcrunError, SettingsError
from hcrun.journal.second import URL as SECOND
from hcrun.journal.second import SecondSettings, second_target
from hcrun.ping.target import resolve
from hcrun.settings import CHECK_PREFIX, CHECK_TIMEOUT, PREFIX, Settings
from hcrun.text import counted, listed
from hcrun.variables import load

_ALL = load()
MEANINGS = {variable.name: variable.text for variable in _ALL}
_OURS = [variable for variable in _ALL if variable.name.startswith(PREFIX)]
SECRETS = {variable.name for variable in _OURS if variable.secret}
PLAIN = {variable.name for variable in _OURS if not variable.secret}
# A host without a dot, in a URL or in a list of hosts.
_HOST = re.compile(r"(?:^|[,;\s]|://(?:[^\s/]*@)?)([A-Za-z0-9][\w-]*)(?::(\d+))?(?=$|[,;/\s?])")


@dataclass(frozen=True)
class Setting:
    """A setting in use; the `value` of a secret is not shown."""

    name: str
    value: str
    source: str  # environment, the env file's path, or that and a file with the secret
    meaning: str


def in_use(settings: Settings) -> list[Setting]:
    """All that is set, and where; HC_CHECK_* are one."""
    rows = []
    for name in sorted(PLAIN):
        if value := settings.get(name):
            source = "environment" if settings.environ.get(name, "").strip() else settings.path
            shown = public(value) if "://" in value else value
            rows.append(Setting(name, shown, source, MEANINGS[name]))
    for name in sorted(SECRETS):
        if source := secret_source(settings, name):
            rows.append(Setting(name, "(secret)", source, MEANINGS[name]))
    if names := check_names(settings):
        sources = [("environment", settings.environ), (settings.path, settings.from_file)]
        where = [at for at, source in sources if any(n.startswith(CHECK_PREFIX) for n in source)]
        meaning = MEANINGS[f"{CHECK_PREFIX}<NAME>"]
        rows.append(Setting(f"{CHECK_PREFIX}*", listed(names), ", ".join(where), meaning))
    return sorted(rows, key=lambda setting: setting.name)


def secret_source(settings: Settings, name: str) -> str:
    """Where it is; "" if it is not set."""
    variable, text, where = settings.locate_secret(name)
    if variable == f"{name}_FILE":
        return f"{text} (named in {where})"
    return where if variable == name else text


def check_names(settings: Settings) -> list[str]:
    """The slugs of HC_CHECK_*: `nightly-dump` for HC_CHECK_NIGHTLY_DUMP."""
    names = {name.removesuffix("_FILE") for name in settings.names(CHECK_PREFIX)}
    return sorted(name.removeprefix(CHECK_PREFIX).lower().replace("_", "-") for name in names)


def evaluate(settings: Settings) -> list[Finding]:
    """The findings on the settings that need no server."""
    number = len(in_use(settings))
    second = settings.get(SECOND) and second_target("x", SecondSettings(settings)).why
    known = ok(f"{counted(number, 'setting')}, {settings.path or 'no env file'}")
    return [
        known if number else finding("no-setting"),
        *_unusable(settings),
        *_misspelt(settings),
        *([finding("second-server", setting=SECOND, fix=second)] if second else []),
        *_open_to_others(settings),
        *([] if settings.enabled() else [finding("disabled")]),
        *_unresolved(settings),
    ]


def _unusable(settings: Settings) -> Iterator[Finding]:
    """Values of the wrong kind, and files that cannot be read."""
    settings.enabled()
    settings.retry_count()
    settings.retry_delay()
    settings.seconds(f"{PREFIX}CHECK_TIMEOUT", CHECK_TIMEOUT)
    for switch in SWITCHES.values():
        settings.flag(switch, True)
    problems = list(settings.problems)
    readers: list[Callable[[], object]]
    readers = [partial(read, settings) for read in (grace_multiplier, usual_zone)]
    readers += [partial(settings.secret, name) for name in sorted(SECRETS)]
    for read in readers:
        try:
            read()
        except HcrunError as problem:
            problems.append(str(problem))
    if settings.enabled():
        problems += filter(None, (resolve(n, settings).why for n in check_names(settings)))
    for text in dict.fromkeys(problems):
        what, _, fix = text.partition("; ")
        yield finding("unusable", what=what, fix=fix or "correct it")


def _misspelt(settings: Settings) -> Iterator[Finding]:
    known = PLAIN | SECRETS | {f"{name}_FILE" for name in SECRETS}
    endings = [name.removeprefix(PREFIX) for name in sorted(known)]
    for name in settings.names(PREFIX):
        if name not in known:
            near = get_close_matches(name.removeprefix(PREFIX), endings, 1)
            fix = f"rename it to {PREFIX}{near[0]}, or remove it" if near else "remove it"
            yield finding("unknown-setting", name=name, fix=fix)


def _open_to_others(settings: Settings) -> Iterator[Finding]:
    """Files with secrets that every user of this host can read."""
    # A ping URL or UUID in HC_CHECK_* is as good as a key.
    has_secrets = set(settings.from_file) & SECRETS or any(
        name.startswith(CHECK_PREFIX) for name in settings.from_file
    )
    paths = {settings.path} if has_secrets else set()
    for name in SECRETS:
        for source in (settings.environ, settings.from_file):
            paths.add(source.get(f"{name}_FILE", "").strip())
    readable = sorted(path for path in paths if path and _world_readable(path))
    yield from any_of("readable-secrets", readable)


def _world_readable(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False


def _unresolved(settings: Settings) -> Iterator[Finding]:
    """Hosts in the variables of the probes that exist in the network of a compose project only."""
    for variable, default in files.table(__file__, "services.toml").items():
        try:
            text = settings.secret(variable)
        except SettingsError:  # the probe reports it
            continue
        for host, port in _HOST.findall(text):
            if not resolves(host):
                port = int(port or default)
                yield finding("unresolved", variable=variable, host=host, port=port)


def resolves(host: str) -> bool:
    """Whether this host knows its address; True for the directory of a socket."""
    try:
        return host.startswith("/") or bool(socket.getaddrinfo(host, None))
    except OSError:
        return False
