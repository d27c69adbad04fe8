"""Runs `server_script` inside a self-hosted server: the API can neither create nor test channels.

The script contains secrets only if it is to be piped.
"""

import json
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from hcrun.catalog import Catalog, Channel
from hcrun.errors import CatalogError, HcrunError, SettingsError
from hcrun.settings import Settings
from hcrun.text import printable

API_KEY = "HEALTHCHECKS_API_KEY"
SETTING = "HEALTHCHECKS_MANAGE"
MANAGE = "docker compose exec -T healthchecks ./manage.py"
_READING = "states"  # the task whose output is read
_PATIENCE, _SHORT = 900.0, 20.0  # seconds: a channel may take 30 to fail, Django a few to start
# Reads the script from stdin: `shell` itself reads stdin only if there is input at once.
_READ = ("shell", "-v", "0", "-c", "import sys; exec(sys.stdin.read())")
_SUFFIX = "_secret"  # of the name of an option that names a setting


_FILES = files("hcrun.alerts")
_DATA = json.loads((_FILES / "kinds.json").read_text(encoding="utf-8"))
# Of channels: their options, the settings that the server needs to send to them, what it stores.
KINDS: dict[str, dict[str, Any]] = _DATA["kinds"]


def specs(catalog: Catalog) -> list[dict[str, Any]]:
    """The channels as the script takes them, `secrets` being names of settings.

    Raises CatalogError for what it cannot create.
    """
    wrong: list[str] = []
    channels = [_spec(channel, wrong) for channel in catalog.channels.values()]
    if wrong:
        raise CatalogError("; ".join(wrong), where=catalog.path, hint="see docs/sync.md, Channels")
    return channels


def _spec(channel: Channel, wrong: list[str]) -> dict[str, Any]:
    plain = {k: v for k, v in channel.options.items() if not k.endswith(_SUFFIX)}
    secret = {k.removesuffix(_SUFFIX): v for k, v in channel.options.items() if k.endswith(_SUFFIX)}
    table, kind = f"[channels.{channel.name}]", KINDS.get(channel.kind)
    if kind is None:
        wrong.append(f"{table} is {channel.kind}, which only the web interface can create")
        return {}
    needed, given = kind["needs"], [*plain, *secret]
    others = [name for name in given if name not in needed + kind.get("may", [])]
    wrong += [f"{table} needs {name} or {name}_secret" for name in needed if name not in given]
    wrong += [f"{table} has {name}, which {channel.kind} does not have" for name in others]
    wrong += [f"{table} has {name} and {name}_secret" for name in plain if name in secret]
    spec = {"name": channel.name, "kind": channel.kind, "options": plain, "secrets": secret}
    spec |= {"needs": kind.get("server", []), "value": kind["value"], "forms": _DATA["forms"]}
    return spec


def script(task: str, given: object, values: Mapping[str, str]) -> str:
    """The script for `manage.py shell`; without `values` it reads the secrets where it runs."""
    secrets, data = json.dumps(dict(values)), json.dumps(given)
    call = f"main({task!r}, {API_KEY!r}, json.loads({secrets!r}), json.loads({data!r}))"
    return f"{(_FILES / 'server_script.py').read_text(encoding='utf-8')}\n\n{call}\n"


def run(
    settings: Settings, manage: str, task: str, given: object, secrets: Iterable[str] = ()
) -> str:
    """Do a task of the script, and return its output if it is to be read.

    `manage` is the command of manage.py; "": HEALTHCHECKS_MANAGE. Raises HcrunError.
    """
    values = {name: settings.secret(name) for name in dict.fromkeys((API_KEY, *secrets))}
    if missing := [name for name, value in values.items() if not value]:
        hint = "set each NAME, or NAME_FILE to the path of a file"
        raise SettingsError(f"{', '.join(missing)}: not set", hint=hint)
    where = "--manage" if manage else SETTING
    manage = manage or settings.get(SETTING, MANAGE)
    try:
        done = subprocess.run(
            [*shlex.split(manage), *_READ],
            input=script(task, given, values),
            stdout=subprocess.PIPE if task == _READING else None,
            text=True,
            timeout=_SHORT if task == _READING else _PATIENCE,
            check=False,
        )
    except (ValueError, OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or str(error).rpartition("]' ")[2]
        hint = "give the command that runs the server's manage.py"
        raise HcrunError(f"{manage}: {reason}", where=where, hint=hint) from None
    if done.returncode:
        what = f"{manage}: exit status {done.returncode}"
        raise HcrunError(what, where=where, hint="see above; it can be run again")
    return done.stdout or ""


def states(settings: Settings) -> dict[str, tuple[str, str]]:
    """When each channel has sent its last alert, or "never", and its trouble, or ""; by id.

    That of "reminders" is how often the owner of the project gets them.
    """
    lines = [line.split(" ", 2) for line in run(settings, "", _READING, None).splitlines()]
    found = {words[0]: (words[1], printable(words[2])) for words in lines if len(words) == 3}
    if "reminders" not in found:
        hint = "it must be the command of the server's manage.py"
        raise HcrunError("the server's script has not answered", where=SETTING, hint=hint)
    return found
