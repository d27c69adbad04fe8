"""The script that creates the catalogue's channels on a self-hosted server.

The API cannot create channels. The script contains secrets only if it is to be piped.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from hcrun.alerts.server_script import KINDS
from hcrun.catalog import Catalog, Channel
from hcrun.errors import CatalogError, SettingsError
from hcrun.settings import Settings

API_KEY = "HEALTHCHECKS_API_KEY"
_SUFFIX = "_secret"  # of the name of an option that names a setting


def specs(catalog: Catalog) -> list[dict[str, Any]]:
    """The channels as `server_script.main` takes them.

    Raises CatalogError for all that it cannot create.
    """
    wrong: list[str] = []
    channels = [_spec(channel, wrong) for channel in catalog.channels.values()]
    if wrong:
        raise CatalogError("; ".join(wrong), where=catalog.path, hint="see docs/sync.md, Channels")
    return channels


def _spec(channel: Channel, wrong: list[str]) -> dict[str, Any]:
    plain = {k: v for k, v in channel.options.items() if not k.endswith(_SUFFIX)}
    secret = {k.removesuffix(_SUFFIX): v for k, v in channel.options.items() if k.endswith(_SUFFIX)}
    spec = {"name": channel.name, "kind": channel.kind, "options": plain, "secrets": secret}
    table = f"[channels.{channel.name}]"
    if channel.kind not in KINDS:
        wrong.append(f"{table} is {channel.kind}, which only the web interface can create")
        return spec
    needed, possible, _ = KINDS[channel.kind]
    given = [*plain, *secret]
    wrong += [f"{table} needs {name} or {name}_secret" for name in needed if name not in given]
    wrong += [
        f"{table} has {name}, which {channel.kind} does not have"
        for name in given
        if name not in needed + possible
    ]
    wrong += [f"{table} has {name} and {name}_secret" for name in plain if name in secret]
    return spec


def secrets(channels: list[dict[str, Any]], settings: Settings) -> dict[str, str]:
    """The values of all secrets by name, with the API key.

    Raises SettingsError with the names of those that are not set.
    """
    names = [API_KEY, *(name for spec in channels for name in spec["secrets"].values())]
    values = {name: settings.secret(name) for name in dict.fromkeys(names)}
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise SettingsError(
            f"{', '.join(missing)}: not set",
            hint="set each NAME, or NAME_FILE to the path of a file",
        )
    return values


def script(channels: list[dict[str, Any]], values: Mapping[str, str]) -> str:
    """The script for `manage.py shell`; without `values` it reads the secrets where it runs."""
    text = (files("hcrun.alerts") / "server_script.py").read_text(encoding="utf-8")
    given = [json.dumps(channels), json.dumps(dict(values))]
    return f"{text}\n\nmain(json.loads({given[0]!r}), {API_KEY!r}, json.loads({given[1]!r}))\n"
