#!/usr/bin/env python3
"""Keys and secrets in Vault or OpenBao: were they rotated?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import click

from hcrun.units import span
from probes.clients import http, vault
from probes.framework.probe import Context, CriticalError, Probe, ProbeError, Ranges, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, state_reading

SKEW = 300.0  # seconds that the clocks of two hosts may differ


class Version(NamedTuple):
    """The newest version of something."""

    number: int
    created: float  # seconds since the epoch
    is_deleted: bool = False


class Kind(NamedTuple):
    """A way to store versions."""

    path: str  # of the API, from mount and name
    read: Callable[[vault.Server, str, str, str], http.Answer]  # with token, mount and name
    newest: Callable[[Mapping[str, Any]], Version]


def check_vault_key(context: Context) -> None:
    wanted = [(name, TRANSIT, name.rpartition("/")) for name in context.options["transit"]]
    wanted += [(name, KV, name.partition("/")) for name in context.options["kv"]]
    if not wanted:
        raise UnknownError("no key to check", hint="set --transit or --kv")
    with vault.connect(context) as server:
        token = http.secret(context, "VAULT_TOKEN")
        if not token:
            raise UnknownError("no token", hint="set VAULT_TOKEN")
        for name, kind, (mount, _, key) in wanted:
            try:
                answer = kind.read(server, token, mount, key)
                version = _newest(answer, kind, name, kind.path.format(mount, key))
            except ProbeError as error:
                if error.where:  # the server itself failed, so the others would too
                    raise
                error.what = context.source.quote(error.what)
                context.add(error.reading(name))
            else:
                context.add(*evaluate(name, version, time.time(), context.ranges))


def _newest(answer: http.Answer, kind: Kind, name: str, path: str) -> Version:
    if answer.status == 404 and vault.errors(answer) == []:
        raise CriticalError(f"{name} does not exist", hint=f"run: vault read {path}")
    if answer.status != 200:
        raise vault.refused(answer, path)
    try:
        return kind.newest(vault.data(answer, path))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnknownError(f"{path} answers without versions") from None


def transit_version(key: Mapping[str, Any]) -> Version:
    number = int(key["latest_version"])
    made = key["keys"][str(number)]
    # Of a key pair it is an object, with the public key.
    seconds = _seconds(made["creation_time"]) if isinstance(made, dict) else float(made)
    return Version(number, seconds, bool(key.get("soft_deleted")))


def kv_version(secret: Mapping[str, Any]) -> Version:
    number = int(secret["current_version"])
    if not number:
        return Version(0, _seconds(secret["created_time"]), is_deleted=True)
    version = secret["versions"][str(number)]
    deletion = version.get("deletion_time")  # may lie in the future
    is_deleted = version.get("destroyed") or (deletion and _seconds(deletion) <= time.time())
    return Version(number, _seconds(version["created_time"]), bool(is_deleted))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


TRANSIT = Kind("{}/keys/{}", vault.Server.transit_key, transit_version)
KV = Kind("{}/metadata/{}", vault.Server.kv_metadata, kv_version)


def evaluate(name: str, version: Version, now: float, ranges: Ranges) -> Iterator[Reading]:
    """Age and number of the newest version. `now` is in seconds since the epoch."""
    if version.is_deleted:
        text = f"{name} has no version"
        if version.number:
            text = f"{name} version {version.number} is deleted"
        yield state_reading(name, Status.CRITICAL, text)
        return
    if version.created > now + SKEW:
        text = f"{name} version {version.number} was made {span(version.created - now)} from now"
        hint = "check the clocks of both hosts, and rotate it"
        yield state_reading(name, Status.UNKNOWN, text, hint)
        return
    age = max(0.0, now - version.created)
    text = f"{name} version {version.number} is {span(age)} old"
    hint = "check the job that rotates it"
    yield Reading(f"{name}_age", age, "s", text, *ranges["age"], minimum=0, hint=hint)
    yield Reading(f"{name}_version", version.number, "", "", *ranges["version"], minimum=0)


def _name(text: str) -> str:
    """A name with the mount before it."""
    if not re.fullmatch(r"[^/\s]+(/[^/\s]+)+", text):
        raise click.BadParameter(f"{text!r} is not MOUNT/NAME; write it like transit/jwt")
    return text


TYPES = {**vault.TYPES, "--transit": _name, "--kv": _name}
TABLE = table("vault-key", types=TYPES)
PROBE = Probe("vault-key", TABLE, check_vault_key, url=vault.URL, extra="vault")

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
