"""The catalogue's channels -> the script that makes them on a self-hosted server.

Channels cannot be made by the API. Secrets are in the script only when it is made to be piped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from hcrun.alerts import server_script as serverside
from hcrun.catalog import Catalog, Channel
from hcrun.errors import CatalogError, SettingsError
from hcrun.settings import Settings

API_KEY = "HEALTHCHECKS_API_KEY"
_SUFFIX = "_secret"  # of the name of an option that names a setting


def specs(catalog: Catalog) -> list[dict[str, Any]]:
    """The channels as `serverside.main` takes them.

    Raises CatalogError for what it cannot make: all of it, in one.
    """
    wrong: list[str] = []
    found = [_spec(channel, wrong) for channel in catalog.channels.values()]
    if wrong:
        raise CatalogError("; ".join(wrong), where=catalog.path, hint="see docs/sync.md, Channels")
    return found


def _spec(channel: Channel, wrong: list[str]) -> dict[str, Any]:
    plain = {k: v for k, v in channel.options.items() if not k.endswith(_SUFFIX)}
    secret = {k.removesuffix(_SUFFIX): v for k, v in channel.options.items() if k.endswith(_SUFFIX)}
    spec = {"name": channel.name, "kind": channel.kind, "options": plain, "secrets": secret}
    table = f"[channels.{channel.name}]"
    if channel.kind not in serverside.KINDS:
        wrong.append(f"{table} is {channel.kind}, which only the web interface can make")
        return spec
    needed, possible, _ = serverside.KINDS[channel.kind]
    given = [*plain, *secret]
    wrong += [f"{table} needs {name} or {name}_secret" for name in needed if name not in given]
    wrong += [
        f"{table} has {name}, which {channel.kind} has not"
        for name in given
        if name not in needed + possible
    ]
    wrong += [f"{table} has {name} and {name}_secret" for name in plain if name in secret]
    return spec


def secrets(channels: list[dict[str, Any]], settings: Settings) -> dict[str, str]:
    """The values of all secrets by name, the API key's too.

    Raises SettingsError, which names all that are not set.
    """
    names = [API_KEY, *(name for spec in channels for name in spec["secrets"].values())]
    found = {name: settings.secret(name) for name in dict.fromkeys(names)}
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise SettingsError(
            f"{', '.join(missing)}: not set", hint="set each, or NAME_FILE to the path of a file"
        )
    return found


def script(channels: list[dict[str, Any]], values: Mapping[str, str]) -> str:
    """Python for `manage.py shell`; without `values` it reads the secrets where it runs."""
    text = (files("hcrun.alerts") / "server_script.py").read_text(encoding="utf-8")
    given = [json.dumps(channels), json.dumps(dict(values))]
    return f"{text}\n\nmain(json.loads({given[0]!r}), {API_KEY!r}, json.loads({given[1]!r}))\n"
